// What mounts: a thread of the launcher in the mount namespace of the wall while the rest of the process stays outside, or,
// where the launcher is not root, a process inside. It calls mount(2) itself, since starting mount(8) would take longer
// than the whole rest of a cold start. Invariant: each message is answered by one. Started by late-mounts.ts.
import { dlopen, getInt32 } from 'node:ffi';
import { mkdirSync, rmSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';

/** `folders` are made, `mounts` (source on target, both folders) are made visible; or what was made is taken away. */
export type MountRequest =
  | { id: number; op: 'make'; folders: string[] }
  | { id: number; op: 'mount'; mounts: { source: string; target: string }[] }
  | { id: number; op: 'remove'; targets: string[]; folder: string };
export type MountAnswer = { id: number; error: string | null };

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const MS_BIND = 4096n;
const MNT_DETACH = 2;

const { functions: libc } = dlopen(null, {
  unshare: { arguments: ['i32'], return: 'i32' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  mount: { arguments: ['string', 'string', 'string', 'u64', 'pointer'], return: 'i32' },
  umount2: { arguments: ['string', 'i32'], return: 'i32' },
  __errno_location: { arguments: [], return: 'pointer' },
});

function check(what: string, result: number): void {
  if (result === 0) return;
  const errno = getInt32(libc['__errno_location'](), 0);
  throw new Error(`${what}: ${getSystemErrorMessage(-errno)}`);
}

function answerTo(request: MountRequest): MountAnswer {
  try {
    carryOut(request);
    return { id: request.id, error: null };
  } catch (error) {
    return { id: request.id, error: (error as Error).message };
  }
}

const port = parentPort;
if (port === null) {
  process.on('message', (request: MountRequest) => process.send!(answerTo(request)));
  process.on('disconnect', () => process.exit(0));
} else {
  // A thread that shares its root and working folder with others cannot change its mount namespace.
  check('unshare', libc.unshare(CLONE_FS));
  check('setns', libc.setns((workerData as { namespaceFd: number }).namespaceFd, CLONE_NEWNS));
  port.on('message', (request: MountRequest) => port.postMessage(answerTo(request)));
}

function carryOut(request: MountRequest): void {
  if (request.op === 'make') {
    for (const folder of request.folders) mkdirSync(folder, { recursive: true, mode: 0o755 });
  } else if (request.op === 'mount') {
    // The source lies on a read-only mount, and a bind takes that over: there is no moment at which it could be written to.
    for (const { source, target } of request.mounts) check(`mount ${source}`, libc.mount(source, target, '', MS_BIND, 0n));
  } else {
    for (const target of request.targets) check(`umount ${target}`, libc.umount2(target, MNT_DETACH));
    rmSync(request.folder, { recursive: true, force: true });
  }
}
