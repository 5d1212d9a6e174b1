// Which cgroup hierarchies of this machine can hold sandboxes to their limits: v2, v1, or both side by side ("hybrid"),
// found by feature and proven by entering one. The folder of one Virga is `virga-<scope>` (a hash of its data folder),
// so that several Virgas on a machine never touch each other's.
// Invariant: open() first removes what an earlier launcher of the same data folder left; close() leaves nothing.
// Caller: bubblewrap/bubblewrap.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cgroup, destroyFolder, destroyFolderNow, killFolder, type CgroupLimits, type Controller, type Hierarchy } from './cgroup.ts';

const LIMITS: Controller[] = ['memory', 'cpu', 'pids'];
const CONTROLLERS: Controller[] = [...LIMITS, 'freezer', 'cpuacct'];
const SWEEP_WITHIN_MS = 5_000;
const CLOSE_NOW_MS = 200;

interface CgroupMount {
  version: 1 | 2;
  folder: string;
  /** v1 only: what the mount carries. */
  controllers: Controller[];
  /** Where this process is in it, from the mount's root, e.g. `/system.slice/virga.service`. */
  own: string;
}

export class Cgroups {
  readonly hierarchies: Hierarchy[];
  readonly enforcement: Record<'memory' | 'cpus' | 'pids', 'cgroup v2' | 'cgroup v1' | null>;
  /** Why something cannot be limited, for people. */
  readonly notes: string[];

  private constructor(hierarchies: Hierarchy[]) {
    this.hierarchies = hierarchies;
    const by = (controller: Controller): 'cgroup v2' | 'cgroup v1' | null => {
      const found = hierarchies.find((h) => h.controllers.includes(controller));
      return found === undefined ? null : `cgroup v${found.version}`;
    };
    this.enforcement = { memory: by('memory'), cpus: by('cpu'), pids: by('pids') };
    const missing = LIMITS.filter((controller) => by(controller) === null);
    const remedy = 'start Virga as root, or as a systemd service with Delegate=yes';
    this.notes = missing.length === 0 ? [] : [`no cgroup of this user offers ${missing.join(', ')}; ${remedy}`];
  }

  static async open(scope: string): Promise<Cgroups> {
    const name = `virga-${scope}`;
    const mounts = cgroupMounts(read('/proc/self/mounts'), read('/proc/self/cgroup'));
    await sweepCgroups(scope);
    const hierarchies: Hierarchy[] = [];
    const wanted = new Set(CONTROLLERS);
    // v2 first: where it offers a controller, v1 cannot have it.
    for (const mount of mounts.toSorted((a, b) => b.version - a.version)) {
      if (mount.version === 1 && !mount.controllers.some((controller) => wanted.has(controller))) continue;
      const hierarchy = settle(mount, name, [...wanted]);
      if (hierarchy === null) continue;
      hierarchies.push(hierarchy);
      for (const controller of hierarchy.controllers) wanted.delete(controller);
    }
    return new Cgroups(hierarchies);
  }

  create(id: string, limits: CgroupLimits): Cgroup {
    for (const { version, controllers, folder } of this.hierarchies) {
      const made = mkdirSync(folder, { recursive: true }) !== undefined;
      if (made && version === 2)
        enable(
          folder,
          controllers.filter((controller) => LIMITS.includes(controller)),
        );
    }
    return Cgroup.create(this.hierarchies, id, limits);
  }

  async close(): Promise<void> {
    await destroyTrees(this.hierarchies.map(({ folder }) => folder));
  }

  /** The same without waiting for anything but a moment: for a process that is about to end. */
  closeNow(): void {
    destroyTreesNow(this.hierarchies.map(({ folder }) => folder));
  }
}

/** Kills what runs in the cgroups of this scope and removes them, wherever an earlier launcher could have made them. */
export async function sweepCgroups(scope: string): Promise<void> {
  await destroyTrees(foldersOf(scope));
}

/** The same for a process that is about to end, and so cannot wait but for a moment. */
export function sweepCgroupsNow(scope: string): void {
  destroyTreesNow(foldersOf(scope));
}

/** Wherever this scope could have its folder. */
function foldersOf(scope: string): string[] {
  const mounts = cgroupMounts(read('/proc/self/mounts'), read('/proc/self/cgroup'));
  return mounts.flatMap((mount) => candidates(mount).map((place) => join(place, `virga-${scope}`)));
}

