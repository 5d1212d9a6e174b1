// Attacks on the edge by what a function writes itself to fd 3, in the place of its runtime. Deployed by
// hostile-protocol.test.ts. An attack that returns is answered with `done`, by the runtime, if the edge still listens.
import { closeSync, writeSync } from 'node:fs';
import { addressOf, systemCall } from './system-call.ts';

const [INIT, BODY, CREDIT, STOP, HELLO, READY, FAILED, RESPONSE, ERROR, LOG, STATS] = [1, 3, 4, 6, 16, 17, 18, 19, 20, 21, 22] as const;
const END = 1;
const CHANNEL = 3;
const KIB_64 = 64 * 1024;

/** The host numbers the calls of an instance from 1; this is the one that runs. */
let own = 0;

interface Options {
  stream?: number;
  arg?: number;
  flags?: number;
  /** What the header says, where that is a lie. */
  length?: number;
}

function frame(type: number, payload: Buffer | string = '', { stream = own, arg = 0, flags = 0, length }: Options = {}): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(length ?? bytes.length, 0);
  header[4] = type;
  header[5] = flags;
  header.writeUInt32LE(stream, 8);
  header.writeUInt32LE(arg, 12);
  return Buffer.concat([header, bytes]);
}

interface Head {
  status: number | string;
  headers: string[];
  /** What it says to have; as many as it has if not given. */
  count?: number;
}

/** null: no head at all. */
function response(head: Head | null, body = '', options: Options = {}): Buffer {
  const fields = head === null ? [] : ['r', head.status, head.count ?? head.headers.length, ...head.headers];
  const meta = Buffer.from(fields.join('\0'));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(meta.length);
  return frame(RESPONSE, Buffer.concat([length, meta, Buffer.from(body)]), options);
}

/** Waits for room, at most so long in all; then gives up. */
function write(bytes: Buffer, withinMs = 5_000): boolean {
  const until = Date.now() + withinMs;
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(CHANNEL, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || Date.now() > until) return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
  return true;
}

function flood(bytes: Buffer, { times = 1e9, forMs }: { times?: number; forMs: number }): number {
  const until = Date.now() + forMs;
  let taken = 0;
  while (taken < times && Date.now() < until && write(bytes, until - Date.now())) taken++;
  return taken;
}

