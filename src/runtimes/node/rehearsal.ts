// A blank guest that waits for its code rehearses: it lets Node load what a first invocation needs, and runs one through
// the very code that will serve, with an outlet that leads nowhere. Invariant: nothing that user code can see changes.
// It begins only after the guest has been idle for a moment (a guest that is wanted at once loads only what its function
// uses), and goes in steps of a few ms, so that INIT never waits for more than one. Called by guest.ts.
//
// Measured on 2 cores, Node 26: naming `Response` for the first time loads undici with TLS, zlib and HTTP/2, 18-21 ms;
// the first Request and Response then take 1.5 ms more. From INIT to the answer of a web-style hello: 24.7 ms without,
// 2.6 ms with a rehearsal (handler style: 3.7 and 2.6). The price: 20 ms of CPU at idle priority and 6 MB of private memory
// in each blank (15.5 instead of 9.3). The form lambda at last: its chunk takes 2 ms to load, and its first call 1 ms more than a
// second one; from INIT to the answer 2.7 ms with it rehearsed, 2.4 ms for our own form. The price: 0.4 MB and 4 ms.
// Workers and WebAssembly after it: 3.6 instead of 7.3 ms, and 2.3 instead of 7.2, for 0.9 MB. A program behind AWS Lambda's runtime
// API at the end, with the pipes for what it writes: 9 instead of 18 ms with a compiled one, for 0.7 MB and 15 ms of CPU.
import { Flag, FrameReader, FrameType, encodeMetaFrame } from '../../protocol/frames.ts';
import type { HttpRequestMeta, InitPayload } from '../../protocol/frames.ts';
import type { Outlet, TickEnd } from './channel.ts';
import { formOf } from './forms/forms.ts';
import type { Form } from './forms/form.ts';
import { importUrl } from './load.ts';
import type { Target } from './load.ts';
import { LogRecords } from './log-records.ts';
import { PeakMemory } from './peak-memory.ts';
import { Server } from './serve.ts';
import { StandardStreams } from './standard-streams.ts';

/** A guest that the host waits for gets its INIT within this time of its HELLO, ms. */
const IDLE_MS = 20;
/** Of one step, and how many there may be: in all more than the young space of any sandbox at its beginning. */
const GARBAGE_BYTES = 64 * 1024;
const GARBAGE_STEPS_MAX = 64;
/** What undici requires, in its order, so that each is a step of its own; then what a form needs that starts a program. */
const MODULES = ['node:tls', 'node:zlib', 'node:http', 'node:http2', 'node:stream/web', 'node:url', 'node:child_process'] as const;

/** The commonest first, since a guest may be wanted at any moment. */
const FORMS = [
  { name: 'lambda', method: 'POST' },
  { name: 'workers', method: 'GET' },
  { name: 'wasm', method: 'GET' },
  { name: 'provided', method: 'GET' },
];

const META: HttpRequestMeta = {
  kind: 'http',
  id: 'inv_',
  trace: '',
  method: 'GET',
  url: 'http://rehearsal.internal/',
  headers: ['accept', '*/*'],
  route: '/',
  params: {},
  client: '',
};
const INIT: InitPayload = {
  project: '',
  function: 'rehearsal',
  version: 0,
  codeFolder: '/',
  handler: '',
  runtime: '',
  env: {},
  memoryMiB: 0,
  timeoutMs: 1000,
  concurrency: 1,
  logBytesPerSecond: 1,
};

/** Returns a function that ends it; the step under way is finished. */
export function rehearseWhenIdle(): () => void {
  let ended = false;
  const steps = stepsOf();
  const next = (): void => {
    if (ended || steps.next().done === true) return;
    setImmediate(next);
  };
  const timer = setTimeout(next, IDLE_MS);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

function* stepsOf(): Generator<void> {
  for (const name of MODULES) {
    process.getBuiltinModule(name);
    yield;
  }
  void globalThis.Headers;
  yield;
  void importUrl('data:text/javascript,');
  yield;
  const web: Target = { fetch: () => new Response('hello') };
  serveOnce(web, META, undefined);
  yield;
  const handler: Target = { handler: async () => ({ statusCode: 200, body: 'hello' }) };
  serveOnce(handler, { ...META, method: 'POST' }, Buffer.from('{}'));
  yield;
  // Forms of other clouds: the chunk of each (2 ms), then a call.
  const log = new LogRecords(new Nowhere());
  for (const { name, method } of FORMS) {
    let form: Form | undefined;
    void formOf(name).then((there) => (form = there));
    yield;
    if (form?.rehearsed === undefined) continue;
    serveOnce(form.rehearsed(INIT, { log, channel: { ref() {}, unref() {} } }), { ...META, method }, Buffer.from('{}'));
    yield;
  }
  yield* emptyYoungSpace();
}

/**
 * What the rehearsal has left in V8's young space is collected now, not in the middle of the first call (1.2 ms, wherever it
 * happened to be full): garbage is made until that is seen to begin.
 */
function* emptyYoungSpace(): Generator<void> {
  let used = process.memoryUsage().heapUsed;
  for (let step = 0; step < GARBAGE_STEPS_MAX; step++) {
    for (let i = 0; i < GARBAGE_BYTES / 1024; i++) void Array.from({ length: 126 }, () => i);
    const now = process.memoryUsage().heapUsed;
    if (now < used) return;
    used = now;
    yield;
  }
}

function serveOnce(target: Target, meta: HttpRequestMeta, body: Buffer | undefined): void {
  const outlet = new Nowhere();
  const log = new LogRecords(outlet);
  const server = new Server({ outlet, init: INIT, target, log, streams: new StandardStreams(log), memory: new PeakMemory(outlet) });
  const reader = new FrameReader((frame) => server.onFrame(frame));
  reader.push(encodeMetaFrame(FrameType.REQUEST, meta, body, { flags: Flag.END, stream: 1, arg: 1000 }));
}

class Nowhere implements Outlet {
  readonly congestion = 0;
  send(): void {}
  sendNow(): void {}
  flush(): void {}
  defer(writer: TickEnd): void {
    process.nextTick(() => writer.atTickEnd());
  }
  drained(): Promise<void> {
    return Promise.resolve();
  }
}