/** The cgroup mounts of this machine. `mounts` and `own` are the texts of /proc/self/mounts and /proc/self/cgroup. */
export function cgroupMounts(mounts: string, own: string): CgroupMount[] {
  const ownByName = new Map<string, string>();
  for (const line of own.split('\n')) {
    const [, names, ...path] = line.split(':');
    if (names !== undefined) for (const name of names.split(',')) ownByName.set(name, path.join(':'));
  }
  const found: CgroupMount[] = [];
  for (const line of mounts.split('\n')) {
    const [, path, type, options] = line.split(' ');
    if (path === undefined || options === undefined) continue;
    const folder = path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    if (type === 'cgroup2') found.push({ version: 2, folder, controllers: [], own: ownByName.get('') ?? '/' });
    if (type !== 'cgroup') continue;
    const controllers = CONTROLLERS.filter((controller) => options.split(',').includes(controller));
    if (controllers.length > 0) found.push({ version: 1, folder, controllers, own: ownByName.get(controllers[0]!) ?? '/' });
  }
  return found;
}

/** Makes `name` in the first place of the mount that this user may use, and proves that a process can enter it. */
function settle(mount: CgroupMount, name: string, wanted: Controller[]): Hierarchy | null {
  for (const parent of candidates(mount)) {
    const folder = join(parent, name);
    // Only ever inside a cgroup file system: a mount may be missing where its name suggests it.
    if (!existsSync(join(parent, 'cgroup.procs'))) continue;
    let settled = false;
    try {
      mkdirSync(folder, { recursive: true });
      let controllers = mount.controllers.filter((controller) => wanted.includes(controller));
      if (mount.version === 2) {
        enable(parent, LIMITS);
        enable(folder, LIMITS);
        const enabled = read(join(folder, 'cgroup.subtree_control')).trim().split(' ');
        controllers = wanted.filter((controller) => enabled.includes(controller));
        if (controllers.length > 0) controllers.push('freezer');
      }
      settled = controllers.length > 0 && canEnter(folder);
      if (settled) return { version: mount.version, controllers, folder };
    } catch {
      // Not ours to write: the next place.
    } finally {
      if (!settled) destroyTreesNow([folder]);
    }
  }
  return null;
}

/**
 * The root of the mount when it is ours (root, or inside a container); otherwise the folders above our own that were
 * delegated to us. v2 takes no limits below a folder that holds processes, so our own is the last resort.
 */
function candidates(mount: CgroupMount): string[] {
  const places = [mount.folder];
  // Above the root of a cgroup namespace our own path begins with `..`: nothing of that is ours.
  const steps = mount.own.split('/').filter((step) => step !== '');
  if (steps.includes('..')) return places;
  for (let depth = steps.length; depth > 0; depth--) places.push(join(mount.folder, ...steps.slice(0, depth)));
  return places;
}

function enable(folder: string, controllers: Controller[]): void {
  for (const controller of controllers) {
    try {
      writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // Not offered here, or the folder holds processes: what is enabled afterwards decides.
    }
  }
}

function canEnter(folder: string): boolean {
  const probe = join(folder, 'probe');
  mkdirSync(probe);
  try {
    return spawnSync('/bin/sh', ['-c', 'echo 0 > "$1"', 'sh', join(probe, 'cgroup.procs')], { stdio: 'ignore' }).status === 0;
  } finally {
    // A process that has been waited for may still be leaving: the folder is busy for a moment longer.
    destroyFolderNow(probe, { withinMs: CLOSE_NOW_MS });
  }
}

/** Killed first as destroyTreesNow() does it: a launcher that waited for what is frozen, folder by folder, took a minute to start. */
async function destroyTrees(folders: string[]): Promise<void> {
  for (const folder of folders) for (const name of foldersIn(folder)) killFolder(join(folder, name));
  for (const folder of folders) {
    for (const name of foldersIn(folder)) await destroyFolder(join(folder, name), { withinMs: SWEEP_WITHIN_MS });
    await destroyFolder(folder, { withinMs: SWEEP_WITHIN_MS });
  }
}

/** All are killed before any is waited for: with v1, what is frozen dies only when the freezer's own folder lets go of it. */
function destroyTreesNow(folders: string[]): void {
  const trees = folders.map((folder) => ({ folder, inside: foldersIn(folder).map((name) => join(folder, name)) }));
  for (const { inside } of trees) inside.forEach(killFolder);
  for (const { folder, inside } of trees) {
    for (const one of inside) destroyFolderNow(one, { withinMs: CLOSE_NOW_MS });
    destroyFolderNow(folder, { withinMs: CLOSE_NOW_MS });
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return []; // There is none.
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
