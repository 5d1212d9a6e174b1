// What `virga export --to lambda` writes runs: the zips of a project are deployed as AWS Lambda would be given them (form lambda, the
// template's handler), and answer what the project itself answers. And what the export of a project means for `virga import`, and back.
import assert from 'node:assert/strict';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startVirga, temporaryFolder, writeFiles } from './virga.ts';
import type { CliResult, Virga } from './virga.ts';

const PROJECT = {
  'virga.yaml': `
project: original
functions:
  web:
    source: functions/web.ts
    http: ['/web/{rest+}']
    env: { GREETING: hello }
  module:
    source: functions/module.ts
    handler: fetch
    http: [GET /module]
  handler:
    source: functions/handler.mjs
    http: ['GET,POST /handler/{id}']
  callback:
    source: functions/callback.cjs
    http: [GET /callback]
  named:
    source: functions/named.ts
    handler: other
    http: [GET /named]
  python:
    source: py/main.py
    include: [texts/*]
    http: ['/python/{id}']
  pyasync:
    source: py/later.py
    handler: run
    http: [GET /pyasync]
  classic:
    source: classic/index.js
    handler: index.handler
    form: lambda
    http: ['/classic/{id}']
    layers: [shared]
  pyclassic:
    source: pkg/app.py
    handler: pkg/app.run
    form: lambda
    http: [GET /pyclassic]
  server:
    source: functions/server.mjs
    runtime: web
    http: ['/server/{rest+}']
  program:
    source: program
    runtime: provided
    http: [POST /program]
`,
  'functions/web.ts': `
interface Ctx { function: string; project: string; params: Record<string, string>; invocationId: string; traceparent: string; deadline: Date; signal: AbortSignal; waitUntil(promise: Promise<unknown>): void; log: { info(text: string, fields?: object): void }; remainingMs(): number }
let after = 0;
export default {
  async fetch(request: Request, context: Ctx): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname.endsWith('/echo')) return new Response(request.body, { headers: { 'content-type': request.headers.get('content-type') ?? 'text/plain' } });
    if (url.pathname.endsWith('/cookies')) {
      const headers = new Headers({ 'x-cookies': request.headers.get('cookie') ?? 'none' });
      headers.append('set-cookie', 'a=1; Path=/');
      headers.append('set-cookie', 'b=2');
      return new Response(null, { status: 204, headers });
    }
    if (url.pathname.endsWith('/stream')) {
      const parts = ['one ', 'two ', 'three'];
      return new Response(new ReadableStream({ pull(c) { const part = parts.shift(); if (part === undefined) c.close(); else c.enqueue(new TextEncoder().encode(part)); } }), { status: 203, headers: { 'content-type': 'text/x-parts' } });
    }
    if (url.pathname.endsWith('/later')) {
      context.waitUntil(new Promise<void>((resolve) => setTimeout(() => { after++; resolve(); }, 50)));
      context.waitUntil(Promise.reject(new Error('only logged')));
      return new Response('soon');
    }
    if (url.pathname.endsWith('/after')) return new Response(String(after));
    context.log.info('seen', { path: url.pathname });
    return Response.json({
      method: request.method, path: url.pathname, query: url.search, greeting: process.env['GREETING'], params: context.params,
      function: context.function, project: context.project, body: await request.text(), aborted: context.signal.aborted,
      trace: /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/.test(context.traceparent), id: context.invocationId.length > 8,
      time: context.remainingMs() > 1000 && context.deadline.getTime() > Date.now(), header: request.headers.get('x-mine'),
    });
  },
  async event(event: { n: number }) { return { doubled: event.n * 2 }; },
};`,
  'functions/module.ts':
    'export async function fetch(request: Request): Promise<Response> { return Response.json({ posted: request.method === "POST" ? await request.json() : null }); }',
  'functions/handler.mjs': `
export const handler = async (event, context) => {
  if (event.requestContext === undefined) return { direct: event, name: context.function };
  return { statusCode: 201, headers: { 'content-type': 'application/json' }, cookies: ['c=3'], body: JSON.stringify({ params: context.params, path: event.rawPath, body: event.body ?? null }) };
};`,
  'functions/callback.cjs':
    'exports.handler = (event, context, callback) => { setTimeout(() => callback(null, { called: true, function: context.function }), 5); };',
  'functions/named.ts': "export const other = async (): Promise<string> => 'from other';",
  'functions/server.mjs': `
import { createServer } from 'node:http';
createServer((request, response) => response.end('served ' + request.method + ' ' + new URL(request.url, 'http://x').pathname)).listen(process.env.PORT);`,
  'py/main.py': `
import os
from decimal import Decimal
from helper import shout

def handler(event, context):
    if "requestContext" not in event:
        return {"direct": event, "function": context.function, "trigger": context.trigger}
    what = event["pathParameters"]["id"]
    if what == "bytes":
        return {"statusCode": 200, "headers": {"Content-Type": "image/x", "x-many": ["1", "2"]}, "body": b"\\xff\\x00", "cookies": ["a=1"]}
    if what == "chunks":
        return {"statusCode": 200, "body": (part for part in ("a", "b", b"c"))}
    if what == "value":
        return {"statusCode": 404, "body": {"price": Decimal("1.5")}}
    if what == "text":
        return "plain"
    with open(os.path.join(os.path.dirname(__file__), "texts", "hello.txt")) as file:
        text = file.read()
    context.log.info("seen")
    return {"id": what, "shout": shout(text), "params": context.params, "left": context.remaining_ms() > 1000, "cancelled": context.cancelled.is_set(), "id_there": len(context.invocation_id) > 8}
`,
  'py/helper.py': 'def shout(text):\n    return text.strip().upper() + "!"\n',
  'py/later.py':
    'import asyncio\n\nasync def run(event, context):\n    await asyncio.sleep(0.01)\n    return {"slept": True, "project": context.project}\n',
  'texts/hello.txt': 'hello\n',
  'classic/index.js':
    "const shared = require('/opt/nodejs/shared.js');\nexports.handler = async (event, context) => ({ shared: shared.text, path: event.rawPath, id: event.pathParameters?.id ?? null, name: typeof context.functionName });\n",
  'shared/nodejs/shared.js': "exports.text = 'from the layer';\n",
  'pkg/__init__.py': '',
  'pkg/text.py': 'TEXT = "from its package"\n',
  'pkg/app.py':
    'from pkg.text import TEXT\n\ndef run(event, context):\n    return {"text": TEXT, "limit": int(context.memory_limit_in_mb)}\n',
  'program/bootstrap': `#!/bin/sh
while true; do
  headers=$(mktemp)
  curl -sS -o /tmp/event -D "$headers" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(grep -i '^lambda-runtime-aws-request-id:' "$headers" | tr -d '\\r' | cut -d' ' -f2)
  curl -sS -o /dev/null -d '{"statusCode":200,"body":"from the program"}' "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
`,
};

