// Attacks on what all share: memory, processes, files, processors, the edge's patience. Deployed by hostile-resources.test.ts
// with small limits (128 MiB, 48 processes, 24 MiB of /tmp, 3 s).
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { connect, createServer } from 'node:net';
import { Worker } from 'node:worker_threads';
import { systemCallByNumber } from './system-call.ts';

export interface ResourceAttack {
  tries: string;
  /** Reads `STATUS CODE MESSAGE` of an error, `STATUS BODY` of an answer, `0` of a broken connection. */
  holds: RegExp;
  run: () => unknown;
}

const OUT_OF_MEMORY = /^502 function_out_of_memory .*128 MiB/;
/** Tried on a function with a timeout of 1 s. */
export const TIMED_OUT = /^504 function_timeout .*1 s/;
export const BROKEN_OFF = /^0 /;
/** It depends on which limit it reaches first. */
const ENDED = /^50[24] function_(out_of_memory|timeout|crashed)/;
const MIB = 1024 * 1024;
/** What the test looks for on the host afterwards. */
export const SLEEPERS = 'sleep 47110815';

const kept: unknown[] = [];

export const ATTACKS: Record<string, ResourceAttack> = {
  'fork-bomb': { tries: 'to fork without end', holds: /^200 EAGAIN after [1-4]?\d$/, run: forkBomb },
  'shell-bomb': {
    tries: 'the classic of one line',
    holds: /^200 cannot fork$|^50[24] function_/,
    run: () =>
      String(spawnSync('sh', ['-c', 'b() { b | b & }; b; sleep 1; wait'], { timeout: 1_000 }).stderr)
        .match(/cannot fork/i)?.[0]
        .toLowerCase() ?? 'forked',
  },
  'thread-bomb': { tries: 'to start threads without end', holds: /^200 ERR_WORKER|^50[24] function_/, run: threadBomb },
  'left-behind': { tries: 'to leave processes behind that nobody waits for', holds: /^502 function_crashed/, run: leaveBehind },
  'heap-bomb': {
    tries: 'to fill the heap',
    holds: OUT_OF_MEMORY,
    run: () => {
      for (;;) kept.push({ n: kept.length, text: `${kept.length}` });
    },
  },
  'buffer-bomb': {
    tries: 'to fill memory outside of the heap',
    holds: OUT_OF_MEMORY,
    run: () => {
      for (;;) kept.push(Buffer.alloc(8 * MIB, 1));
    },
  },
  'shared-bomb': {
    tries: 'to fill memory that threads share',
    holds: OUT_OF_MEMORY,
    run: () => {
      for (;;) kept.push(new Uint8Array(new SharedArrayBuffer(8 * MIB)).fill(1));
    },
  },
  'child-bomb': { tries: 'to have children fill memory', holds: ENDED, run: childBomb },
  'file-memory-bomb': { tries: 'to fill memory by files that have no name', holds: OUT_OF_MEMORY, run: fileMemoryBomb },
  'tmp-bomb': {
    tries: 'to fill /tmp',
    holds: /^200 ENOSPC$/,
    run: () => {
      for (let n = 0; ; n++) fs.writeFileSync(`/tmp/${n}`, Buffer.alloc(MIB));
    },
  },
  'sparse-file': {
    tries: 'a file larger than every disk',
    holds: /^200 (EFBIG|EINVAL|ENOSPC|made)$/,
    run: sparseFile,
  },
  'inode-bomb': {
    tries: 'to fill /tmp with empty files',
    holds: /^200 ENOSPC$|^50[24] function_(out_of_memory|timeout)/,
    run: () => {
      for (let n = 0; ; n++) fs.closeSync(fs.openSync(`/tmp/empty-${n}`, 'w'));
    },
  },
  'folder-bomb': {
    tries: 'to nest folders without end',
    holds: /^200 (ENOSPC|ENAMETOOLONG)$|^50[24] function_(out_of_memory|timeout)/,
    run: () => {
      for (;;) {
        fs.mkdirSync('d'.repeat(200));
        process.chdir('d'.repeat(200));
      }
    },
  },
  'descriptor-bomb': {
    tries: 'to open files without end',
    holds: /^200 EMFILE$|^502 function_out_of_memory/,
    run: () => {
      for (;;) kept.push(fs.openSync('/dev/null', 'r'));
    },
  },
  'socket-bomb': { tries: 'to fill the kernel with unread bytes', holds: /^200 (EMFILE|EAGAIN|full)$|^50[24] function_/, run: socketBomb },
  'watch-bomb': {
    tries: 'to watch files without end',
    holds: /^200 (EMFILE|ENOSPC|ENFILE)$|^50[24] function_/,
    run: () => {
      for (;;) kept.push(fs.watch('/tmp'));
    },
  },
  spin: {
    tries: 'to spin in the call',
    holds: TIMED_OUT,
    run: () => {
      for (;;);
    },
  },
  'spin-many': {
    tries: 'to spin on every processor many times over',
    holds: TIMED_OUT,
    run: () => spawnSync('sh', ['-c', 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do while :; do :; done & done; wait']),
  },
  'spin-regexp': { tries: 'to spin in a regular expression', holds: TIMED_OUT, run: () => /^(a+)+$/.test(`${'a'.repeat(64)}b`) },
  'wait-for-ever': {
    tries: 'to stop its thread for good',
    holds: TIMED_OUT,
    run: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  },
  'never-answer': { tries: 'to keep the caller waiting', holds: TIMED_OUT, run: () => new Promise(() => {}) },
  'microtask-loop': { tries: 'promises that never let the loop turn', holds: TIMED_OUT, run: microtasks },
  'ignore-end': { tries: 'to catch every signal and go on', holds: TIMED_OUT, run: ignoreEnd },
  'output-flood': {
    tries: 'to flood the logs by a child’s output',
    holds: TIMED_OUT,
    run: () => spawnSync('yes', ['flood-of-output'], { stdio: ['ignore', 'inherit', 'inherit'] }),
  },
  'console-flood': {
    tries: 'to flood the logs line by line',
    holds: /^200 said$/,
    run: () => {
      for (let n = 0; n < 200_000; n++) console.log('flood-of-lines');
      return 'said';
    },
  },
  'one-header': {
    tries: 'a header of half a megabyte',
    holds: /^(0|200|502) /,
    run: () => new Response('x', { headers: { 'x-long': 'h'.repeat(500_000) } }),
  },
  'many-headers': {
    tries: 'thirty thousand headers',
    holds: /^(0|200|502) /,
    run: () => new Response('x', { headers: Array.from({ length: 30_000 }, (_, n): [string, string] => [`x-${n}`, 'v']) }),
  },
  'big-answer': { tries: 'an answer larger than its memory', holds: ENDED, run: () => new Response('x'.repeat(400 * MIB)) },
  'slow-answer': {
    tries: 'an answer of one byte now and then, without end',
    holds: BROKEN_OFF,
    run: () => answerOf(() => new Promise((resolve) => setTimeout(() => resolve(Buffer.from('.')), 100))),
  },
  'endless-answer': { tries: 'an answer without end', holds: BROKEN_OFF, run: () => answerOf(async () => Buffer.alloc(64 * 1024)) },
  'broken-answer': {
    tries: 'an answer that throws half way',
    holds: BROKEN_OFF,
    run: () => {
      let n = 0;
      return answerOf(async () => {
        if (n++ > 3) throw new Error('half way');
        return Buffer.alloc(100_000);
      });
    },
  },
};

function sparseFile(): string {
  fs.writeFileSync('/tmp/sparse', '');
  fs.truncateSync('/tmp/sparse', 2 ** 50);
  return 'made';
}

function forkBomb(): string {
  const children: ChildProcess[] = [];
  for (;;) {
    const child = spawn('sleep', ['100'], { stdio: 'ignore' });
    child.on('error', () => {});
    if (child.pid === undefined) break;
    children.push(child);
  }
  // Room for the attacks to come, in this same sandbox.
  for (const child of children) child.kill('SIGKILL');
  return `EAGAIN after ${children.length}`;
}

async function threadBomb(): Promise<string> {
  for (;;) {
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    kept.push(worker);
    const failed = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      worker.on('online', () => resolve(undefined));
      worker.on('error', resolve);
    });
    if (failed !== undefined) return String(failed.code);
  }
}