/** Answers how many of them the host took. */
function floodOfThousands(one: Buffer): number {
  return 1000 * flood(Buffer.concat(Array.from({ length: 1000 }, () => one)), { forMs: 1_500 });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const FINE = { status: 200, headers: ['content-type', 'text/plain'] };
const FEWER_THAN_300_THOUSAND = /^200 done [12]?\d{1,5}$/;
const CRASHED = /^502 function_crashed .*broke the protocol/;

export interface ProtocolAttack {
  tries: string;
  /** Reads `STATUS CODE MESSAGE` of an error, else `STATUS BODY`. */
  holds: RegExp;
  run: () => unknown;
}

export const ATTACKS: Record<string, ProtocolAttack> = {
  'unknown-type': { tries: 'a frame of a type that does not exist', holds: CRASHED, run: () => write(frame(99)) },
  'host-type': {
    tries: 'frames that only the host may send',
    holds: CRASHED,
    run: () => write(Buffer.concat([frame(INIT, '{}'), frame(STOP)])),
  },
  oversized: { tries: 'a frame of 2 GiB', holds: CRASHED, run: () => write(frame(BODY, 'x', { length: 0x7fff_ffff })) },
  truncated: {
    tries: 'half a frame, so that the next one is read wrongly',
    holds: /^50[24] function_(crashed|timeout)/,
    run: () => write(frame(BODY, 'x', { length: 1000 })),
  },
  garbage: { tries: 'a megabyte of noise', holds: CRASHED, run: () => write(Buffer.alloc(1_000_000, 'noise')) },
  'status-99': { tries: 'a status that HTTP does not have', holds: CRASHED, run: () => write(response({ status: 99, headers: [] })) },
  'status-text': { tries: 'a status that is no number', holds: CRASHED, run: () => write(response({ status: '2e2x', headers: [] })) },
  'no-meta': { tries: 'an answer without a head', holds: CRASHED, run: () => write(response(null)) },
  'short-meta': {
    tries: 'a head longer than its frame',
    holds: CRASHED,
    run: () => write(frame(RESPONSE, Buffer.from([255, 255, 0, 0, 123]))),
  },
  'empty-response': { tries: 'an answer of no bytes', holds: CRASHED, run: () => write(frame(RESPONSE)) },
  'second-response': {
    tries: 'two answers to one call',
    holds: /^200 $|terminated|^0 /,
    run: () => write(Buffer.concat([response(FINE), response(FINE)])),
  },
  'body-first': { tries: 'a body before its head', holds: CRASHED, run: () => write(frame(BODY, 'x')) },
  'hello-again': { tries: 'to say HELLO twice', holds: CRASHED, run: () => write(frame(HELLO, '{}', { stream: 0 })) },
  'ready-again': {
    tries: 'to be ready twice',
    holds: CRASHED,
    run: () => write(frame(READY, '{"initMs":0,"loadMs":0,"exports":[]}', { stream: 0 })),
  },
  'failed-again': { tries: 'to fail to load when it has loaded', holds: CRASHED, run: () => write(frame(FAILED, '{}', { stream: 0 })) },
  'other-streams': { tries: 'to answer calls that are not its own', holds: /^200 done$/, run: answerOthers },
  'much-at-once': {
    tries: 'more of an answer in its head than it has credit for',
    holds: CRASHED,
    run: () => write(response(FINE, 'x'.repeat(512 * 1024))),
  },
  'error-null': { tries: 'an error that is none', holds: CRASHED, run: () => write(frame(ERROR, 'null')) },
  'error-deep': { tries: 'an error of half a million brackets', holds: CRASHED, run: () => write(frame(ERROR, '['.repeat(500_000))) },
  'error-long': {
    tries: 'a stack of a megabyte',
    holds: /^502 function_error/,
    run: () => write(frame(ERROR, JSON.stringify({ name: 'E', message: 'm', stack: `long-stack ${'x'.repeat(900_000)}` }))),
  },
  'header-count': {
    tries: 'more headers than there are',
    holds: CRASHED,
    run: () => write(response({ status: 200, headers: ['x-a', 'b'], count: 1_000_000 }, 'x', { flags: END })),
  },
  'header-zero': {
    tries: 'a zero byte in a header, to add another',
    holds: CRASHED,
    run: () => write(response({ status: 200, headers: ['x-a', 'b\0set-cookie\0c=1'] }, 'x', { flags: END })),
  },
  'header-name': {
    tries: 'a header whose name is none',
    holds: /^502 function_bad_response/,
    run: () => write(response({ status: 200, headers: ['a name', 'b'] }, 'x', { flags: END })),
  },
  'header-break': {
    tries: 'a header with a line break, to add another',
    holds: /^502 function_bad_response/,
    run: () => write(response({ status: 200, headers: ['x-a', 'b\r\nset-cookie: c=1'] }, 'x', { flags: END })),
  },
  'header-own': {
    tries: 'headers that only the gateway sets',
    holds: /^200 x$/,
    run: () =>
      write(
        response(
          {
            status: 200,
            headers: ['x-request-id', 'forged', 'transfer-encoding', 'chunked', 'connection', 'close', 'content-length', '100'],
          },
          'x',
          { flags: END },
        ),
      ),
  },
  'logs-of-others': { tries: 'log lines on the streams of other calls', holds: /^200 done$/, run: logForOthers },
  'log-flood': {
    tries: 'log lines as fast as it can write, past the runtime’s limit',
    holds: /^200 done$/,
    run: () => void flood(frame(LOG, 'flood '.repeat(2_700), { arg: 1 }), { times: 6_000, forMs: 3_000 }),
  },
  'log-empty': {
    tries: 'empty log lines without end; counts what the edge took',
    holds: FEWER_THAN_300_THOUSAND,
    run: () => floodOfThousands(frame(LOG, '', { arg: 1 })),
  },
  'log-bad': { tries: 'log lines with NUL, broken UTF-8, an unknown level, a megabyte', holds: /^200 done$/, run: badLogs },
  'tiny-frames': {
    tries: 'frames that say nothing, without end; counts what the edge took',
    holds: FEWER_THAN_300_THOUSAND,
    run: () => floodOfThousands(frame(BODY, '', { stream: 0xffff_0000 })),
  },
  'peak-lie': {
    tries: 'to have used four terabytes',
    holds: /^200 done$/,
    run: () => write(frame(STATS, '', { stream: 0, arg: 0xffff_ffff })),
  },
  descriptors: { tries: 'to fill the edge with open files', holds: /^200 done$/, run: () => Array.from({ length: 500 }, passDescriptors) },
  // A container's runtime keeps the channel open, so that there the deadline ends it.
  'close-channel': { tries: 'to go on without its channel', holds: /^50(2 function_crashed|4 function_timeout)/, run: closeChannel },
};

/** What needs more than one call or a raw connection: named in the test. */
const SPECIAL: Record<string, () => unknown> = {
  'next-call': () => write(response(FINE, 'poisoned', { stream: own + 1, flags: END })),
  endless: () => {
    write(response(FINE));
    flood(frame(BODY, Buffer.alloc(KIB_64)), { times: 4_000, forMs: 4_000 });
  },
  'credit-lie': () => flood(frame(CREDIT, '', { arg: 0xffff_ffff }), { forMs: 1_500 }),
  split: () =>
    write(
      Buffer.concat([
        response({ status: 200, headers: ['content-length', '5'] }),
        frame(BODY, 'helloHTTP/1.1 200 OK\r\nx-smuggled: yes\r\ncontent-length: 0\r\n\r\n', { flags: END }),
      ]),
    ),
  short: () => write(Buffer.concat([response({ status: 200, headers: ['content-length', '50'] }), frame(BODY, 'hello', { flags: END })])),
  hold: () => sleep(400),
  late: async () => {
    const stream = own;
    await sleep(700);
    write(Buffer.concat([response(FINE, 'too late', { stream }), frame(BODY, 'late', { stream, flags: END })]));
  },
};

function answerOthers(): void {
  const others = [0, ...Array.from({ length: 300 }, (_, n) => n + 1), 0xffff_ffff].filter((stream) => stream !== own);
  for (const stream of others) write(Buffer.concat([response(FINE, 'forged', { stream, flags: END }), frame(ERROR, '{}', { stream })]));
}

function logForOthers(): void {
  for (let stream = 0; stream < 300; stream++) write(frame(LOG, 'forged-line', { stream, arg: 3 }));
}

function badLogs(): void {
  write(frame(LOG, Buffer.from([0x61, 0, 0xff, 0xfe, 0xc0, 0x80, 0x62]), { arg: 99 }));
  write(frame(LOG, Buffer.alloc(900_000, 'long-line '), { arg: 1 }));
  write(frame(LOG, 'after-bad-lines', { arg: 1 }));
}

function closeChannel(): Promise<void> {
  closeSync(CHANNEL);
  return sleep(60_000);
}

/** Sends one empty STATS frame with fifty descriptors beside it. */
function passDescriptors(): void {
  const stats = frame(STATS, '', { stream: 0 });
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(stats), 0);
  vector.writeBigUInt64LE(BigInt(stats.length), 8);
  const count = 50;
  const control = Buffer.alloc(16 + 4 * count);
  control.writeBigUInt64LE(BigInt(control.length), 0);
  control.writeInt32LE(1, 8);
  control.writeInt32LE(1, 12);
  for (let n = 0; n < count; n++) control.writeInt32LE(1, 16 + 4 * n);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(addressOf(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(addressOf(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  systemCall('sendmsg', CHANNEL, message, 0x4000);
}

export default {
  async fetch(_: Request, context: { params: { name: string } }): Promise<Response> {
    own++;
    const { name } = context.params;
    const result = await (ATTACKS[name]?.run ?? SPECIAL[name] ?? (() => {}))();
    return new Response(typeof result === 'number' ? `done ${result}` : 'done');
  },
};