/** Calls whose answers have to be equal. */
const CALLS: [path: string, init?: RequestInit][] = [
  ['/web/a/b%20c?x=1&y=2&x=3', { headers: { 'x-mine': 'yes' } }],
  ['/web/form', { method: 'POST', body: 'a=1&b=ü', headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
  ['/web/echo', { method: 'PUT', body: Buffer.from([0, 255, 128, 10]), headers: { 'content-type': 'image/x-test' } }],
  ['/web/cookies', { headers: { cookie: 'k=v; l=w' } }],
  ['/web/stream'],
  ['/web/head', { method: 'HEAD' }],
  ['/module'],
  ['/handler/7?a=b'],
  ['/handler/8', { method: 'POST', body: '{"k":1}', headers: { 'content-type': 'application/json' } }],
  ['/callback'],
  ['/named'],
  ['/python/9'],
  ['/python/bytes'],
  ['/python/chunks'],
  ['/python/value'],
  ['/python/text'],
  ['/pyasync'],
  ['/classic/5'],
  ['/pyclassic'],
  ['/server/a/b'],
  ['/program', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }],
];

const INVOKED: [fn: string, payload: string][] = [
  ['web', '{"n":21}'],
  ['module', '{"x":[1]}'],
  ['handler', '{"x":[1]}'],
  ['python', '{"x":2}'],
];

let virga: Virga;
let folder: string;
let exported: CliResult;
before(async () => {
  folder = await temporaryFolder('virga-export-');
  await writeFiles(join(folder, 'project'), PROJECT);
  await chmod(join(folder, 'project', 'program', 'bootstrap'), 0o755);
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(folder, 'project')]);
  assert.equal(deployed.code, 0, deployed.stderr);
  exported = await virga.cli(['export', join(folder, 'project'), '--to', 'lambda', '--output', join(folder, 'aws'), '--json']);
  assert.equal(exported.code, 0, exported.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('exported zips, run as AWS Lambda runs them, answer what the project answers', async () => {
  await writeFile(join(folder, 'aws', 'virga.yaml'), await asLambda());
  const deployed = await virga.cli(['deploy', join(folder, 'aws')]);
  assert.equal(deployed.code, 0, deployed.stderr);
  for (const [path, init] of CALLS) assert.deepEqual(await answer('exported', path, init), await answer('original', path, init), path);
  for (const [fn, payload] of INVOKED) {
    const [own, theirs] = [await invoke('original', fn, payload), await invoke('exported', fn, payload)];
    assert.equal(own.code, 0, own.stderr);
    assert.deepEqual(theirs.json(), own.json(), fn);
  }
});

test('what waitUntil was given is done before the answer: AWS freezes the instance with it', async () => {
  assert.equal(await (await virga.fetch('exported', '/web/later')).text(), 'soon');
  assert.equal(await (await virga.fetch('exported', '/web/after')).text(), '1');
});

test('imported again, the export is the project: the same answers in Virga’s own form', async () => {
  const imported = await virga.cli([
    'import',
    join(folder, 'aws', 'template.yaml'),
    '--output',
    join(folder, 'aws', 'virga.yaml'),
    '--force',
    '--json',
  ]);
  assert.equal(imported.code, 0, imported.stderr);
  const text = await readFile(join(folder, 'aws', 'virga.yaml'), 'utf8');
  assert.match(text, /^project: original$/m);
  await writeFile(join(folder, 'aws', 'virga.yaml'), text.replace('project: original', 'project: again'));
  const deployed = await virga.cli(['deploy', join(folder, 'aws')]);
  assert.equal(deployed.code, 0, deployed.stderr);
  for (const [path, init] of CALLS) {
    const own = await answer('original', path, init);
    assert.deepEqual(await answer('again', path, init), own, path);
  }
});

/** A manifest that gives Virga what the template gives AWS: code and handler, as form lambda. */
async function asLambda(): Promise<string> {
  const template = await readFile(join(folder, 'aws', 'template.yaml'), 'utf8');
  const handlers = new Map([...template.matchAll(/CodeUri: (\S+)\.zip\n +Handler: (\S+)/g)].map(([, name, handler]) => [name!, handler!]));
  assert.equal(handlers.size, 11);
  const lines = PROJECT['virga.yaml'].split('\n').flatMap((line) => {
    const name = /^ {2}(\w+):$/.exec(line)?.[1];
    if (name === undefined) return /^functions:|^ {4}(?:http|env):/.test(line) ? [line] : [];
    const program = { program: 'provided', server: 'web' }[name];
    const runtime = program ?? (name.startsWith('py') ? 'python3' : 'nodejs24');
    const code = `source: ${name}.zip, runtime: ${runtime}, handler: ${handlers.get(name)}`.split(', ');
    const more = [...(program === undefined ? ['form: lambda'] : []), ...(name === 'classic' ? ['layers: [layers/Shared.zip]'] : [])];
    return [line, ...[...code, ...more].map((one) => `    ${one}`)];
  });
  return ['project: exported', ...lines].join('\n');
}

async function answer(project: string, path: string, init?: RequestInit): Promise<object> {
  const response = await virga.fetch(project, path, init);
  const { headers } = response;
  const names = ['content-type', 'x-many', 'x-cookies'];
  const body = Buffer.from(await response.arrayBuffer()).toString('latin1');
  return {
    status: response.status,
    headers: names.map((name) => headers.get(name)),
    cookies: headers.getSetCookie(),
    // Only the path of the project, and its name where the code is Virga's own, are others.
    body: body.replaceAll(`/@${project}`, '').replaceAll(`"${project}"`, '"original"'),
  };
}

function invoke(project: string, fn: string, payload: string): Promise<CliResult> {
  return virga.cli(['invoke', fn, '--project', project, '--data', payload]);
}
