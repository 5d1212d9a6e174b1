import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { VirgaControl } from './control.ts';
import type { LogLine } from './control.ts';

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server that answers as told, and a client of it. */
async function start(answer: Answer): Promise<{ virga: VirgaControl } & AsyncDisposable> {
  const server = createServer((request, response) => answer(request, response, new URL(request.url!, 'http://x')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const virga = new VirgaControl({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, token: 'vrg_test' });
  return {
    virga,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const json = (response: ServerResponse, value: unknown, status = 200): void =>
  void response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_1' }).end(JSON.stringify(value));

const line = (id: string): LogLine => ({
  id,
  at: 1,
  project: 'p',
  function: 'f',
  version: 1,
  invocation: '',
  instance: 'i',
  level: 'info',
  text: id,
});

test('an error of the API arrives with code, status, message, request id and detail', async () => {
  await using server = await start((_request, response) =>
    json(
      response,
      { error: { code: 'artifacts_missing', message: 'gone', fault: 'caller', requestId: 'req_7', detail: { missing: ['a'] } } },
      409,
    ),
  );
  await assert.rejects(server.virga.deploy('p', { functions: {}, routes: [] }), {
    name: 'VirgaApiError',
    code: 'artifacts_missing',
    status: 409,
    message: 'gone',
    requestId: 'req_7',
    fault: 'caller',
    detail: { missing: ['a'] },
  });
});

test('a server that is not there, not Virga, or too slow is told apart', async () => {
  await assert.rejects(new VirgaControl({ url: 'http://127.0.0.1:1', token: 't' }).status(), {
    code: 'unreachable',
    status: 0,
    message: /127\.0\.0\.1:1 cannot be reached.*virga start/,
  });
  await using other = await start((_request, response) => void response.writeHead(502).end('<html>proxy'));
  await assert.rejects(other.virga.status(), { code: 'bad_answer', status: 502, message: /<html>proxy/ });
  await using page = await start((_request, response) => void response.end('<html>'));
  await assert.rejects(page.virga.status(), { code: 'bad_answer', status: 200 });
  await using silent = await start(() => {});
  await assert.rejects(new VirgaControl({ url: silent.virga.url, token: 't', timeoutMs: 30 }).status(), {
    code: 'unreachable',
    message: /no answer within 30 ms/,
  });
});

test("the caller's own abort is passed on as it is", async () => {
  await using server = await start(() => {});
  const reason = new Error('changed my mind');
  const abort = new AbortController();
  const asked = server.virga.status({ signal: abort.signal });
  abort.abort(reason);
  await assert.rejects(asked, (error) => error === reason);
});

test('names are encoded, and the token goes along', async () => {
  const seen: string[] = [];
  await using server = await start((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    json(response, {});
  });
  await server.virga.project('a/../b?c');
  assert.deepEqual(seen, ['GET /v1/projects/a%2F..%2Fb%3Fc Bearer vrg_test']);
});

test('a list is iterated page by page, only as far as it is wanted', async () => {
  const cursors: (string | null)[] = [];
  await using server = await start((_request, response, url) => {
    const cursor = url.searchParams.get('cursor');
    cursors.push(cursor);
    const page = Number(cursor ?? 0);
    json(response, { items: [{ name: `p${page * 2}` }, { name: `p${page * 2 + 1}` }], next: page < 2 ? String(page + 1) : null });
  });
  const names: string[] = [];
  for await (const project of server.virga.projects()) names.push(project.name);
  assert.deepEqual(names, ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']);
  assert.deepEqual(cursors, [null, '1', '2']);
  for await (const project of server.virga.projects()) if (project.name === 'p1') break;
  assert.equal(cursors.length, 4);
  assert.equal((await server.virga.projects().page({ limit: 2 })).next, '1');
});

test('an upload streams with its length and reports its progress', async () => {
  let received = 0;
  await using server = await start((request, response) => {
    assert.equal(request.headers['content-length'], '300000');
    request.on('data', (chunk: Buffer) => (received += chunk.length));
    request.on('end', () => json(response, { sha256: 'a', bytes: received }, 201));
  });
  const progress: number[] = [];
  const answer = await server.virga.uploadArtifact('a', new Uint8Array(300_000), {
    bytes: 300_000,
    onProgress: ({ sentBytes }) => progress.push(sentBytes),
  });
  assert.equal(answer.bytes, 300_000);
  assert.deepEqual(progress, [65_536, 131_072, 196_608, 262_144, 300_000]);
});

test('an upload that is refused before its end rejects with the reason', async () => {
  await using server = await start((request, response) => {
    json(response, { error: { code: 'artifact_too_large', message: 'too large', fault: 'caller', requestId: 'r' } }, 413);
    request.resume();
  });
  let pulled = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; ; pulled++) yield new Uint8Array(65_536);
  }
  await assert.rejects(server.virga.uploadArtifact('a', endless(), { bytes: 10_000_000_000 }), { code: 'artifact_too_large' });
});

test('a source that is shorter than promised fails the upload', async () => {
  await using server = await start((request) => void request.resume());
  await assert.rejects(server.virga.uploadArtifact('a', new Uint8Array(10), { bytes: 11 }), /ended after 10 bytes of the promised 11/);
});

test('following takes a lost connection up after the last line, none twice, and ends with the signal', async () => {
  const afters: (string | null)[] = [];
  await using server = await start((_request, response, url) => {
    afters.push(url.searchParams.get('after'));
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'x-virga-after': 'log_0' });
    if (afters.length === 1) return void response.end('\n');
    if (afters.length === 2) return void response.end(`${JSON.stringify(line('log_1'))}\n\n${JSON.stringify(line('log_2'))}\n`);
    if (afters.length === 3) return void response.write(`${JSON.stringify(line('log_3'))}\n{"cut`, () => response.destroy());
    response.write(`${JSON.stringify(line('log_4'))}\n`);
  });
  const stop = new AbortController();
  const ids: string[] = [];
  for await (const { id } of server.virga.followLogs('p', { last: 5, signal: stop.signal })) {
    ids.push(id);
    if (id === 'log_4') stop.abort();
  }
  assert.deepEqual(ids, ['log_1', 'log_2', 'log_3', 'log_4']);
  assert.deepEqual(afters, [null, 'log_0', 'log_2', 'log_3']);
});

test('following fails at once when it is refused, and after a while when the server stays away', async () => {
  await using server = await start((_request, response) =>
    json(response, { error: { code: 'project_not_found', message: 'no', fault: 'caller', requestId: 'r' } }, 404),
  );
  await assert.rejects(server.virga.followLogs('p').next(), { code: 'project_not_found' });
  await assert.rejects(new VirgaControl({ url: 'http://127.0.0.1:1', token: 't' }).followLogs('p').next(), { code: 'unreachable' });
  let connections = 0;
  await using flaky = await start((_request, response) => {
    if (connections++ > 0) return void response.destroy();
    response.writeHead(200).end(`${JSON.stringify(line('log_1'))}\n`);
  });
  const lines = flaky.virga.followLogs('p', { reconnectMs: 250 });
  assert.equal((await lines.next()).value?.id, 'log_1');
  await assert.rejects(lines.next(), { code: 'unreachable' });
  assert.equal(connections, 2);
});
