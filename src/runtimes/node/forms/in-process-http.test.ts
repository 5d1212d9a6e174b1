// The exchange without a network: what Node's own request and response say and do must be what they would over one.
import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { ResponseMeta } from '../../../protocol/frames.ts';
import { exchange, wholeBody } from './in-process-http.ts';
import type { Incoming, Sink } from './in-process-http.ts';

class Answered implements Sink {
  closed = false;
  onCancel: (() => void) | undefined;
  meta: ResponseMeta | undefined;
  bodiless = false;
  ended = false;
  readonly chunks: Buffer[] = [];
  /** Waited for after each chunk. */
  slow: Promise<void> | undefined;

  head(meta: ResponseMeta): void {
    this.meta = meta;
  }
  empty(meta: ResponseMeta): void {
    this.meta = meta;
    this.bodiless = true;
  }
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.chunks.push(Buffer.from(chunk));
    return this.slow;
  }
  end(): void {
    this.ended = true;
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

function incoming(method: string, headers: string[] = [], body = wholeBody(Buffer.alloc(0))): Incoming {
  return { meta: { method, url: 'http://tour.localhost:8080/a/b?c=1', headers, client: '192.0.2.7' }, body };
}

async function run(listener: (request: IncomingMessage, response: ServerResponse) => unknown, from = incoming('GET')): Promise<Answered> {
  const answer = new Answered();
  await exchange((request, response) => void listener(request, response), { incoming: from, answer });
  return answer;
}

test('the request is what a server makes of one', async () => {
  const answer = await run(
    (request, response) => {
      const { method, url, httpVersion, headers, headersDistinct, rawHeaders, socket } = request;
      response.end(
        JSON.stringify({
          method,
          url,
          httpVersion,
          headers,
          distinct: headersDistinct['x-a'],
          raw: rawHeaders.length,
          address: socket.remoteAddress,
        }),
      );
    },
    incoming('GET', ['Host', 'h', 'X-A', '1', 'x-a', '2', 'Cookie', 'a=1', 'cookie', 'b=2']),
  );
  assert.deepEqual(JSON.parse(answer.text), {
    method: 'GET',
    url: '/a/b?c=1',
    httpVersion: '1.1',
    headers: { host: 'h', 'x-a': '1, 2', cookie: 'a=1; b=2' },
    distinct: ['1', '2'],
    raw: 10,
    address: '192.0.2.7',
  });
});

test('a body is read whole and as a stream, with its length or without', async () => {
  const read = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    response.end(`${text} ${request.complete} ${request.headers['content-length']} ${request.headers['transfer-encoding']}`);
  };
  assert.equal(
    (await run(read, incoming('POST', ['content-length', '5'], wholeBody(Buffer.from('whole'))))).text,
    'whole true 5 undefined',
  );
  const chunks = [new Uint8Array(Buffer.from('in ')), new Uint8Array(Buffer.from('parts'))];
  const parts = { whole: undefined, toStream: () => ReadableStream.from(chunks) };
  assert.equal((await run(read, { ...incoming('POST'), body: parts })).text, 'in parts true undefined chunked');
  assert.equal((await run(read)).text, ' true undefined undefined');
});

test('a request that Express has given another prototype is still read', async () => {
  const answer = await run(
    (request, response) => {
      Object.setPrototypeOf(request, Object.create(IncomingMessage.prototype) as object);
      request.on('data', (chunk) => response.end(chunk));
    },
    incoming('POST', [], wholeBody(Buffer.from('still'))),
  );
  assert.equal(answer.text, 'still');
});

test('status and headers, of whichever call, and none of the connection', async () => {
  const answer = await run((_, response) => {
    response.setHeader('X-One', '1');
    response.appendHeader('Set-Cookie', ['a=1', 'b=2']);
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.writeHead(418, 'Teapot', { 'X-Two': 'zwei', connection: 'keep-alive', 'transfer-encoding': 'chunked' });
    response.write('a');
    response.end('b');
  });
  assert.deepEqual(answer.meta, { status: 418, headers: ['X-One', '1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Two', 'zwei'] });
  assert.deepEqual([answer.text, answer.ended], ['ab', true]);
});

test('answers without a body', async () => {
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    const answer = await run(
      (_, response) => response.writeHead(status, { 'content-length': status === 200 ? 5 : 0 }).end(),
      incoming(method),
    );
    assert.deepEqual([answer.meta!.status, answer.bodiless, answer.text], [status, true, '']);
  }
});

test('a reader that is slow slows the writer', async () => {
  const answer = new Answered();
  const { promise, resolve } = Promise.withResolvers<void>();
  answer.slow = promise;
  let full = false;
  let needed = true;
  const done = exchange(
    (_, response) => {
      full = !response.write('x'.repeat(100_000));
      response.once('drain', () => {
        needed = response.writableNeedDrain;
        response.end('end');
      });
    },
    { incoming: incoming('GET'), answer },
  );
  assert.equal(full, true);
  await new Promise((next) => setImmediate(next));
  assert.equal(answer.ended, false);
  resolve();
  await done;
  assert.equal(needed, false);
  assert.equal(answer.text.length, 100_003);
});

test('a client that leaves is heard by request and response; a response that is destroyed is a failure', async () => {
  const answer = new Answered();
  const heard: string[] = [];
  const left = exchange(
    (request, response) => {
      request.on('aborted', () => heard.push('aborted'));
      response.on('close', () => heard.push('close'));
      response.write('begun');
    },
    { incoming: incoming('POST', [], { whole: undefined, toStream: () => new ReadableStream() } as never), answer },
  );
  await new Promise((next) => setImmediate(next));
  answer.onCancel!();
  await assert.rejects(left, { name: 'AbortError' });
  await new Promise((next) => setImmediate(next));
  assert.deepEqual(heard.toSorted(), ['aborted', 'close']);
  await assert.rejects(
    run((_, response) => response.destroy()),
    { message: 'its response was destroyed before it was complete' },
  );
});
