// Deploys a project again and again, building only what a change can have touched. Invariant: a function whose build
// failed is built again with the next change, whatever that is (the missing file may be the one that now appears); until
// it succeeds the old version keeps serving. Used by the command dev.
import { sep } from 'node:path';
import type { Built } from './build/build.ts';
import type { PackedFolder } from './build/static-folder.ts';
import { deployManifest } from './deployment.ts';
import type { Deployment, DeploymentOptions } from './deployment.ts';
import type { Manifest, ManifestFunction } from './manifest/manifest.ts';
import { readManifest } from './manifest/manifest.ts';

export class Redeployer {
  readonly #path: string;
  readonly #options: Omit<DeploymentOptions, 'kept'>;
  #built = new Map<string, { built: Built; fn: string }>();
  #folders = new Map<string, PackedFolder>();
  /** Changed since they were built last, with success or not. */
  readonly #stale = new Set<string>();

  /** `path` is the folder with virga.yaml, or the file. */
  constructor(path: string, options: Omit<DeploymentOptions, 'kept'>) {
    this.#path = path;
    this.#options = options;
  }

  /** `changed` undefined: everything. Resolves with the names that were built; rejects when nothing was deployed. */
  async deploy(changed: ReadonlySet<string> | undefined): Promise<{ deployment: Deployment; manifest: Manifest; rebuilt: string[] }> {
    for (const [name, { built }] of this.#built) if (changed === undefined || touches(built.sources, changed)) this.#stale.add(name);
    for (const [name, { folder }] of this.#folders) if (changed === undefined || touches([folder], changed)) this.#folders.delete(name);
    const manifest = readManifest(this.#path);
    const kept = new Map<string, Built>();
    for (const fn of manifest.functions) {
      const known = this.#built.get(fn.name);
      if (known !== undefined && known.fn === buildKey(fn, manifest) && !this.#stale.has(fn.name)) kept.set(fn.name, known.built);
    }
    const rebuilt = manifest.functions.map((fn) => fn.name).filter((name) => !kept.has(name));
    for (const name of rebuilt) this.#stale.add(name);
    const deployment = await deployManifest(manifest, { ...this.#options, kept, keptFolders: this.#folders });
    this.#folders = deployment.folders;
    this.#built = new Map(manifest.functions.map((fn) => [fn.name, { built: deployment.built.get(fn.name)!, fn: buildKey(fn, manifest) }]));
    this.#stale.clear();
    return { deployment, manifest, rebuilt };
  }

  /** What the last deployment was built from. */
  sources(): string[] {
    return [...[...this.#built.values()].flatMap(({ built }) => built.sources), ...[...this.#folders.values()].map(({ folder }) => folder)];
  }
}

/** What of the manifest goes into the code. */
function buildKey(fn: ManifestFunction, manifest: Manifest): string {
  const others = fn.settings.runtime.startsWith('python') ? manifest.functions.map((other) => other.source) : [];
  return JSON.stringify([fn.source, fn.handler, fn.settings.runtime, fn.settings.form, fn.include, fn.external, others]);
}

function touches(sources: readonly string[], changed: ReadonlySet<string>): boolean {
  return sources.some((source) => {
    for (const file of changed)
      if (file === source || file.startsWith(`${source}${sep}`) || source.startsWith(`${file}${sep}`)) return true;
    return false;
  });
}
