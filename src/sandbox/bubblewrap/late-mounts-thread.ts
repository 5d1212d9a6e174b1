// The thread that mounts: it lives in the private mount namespace of the root wall while the rest of the process stays
// outside, and calls mount(2) itself, since starting mount(8) would take longer than the whole rest of a cold start.
// Invariant: only this thread is in that namespace; each message is answered by one. Started by late-mounts.ts.
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

const port = parentPort!;
// A thread that shares its root and working folder with others cannot change its mount namespace.
check('unshare', libc.unshare(CLONE_FS));
check('setns', libc.setns((workerData as { namespaceFd: number }).namespaceFd, CLONE_NEWNS));

port.on('message', (request: MountRequest) => {
  const answer: MountAnswer = { id: request.id, error: null };
  try {
    carryOut(request);
  } catch (error) {
    answer.error = (error as Error).message;
  }
  port.postMessage(answer);
});

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
