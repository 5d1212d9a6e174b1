// Every way to write a function, deployed from source and called over HTTP and by `virga invoke`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from './virga.ts';
import type { Virga } from './virga.ts';

const PROJECT = {
  'virga.yaml': `
project: styles
functions:
  web:
    source: web.ts
    concurrency: 10
    http: [{ path: '/web/{rest+}' }]
  web24:
    source: web.ts
    runtime: nodejs24
    http: [{ path: '/web24/{rest+}' }]
  handler:
    source: handler.mjs
    env: { GREETING: hello }
    http: [{ path: '/handler/{id}', methods: [GET, POST] }]
  common:
    source: common.cjs
    http: [{ path: /common }]
  named:
    source: named.ts
    handler: other
    http: [{ path: /named }]
  python:
    source: py/main.py
    http: [{ path: '/python/{id}' }]
  pyasync:
    source: py/later.py
    handler: run
    concurrency: 4
    http: [{ path: /pyasync }]
  counter:
    source: counter.ts
    instances: { max: 1 }
    http: [{ path: /counter }]
  chatty:
    source: chatty.ts
    concurrency: 5
    instances: { max: 1 }
    http: [{ path: '/chatty/{name}' }]
`,
  'web.ts': `
interface Ctx { invocationId: string; project: string; function: string; version: number; deadline: Date; params: Record<string, string>; traceparent: string }
const booted: string = await Promise.resolve('yes');
export default {
  async fetch(request: Request, context: Ctx): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname.endsWith('/echo')) return new Response(request.body, { headers: { 'content-type': request.headers.get('content-type') ?? 'application/octet-stream' } });
    if (url.pathname.endsWith('/cookies')) {
      const headers = new Headers();
      headers.append('set-cookie', 'a=1; Path=/');
      headers.append('set-cookie', 'b=2');
      return new Response(null, { status: 204, headers });
    }
    return Response.json({
      booted, method: request.method, path: url.pathname, query: url.search, node: process.version.split('.')[0],
      project: context.project, function: context.function, version: context.version, params: context.params,
      remaining: context.deadline.getTime() - Date.now() > 0, trace: context.traceparent, standard: request instanceof Request,
    });
  },
  async event(event: { n: number }, context: Ctx) {
    return { doubled: event.n * 2, id: context.invocationId };
  },
};`,
  'handler.mjs': `
export const handler = async (event, context) => {
  if (event.requestContext === undefined) return { direct: event, name: context.function };
  return {
    statusCode: 201,
    headers: { 'content-type': 'application/json', 'x-greeting': process.env.GREETING },
    cookies: ['c=3'],
    body: JSON.stringify({ id: event.pathParameters.id, q: event.queryStringParameters ?? null, method: event.requestContext.http.method, body: event.body ?? null, base64: event.isBase64Encoded }),
  };
};`,
  'common.cjs': `
const { basename } = require('node:path');
exports.handler = async () => ({ file: basename(__filename).length > 0, plain: true });`,
  'named.ts': `export const other = async () => 'from other';`,
  'py/main.py': `
import json, os
from helper import shout

def handler(event, context):
    if "requestContext" not in event:
        return {"direct": event, "function": context.function}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps({"id": event["pathParameters"]["id"], "shout": shout("hi"), "version": context.version})}
`,
  'py/helper.py': 'def shout(text):\n    return text.upper() + "!"\n',
  'py/later.py': `
import asyncio

async def run(event, context):
    await asyncio.sleep(0.05)
    print("slept")
    return {"slept": True}
`,
  'counter.ts': `let n = 0; export default { fetch: () => new Response(String(++n)) };`,
  'chatty.ts': `
export default { async fetch(request: Request, context: { params: { name: string }; log: { warn(text: string, fields?: object): void } }) {
  const { name } = context.params;
  for (let i = 0; i < 3; i++) { console.log(name, i); await new Promise((resolve) => setTimeout(resolve, 5)); }
  context.log.warn('done ' + name, { name });
  return new Response(name);
} };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

const json = async (response: Response): Promise<Record<string, unknown>> => (await response.json()) as Record<string, unknown>;

test('web style: a standard Request in, a standard Response out, on both Nodes', async () => {
  for (const [prefix, node] of [
    ['/web', 'v26'],
    ['/web24', 'v24'],
  ] as const) {
    const body = await json(await virga.fetch('styles', `${prefix}/a/b%20c?x=1&y=2`));
    assert.deepEqual(
      { ...body, trace: undefined },
      {
        booted: 'yes',
        method: 'GET',
        path: `${prefix}/a/b%20c`,
        query: '?x=1&y=2',
        node,
        project: 'styles',
        function: prefix.slice(1),
        version: 1,
        params: { rest: 'a/b c' },
        remaining: true,
        trace: undefined,
        standard: true,
      },
    );
    assert.match(String(body['trace']), /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  }
});

test('binary bodies, cookies and empty answers survive the way there and back', async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(65_000));
  const echoed = await virga.fetch('styles', '/web/echo', { method: 'PUT', body: bytes, headers: { 'content-type': 'image/x-test' } });
  assert.equal(echoed.headers.get('content-type'), 'image/x-test');
  assert.deepEqual(new Uint8Array(await echoed.arrayBuffer()), bytes);
  const cookies = await virga.fetch('styles', '/web/cookies');
  assert.equal(cookies.status, 204);
  assert.deepEqual(cookies.headers.getSetCookie(), ['a=1; Path=/', 'b=2']);
  const head = await virga.fetch('styles', '/web/x', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
});

test('handler style gets the API Gateway event and its answer is understood', async () => {
  const got = await virga.fetch('styles', '/handler/7?a=b');
  assert.equal(got.status, 201);
  assert.equal(got.headers.get('x-greeting'), 'hello');
  assert.deepEqual(got.headers.getSetCookie(), ['c=3']);
  assert.deepEqual(await json(got), { id: '7', q: { a: 'b' }, method: 'GET', body: null, base64: false });
  const posted = await json(
    await virga.fetch('styles', '/handler/8', { method: 'POST', body: '{"k":1}', headers: { 'content-type': 'application/json' } }),
  );
  assert.equal(posted['body'], '{"k":1}');
  const refused = await virga.fetch('styles', '/handler/8', { method: 'DELETE' });
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
});

test('CommonJS, a named export, Python, async Python', async () => {
  assert.deepEqual(await json(await virga.fetch('styles', '/common')), { file: true, plain: true });
  assert.match(await (await virga.fetch('styles', '/named')).text(), /from other/);
  assert.deepEqual(await json(await virga.fetch('styles', '/python/9')), { id: '9', shout: 'HI!', version: 1 });
  const answers = await Promise.all([1, 2, 3, 4].map(async () => json(await virga.fetch('styles', '/pyasync'))));
  assert.deepEqual(
    answers,
    Array.from({ length: 4 }, () => ({ slept: true })),
  );
});

test('virga invoke calls the event export, the handler, and Python with the payload', async () => {
  const web = await virga.cli(['invoke', 'web', '--project', 'styles', '--data', '{"n":21}', '--json']);
  assert.equal(web.code, 0, web.stderr);
  assert.match(web.stdout, /"doubled":\s*42/);
  const handler = await virga.cli(['invoke', 'handler', '--project', 'styles', '--data', '{"x":[1]}']);
  assert.deepEqual(handler.json(), { direct: { x: [1] }, name: 'handler' });
  const python = await virga.cli(['invoke', 'python', '--project', 'styles', '--data', '{"x":2}']);
  assert.deepEqual(python.json(), { direct: { x: 2 }, function: 'python' });
});

test('module state lives between calls of one instance', async () => {
  assert.equal(await (await virga.fetch('styles', '/counter')).text(), '1');
  assert.equal(await (await virga.fetch('styles', '/counter')).text(), '2');
});

test('log lines carry the id of their invocation, also with several at once in one instance', async () => {
  const names = ['ann', 'bob', 'cid', 'dan', 'eve'];
  const ids = await Promise.all(
    names.map(async (name) => (await virga.fetch('styles', `/chatty/${name}`)).headers.get('x-virga-invocation')),
  );
  for (const [i, name] of names.entries()) {
    const lines = await eventually(async () => {
      const logs = await virga.cli(['logs', 'chatty', '--project', 'styles', '--invocation', ids[i]!, '--json']);
      assert.equal(logs.code, 0, logs.stderr);
      const texts = [...logs.stdout.matchAll(/"text":\s*"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]!);
      return texts.length >= 4 ? texts : undefined;
    });
    assert.equal(lines.length, 4);
    assert.ok(
      lines.every((line) => line.includes(name)),
      JSON.stringify(lines),
    );
  }
});

test('every call leaves a record with its receipt', async () => {
  await virga.fetch('styles', '/counter');
  const list = await eventually(async () => {
    const result = await virga.cli(['invocations', 'counter', '--project', 'styles', '--json']);
    assert.equal(result.code, 0, result.stderr);
    const items = result.json<{ items?: unknown[] } | unknown[]>();
    const records = (Array.isArray(items) ? items : (items.items ?? [])) as {
      outcome: string;
      receipt: { cold: boolean; billedMs: number };
      request: string;
    }[];
    return records.length >= 3 ? records : undefined;
  });
  assert.ok(list.every((record) => record.outcome === 'ok' && record.request === 'GET /counter' && record.receipt.billedMs >= 1));
  assert.equal(list.filter((record) => record.receipt.cold).length, 1);
});