function leaveBehind(): void {
  spawnSync('sh', ['-c', `for i in 1 2 3 4 5; do setsid sh -c "trap '' TERM HUP INT; ${SLEEPERS}" >/dev/null 2>&1 & done`]);
  process.exit(3);
}

function childBomb(): unknown {
  const script = 'const kept = []; for (;;) kept.push(Buffer.alloc(8 << 20, 1))';
  for (let n = 0; n < 3; n++) spawn(process.execPath, ['-e', script], { stdio: 'ignore' }).on('error', () => {});
  return new Promise(() => {});
}

/** memfd_create(2). */
function fileMemoryBomb(): void {
  const fd = Number(systemCallByNumber(process.arch === 'arm64' ? 279 : 319, 'memory', 0));
  for (;;) fs.writeSync(fd, Buffer.alloc(8 * MIB, 1));
}

function socketBomb(): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => void kept.push(socket.pause())).listen('/tmp/own.sock');
    const more = (): void => {
      if (kept.length > 3_000) return resolve('full');
      const socket = connect('/tmp/own.sock');
      kept.push(socket);
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      socket.on('connect', () => {
        socket.write(Buffer.alloc(MIB));
        setImmediate(more);
      });
    };
    server.on('listening', more);
    server.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

async function microtasks(): Promise<void> {
  for (;;) await Promise.resolve();
}

function ignoreEnd(): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const) process.on(signal, () => {});
  process.on('exit', () => {
    for (;;);
  });
  return new Promise(() => {});
}

function answerOf(next: () => Promise<Buffer>): Response {
  return new Response(new ReadableStream({ pull: async (controller) => controller.enqueue(await next()) }));
}

export default {
  async fetch(request: Request, context: { params: { name: string } }): Promise<Response> {
    const { name } = context.params;
    if (name === 'upload') return new Response(String((await request.arrayBuffer()).byteLength));
    if (name === 'nothing') return new Response('done');
    process.chdir('/tmp');
    try {
      const result = await ATTACKS[name]!.run();
      return result instanceof Response ? result : new Response(String(result));
    } catch (error) {
      return new Response(String((error as NodeJS.ErrnoException).code ?? error));
    }
  },
};
