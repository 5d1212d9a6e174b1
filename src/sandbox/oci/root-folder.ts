// The root file system that all containers of one launcher share, and see read-only: links and empty places to mount on,
// and the files of /etc that are the same for all. What is in a sandbox beside them is mounted by its own bundle.
// Invariant: nothing here belongs to one sandbox but the names of its mount targets. Caller: oci.ts.
import { chmodSync, closeSync, mkdirSync, openSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DEVICES, DEVICE_LINKS, etcFiles, type SystemView } from '../system-view.ts';

export class RootFolder {
  readonly path: string;
  /** Shown at /dev: a runtime that finds no mount there would fill it with more. */
  readonly devices: string;
  readonly #targets = new Set<string>();

  /** Makes both below `folder`, which exists and is empty. */
  constructor(folder: string, view: SystemView) {
    this.path = join(folder, 'root');
    this.devices = join(folder, 'dev');
    for (const place of ['proc', 'dev', 'tmp', 'etc']) mkdirSync(join(this.path, place), { recursive: true });
    // runc gives what it mounts the mode of what was there.
    chmodSync(join(this.path, 'tmp'), 0o1777);
    for (const [holds, at] of view.links) {
      mkdirSync(dirname(join(this.path, at)), { recursive: true });
      symlinkSync(holds, join(this.path, at));
    }
    for (const path of view.binds) this.#place(path, statSync(path).isDirectory());
    for (const [at, contents] of etcFiles(0)) writeFileSync(join(this.path, at), contents, { mode: 0o644 });
    mkdirSync(this.devices);
    for (const device of DEVICES) writeFileSync(join(folder, device), '');
    for (const [holds, at] of DEVICE_LINKS) symlinkSync(holds, join(folder, at));
  }

  /** Makes sure that something can be mounted at `target`. */
  place(source: string, target: string): void {
    if (this.#targets.has(target)) return;
    this.#place(target, statSync(source).isDirectory());
    this.#targets.add(target);
  }

  #place(target: string, isFolder: boolean): void {
    const path = join(this.path, target);
    mkdirSync(isFolder ? path : dirname(path), { recursive: true });
    if (!isFolder) closeSync(openSync(path, 'a'));
  }
}
