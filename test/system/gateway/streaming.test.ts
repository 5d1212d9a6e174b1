// Answers that stream: each chunk leaves when it is made, a client that leaves stops the function, one that does not read holds it
// back, and server-sent events reach an EventSource (Node's), which comes back when the function's time is over. A chunk is made
// only when the one before has arrived, so what is held anywhere on the way never comes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: streams
defaults: {instances: {max: 1}, concurrency: 20}
functions:
  node:
    source: node.mjs
    http: /node/{what}
  python:
    source: stream.py
    http: /python/{what}
  brief:
    source: brief.mjs
    timeout: 1s
    http: GET /brief
`,
  'node.mjs': `
let go = Promise.withResolvers();
let left = Promise.withResolvers();
let produced = 0;
const encoder = new TextEncoder();
async function* steps(text) {
  for (let n = 1; n <= 5; n++) {
    yield encoder.encode(text(n));
    await go.promise;
    go = Promise.withResolvers();
  }
}
export default { async fetch(request, { params }) {
  switch (params.what) {
    case 'steps':
      return new Response(ReadableStream.from(steps((n) => 'chunk ' + n)));
    case 'events':
      return new Response(ReadableStream.from(steps((n) => 'id: ' + n + '\\nevent: step\\ndata: {"n":' + n + '}\\n\\n')), {
        headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
      });
    case 'go':
      go.resolve();
      return new Response();
    case 'endless': {
      produced = 0;
      left = Promise.withResolvers();
      request.signal.addEventListener('abort', () => left.resolve('aborted'));
      return new Response(new ReadableStream({
        pull(controller) { produced += 65536; controller.enqueue(new Uint8Array(65536)); },
        cancel() { left.resolve('cancelled'); },
      }));
    }
    case 'produced':
      return new Response(String(produced));
    case 'left':
      return new Response(await left.promise);
  }
} };`,
  'stream.py': `
import threading
go = threading.Semaphore(0)
closed = threading.Event()

def steps():
    try:
        for n in range(1, 6):
            yield "chunk %d" % n
            go.acquire()
    finally:
        closed.set()

def handler(event, context):
    what = event["pathParameters"]["what"]
    if what == "steps":
        return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": steps()}
    go.release()
    return "ok"
`,
  'brief.mjs': `
export default { fetch(request) {
  const from = Number(request.headers.get('last-event-id') ?? 0);
  return new Response(new ReadableStream({ start(controller) {
    controller.enqueue(new TextEncoder().encode('retry: 10\\nid: ' + (from + 1) + '\\ndata: event ' + (from + 1) + '\\n\\n'));
  } }), { headers: { 'content-type': 'text/event-stream' } });
} };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const ask = async (path: string, init?: RequestInit) => await virga.fetch('streams', path, init);

for (const language of ['node', 'python']) {
  test(`${language}: a chunk arrives before the next one is made`, async () => {
    const answer = await ask(`/${language}/steps`);
    const reader = answer.body!.getReader();
    assert.equal(answer.headers.get('content-encoding'), null);
    for (let n = 1; n <= 5; n++) {
      const { value } = await reader.read();
      assert.equal(Buffer.from(value).toString(), `chunk ${n}`);
      await (await ask(`/${language}/go`, { method: 'POST' })).text();
    }
    assert.equal((await reader.read()).done, true);
  });
}

/** An EventSource of Node's own, in a process of its own, since it stands behind a flag: each event is a line of its stdout. */
function eventSource(url: string, type: string) {
  const program = `const source = new EventSource(process.argv[1]);
    source.addEventListener(process.argv[2], ({ data, lastEventId }) => console.log(lastEventId + ' ' + data));
    // Node's waits for its turn to connect again without keeping the process alive.
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--no-warnings', '--experimental-eventsource', '-e', program, url, type], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => (await lines.next()).value as string,
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'close');
    },
  };
}

test('server-sent events come to an EventSource one by one', async () => {
  await using source = eventSource(`${virga.edgeUrl}/@streams/node/events`, 'step');
  for (let n = 1; n <= 4; n++) {
    assert.equal(await source.next(), `${n} {"n":${n}}`);
    await ask('/node/go');
  }
});

test("a stream lasts at most as long as the function's timeout; an EventSource goes on where it was", async () => {
  await using source = eventSource(`${virga.edgeUrl}/@streams/brief`, 'message');
  for (let n = 1; n <= 3; n++) assert.equal(await source.next(), `${n} event ${n}`);
});

test('a client that leaves stops the function', async () => {
  const leaving = new AbortController();
  const answer = await ask('/node/endless', { signal: leaving.signal });
  const reader = answer.body!.getReader();
  await reader.read();
  leaving.abort();
  assert.match(await (await ask('/node/left')).text(), /aborted|cancelled/);
});

test('a client that does not read holds the function back', async () => {
  const socket = connect(Number(new URL(virga.edgeUrl).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write('GET /@streams/node/endless HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const produced = async () => Number(await (await ask('/node/produced')).text());
  // It is held back once two looks in a row find the same.
  let last = -1;
  const held = await eventually(async () => {
    const now = await produced();
    if (now > 0 && now === last) return now;
    last = now;
    return undefined;
  });
  // The kernel's buffers of two sockets on the way, and the windows of gateway and guest.
  assert.ok(held < 24 * 1024 * 1024, `${held} bytes were made`);
  socket.resume();
  await eventually(async () => ((await produced()) > held + 1024 * 1024 ? true : undefined));
  socket.destroy();
  assert.match(await (await ask('/node/left')).text(), /aborted|cancelled/);
});
