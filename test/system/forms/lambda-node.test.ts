// AWS Lambda's Node functions with the unmodified libraries from npm: examples/lambda-node deployed as it is, called over HTTP in every
// shape that a request has there and by every kind of event; further functions as zips, folders and with layers, as they were
// uploaded to Lambda; and what goes wrong, as Lambda's users know it.
import assert from 'node:assert/strict';
import { createWriteStream, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import yazl from 'yazl';
import { ROOT, eventually, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';

const EXAMPLE = join(ROOT, 'examples', 'lambda-node');
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let virga: Virga;
let folder: string;

before(async () => {
  virga = await startVirga();
  folder = await temporaryFolder('virga-lambda-');
  const { code, stderr } = await virga.cli(['deploy', EXAMPLE]);
  assert.equal(code, 0, stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Invoked {
  result: { json?: unknown; text?: string; base64?: string; contentType: string } | null;
  error: { code: string; message: string } | null;
  logs: { text: string; level: string }[];
  invocation: { id: string };
}

async function invoke(fn: string, payload: unknown, { type = 'application/json', project = 'lambda-node' } = {}): Promise<Invoked> {
  const data = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const { stdout, stderr } = await virga.cli(['invoke', fn, '--project', project, '--data', data, '--content-type', type, '--json']);
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Invoked;
}

function event(type: string, data: unknown): Record<string, unknown> {
  const time = '2026-01-02T03:04:05.678Z';
  return { specversion: '1.0', id: 'evt_1', source: '/projects/lambda-node', type, time, data };
}

async function deliver(fn: string, type: string, data: unknown): Promise<unknown> {
  const { result, error } = await invoke(fn, event(type, data), { type: 'application/cloudevents+json' });
  assert.equal(error, null);
  return result?.json;
}

const call = (path: string, init?: RequestInit) => virga.fetch('lambda-node', path, init);
const json = async (response: Response): Promise<Record<string, unknown>> => (await response.json()) as Record<string, unknown>;
const post = (body: unknown): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json', 'user-agent': 'test' },
});

test('Express through @codegenie/serverless-express, at a REST API', async () => {
  const placed = await call('/orders', post({ id: 'a1', item: 'lamp', count: 2 }));
  assert.equal(placed.status, 201);
  assert.equal(placed.headers.get('location'), '/orders/a1');
  assert.deepEqual(placed.headers.getSetCookie(), ['last-order=a1; Path=/', 'shop=corner; Path=/']);
  assert.deepEqual(await json(placed), { id: 'a1', item: 'lamp', count: 2, status: 'open' });
  assert.deepEqual(await json(await call('/orders/a1')), { id: 'a1', item: 'lamp', count: 2, status: 'open' });
  assert.deepEqual(await (await call('/orders?status=done')).json(), []);
  assert.equal((await call('/orders/none')).status, 404);
  assert.equal((await call('/orders', post({ id: 'a2' }))).status, 422);
  const png = await call('/orders/a1/label.png');
  assert.equal(png.headers.get('content-type'), 'image/png');
  assert.deepEqual([...new Uint8Array(await png.arrayBuffer())], [0x89, 0x50, 0x4e, 0x47, 0, 255]);
  const { requestId, ...seen } = await json(await call('/orders/debug/event?x=a%20b&x=c', { headers: { 'user-agent': 'test' } }));
  assert.match(String(requestId), UUID);
  assert.deepEqual(seen, {
    version: '1.0',
    resource: '/orders/{rest+}',
    ip: '127.0.0.1',
    url: '/orders/debug/event?x=a%20b&x=c',
    agent: 'test',
  });
});

test('Fastify through @fastify/aws-lambda, at an HTTP API', async () => {
  assert.deepEqual(await (await call('/catalogue?below=50')).json(), [{ name: 'Lamp', price: 30 }]);
  const chair = await call('/catalogue/chair');
  assert.deepEqual(chair.headers.getSetCookie(), ['seen=1', 'shop=corner']);
  const { requestId, ...item } = await json(chair);
  assert.match(String(requestId), UUID);
  assert.deepEqual(item, { name: 'Chair', price: 80 });
  assert.deepEqual([(await call('/catalogue/desk')).status, (await call('/catalogue/chair', { method: 'HEAD' })).status], [404, 200]);
});

test('Middy and its middleware, at a function URL', async () => {
  assert.deepEqual(await json(await call('/quote', post({ item: 'lamp', count: 3 }))), { item: 'lamp', total: 90 });
  const refused = await call('/quote', post({ item: 'lamp', count: 0 }));
  assert.deepEqual([refused.status, await refused.text()], [422, 'count is 0; a quote is for one piece at least']);
  const unread = await call('/quote', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } });
  assert.equal(unread.status, 422);
  const other = await call('/quote', { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } });
  assert.equal(other.status, 415);
});

test('Hono through streamHandle: events reach the client one by one', async () => {
  const about = await call('/live/about');
  assert.deepEqual([about.status, about.headers.get('x-shop')], [203, 'open']);
  assert.match(String((await json(about))['requestId']), UUID);
  const response = await call('/live/3');
  assert.match(response.headers.get('content-type')!, /^text\/event-stream/);
  const came: number[] = [];
  let text = '';
  for await (const chunk of response.body!) {
    came.push(performance.now());
    text += Buffer.from(chunk).toString();
  }
  assert.equal(text, [1, 2, 3].map((i) => `event: sale\ndata: sale ${i}\nid: ${i}\n\n`).join(''));
  // 200 ms lie between the first and the last.
  assert.ok(came.length >= 3 && came.at(-1)! - came[0]! > 100, `${came.length} chunks in ${came.at(-1)! - came[0]!} ms`);
});

test('an answer of many megabytes streams, also to a client that reads slowly', async () => {
  const rows = 400_000;
  const { hostname, port } = new URL(virga.edgeUrl);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest({ hostname, port, path: `/@lambda-node/export?count=${rows}` }, resolve)
      .on('error', reject)
      .end();
  });
  assert.deepEqual(
    [response.statusCode, response.headers['content-type'], response.headers['x-rows'], response.headers['set-cookie']],
    [200, 'text/csv', String(rows), ['exported=yes']],
  );
  let lines = 0;
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) lines++;
    if (lines % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(lines, rows + 1);
  assert.ok(bytes > 6 * 1024 * 1024);
});

test('a queue gets what has to come again, and an event in the shape of SQS is answered in it', async () => {
  const message = (id: string, order: unknown) => ({
    id,
    body: JSON.stringify(order),
    attributes: {},
    attempt: 2,
    sentAt: 1_700_000_000_000,
    firstReceivedAt: 1_700_000_000_500,
  });
  const messages = [message('m1', { id: 'a1', count: 2 }), message('m2', { id: 'a2', item: 'chairs', count: 500 }), message('m3', '{')];
  const delivered = await invoke('fulfil', event('virga.queue.batch', { queue: 'orders', messages }), {
    type: 'application/cloudevents+json',
  });
  assert.deepEqual(delivered.result?.json, { failed: ['m2'] });
  assert.ok(delivered.logs.some(({ text }) => text === 'order a1 is on its way, at the attempt 2'));
  assert.ok(delivered.logs.some(({ text, level }) => text === 'm2: there are not 500 of chairs' && level === 'error'));
  const records = [{ messageId: 'm4', body: 'no JSON', attributes: {} }];
  assert.deepEqual((await invoke('fulfil', { Records: records })).result?.json, { batchItemFailures: [{ itemIdentifier: 'm4' }] });
});

test('topics, objects, tables, schedules and events of any other type reach a callback', async () => {
  const noted = 'noted by audit for arn:aws:lambda:eu-west-1:000000000000:function:audit';
  const topic = { topic: 'news', id: '1', subject: 'Open', body: 'We are open', attributes: {}, sentAt: 1_700_000_000_000 };
  assert.deepEqual(await deliver('audit', 'virga.topic.message', topic), ['Open: We are open', noted]);
  const object = { bucket: 'labels', key: 'a 1/l.png', bytes: 4, etag: 'x' };
  assert.deepEqual(await deliver('audit', 'virga.storage.object.created', object), ['ObjectCreated:Put labels/a 1/l.png', noted]);
  assert.deepEqual(await deliver('audit', 'virga.storage.object.removed', object), ['ObjectRemoved:Delete labels/a 1/l.png', noted]);
  const due = { schedule: 'nightly', cron: '0 2 * * *', timezone: 'UTC', dueAt: Date.UTC(2026, 0, 2, 2) };
  assert.deepEqual(await deliver('audit', 'virga.schedule.due', due), ['due: nightly at 2026-01-02T02:00:00Z', noted]);
  const change = { id: '1', operation: 'insert', keys: { id: 7 }, after: { id: 7, item: 'lamp' }, at: 1_700_000_000_000, sequence: '1' };
  assert.deepEqual(await deliver('audit', 'virga.table.changed', { table: 'orders', changes: [change] }), [
    'INSERT {"id":{"N":"7"},"item":{"S":"lamp"}}',
    noted,
  ]);
  assert.deepEqual(await deliver('audit', 'shop.order.paid', { id: 'a1' }), [
    'shop.order.paid of /projects/lambda-node: {"id":"a1"}',
    noted,
  ]);
  const { error } = await invoke('audit', { neither: true });
  assert.equal(error?.code, 'function_error');
});

/** A project of these files, some of them zips of others. */
async function deployed(name: string, manifest: string, zips: Record<string, Record<string, string>>, files: Record<string, string> = {}) {
  const place = join(folder, name);
  await writeFiles(place, { 'virga.yaml': `project: ${name}\n${manifest}`, ...files });
  for (const [zip, content] of Object.entries(zips)) {
    const archive = new yazl.ZipFile();
    for (const [path, text] of Object.entries(content)) {
      if (text.startsWith('package:')) addPackage(archive, path, join(ROOT, 'node_modules', text.slice('package:'.length)));
      else archive.addBuffer(Buffer.from(text), path);
    }
    archive.end();
    await mkdir(dirname(join(place, zip)), { recursive: true });
    await pipeline(archive.outputStream, createWriteStream(join(place, zip)));
  }
  const { code, stderr } = await virga.cli(['deploy', place]);
  assert.equal(code, 0, stderr);
}

function addPackage(archive: yazl.ZipFile, path: string, from: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) archive.addFile(file, `${path}${file.slice(from.length)}`);
  }
}

test('a .zip as it was uploaded to Lambda, with its node_modules and a layer', async () => {
  const functions = `
defaults: { form: lambda, runtime: nodejs26 }
functions:
  common: { source: common.zip, handler: src/index.api.handler, layers: [layer.zip], env: { PLACE: zip }, http: GET /common }
  module: { source: module.zip, handler: index.handler, runtime: nodejs24, http: GET /module }
`;
  await deployed('zips', functions, {
    'common.zip': {
      'src/index.js': `
        const { readFileSync } = require('node:fs');
        const { join } = require('node:path');
        exports.api = { handler: async (event, context) => ({
          statusCode: 200,
          body: JSON.stringify({
            layered: require('layered'), file: readFileSync('/opt/greeting.txt', 'utf8'), root: require('lib/at-root'),
            own: readFileSync(join(process.env.LAMBDA_TASK_ROOT, 'src/data.txt'), 'utf8'), handler: process.env._HANDLER, place: process.env.PLACE,
            name: context.functionName, env: process.env.AWS_EXECUTION_ENV, trace: process.env._X_AMZN_TRACE_ID,
          }),
        }) };`,
      'src/data.txt': 'data',
      'lib/at-root.js': `module.exports = 'from the root';`,
    },
    'layer.zip': {
      'nodejs/node_modules/layered/index.js': `module.exports = 'from the layer';`,
      'greeting.txt': 'hello',
      'extensions/tracer': '#!/bin/sh',
    },
    'module.zip': {
      'package.json': '{"type":"module"}',
      'index.js': `
        import middy from '@middy/core';
        const base = await Promise.resolve(() => ({ statusCode: 200, body: process.version.split('.')[0] }));
        export const handler = middy(async () => base()).after(({ response }) => { response.headers = { 'x-middy': 'yes' }; });`,
      'node_modules/@middy/core': 'package:@middy/core',
      'node_modules/@middy/util': 'package:@middy/util',
    },
  });
  const { trace, ...seen } = await json(await virga.fetch('zips', '/common'));
  assert.match(String(trace), /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]$/);
  assert.deepEqual(seen, {
    layered: 'from the layer',
    file: 'hello',
    root: 'from the root',
    own: 'data',
    handler: 'src/index.api.handler',
    place: 'zip',
    name: 'common',
    env: 'AWS_Lambda_nodejs26.x',
  });
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'common', '--project', 'zips']);
    return stdout.includes('the extensions tracer of /opt/extensions are not started') || undefined;
  });
  const module = await virga.fetch('zips', '/module');
  assert.deepEqual([await module.text(), module.headers.get('x-middy')], ['v24', 'yes']);
});

test('every style of handler, as a folder', async () => {
  const functions = `
defaults: { form: lambda, runtime: nodejs26 }
functions:
  callback: { source: code, handler: index.callback }
  waits: { source: code, handler: index.waits }
  promise: { source: code, handler: index.promise }
  echo: { source: code, handler: index.echo }
  context: { source: code, handler: index.context, memory: 512 MiB, timeout: 7s }
  never: { source: code, handler: index.never, http: GET /never }
  throws: { source: code, handler: index.throws, http: GET /throws }
  wrong: { source: code, handler: index.wrong, http: GET /wrong }
  rest: { source: code, handler: index.echo, httpEvent: '1.0', http: GET /rest }
  sdk: { source: code, handler: sdk.handler, http: GET /sdk }
`;
  await deployed(
    'styles',
    functions,
    {},
    {
      'code/index.js': `
      exports.callback = (event, context, callback) => setTimeout(callback, 5, null, { twice: event.n * 2 });
      exports.waits = (event, context, callback) => { const seen = []; setTimeout(() => seen.push('later'), 20); context.callbackWaitsForEmptyEventLoop = event.wait; callback(null, seen); };
      exports.promise = () => new Promise((resolve) => setTimeout(resolve, 5, 'promised'));
      exports.echo = async (event) => event;
      exports.context = async (event, context) => ({ ...context, remaining: context.getRemainingTimeInMillis() });
      exports.never = () => new Promise(() => {});
      exports.throws = async () => { throw new RangeError('asked to'); };
      exports.wrong = async () => ({ statusCode: 200, body: { an: 'object' } });`,
      'code/sdk.mjs': `import { S3 } from '@aws-sdk/client-s3'; export const handler = async () => S3;`,
    },
  );
  const result = async (fn: string, payload: unknown) => (await invoke(fn, payload, { project: 'styles' })).result?.json;
  assert.deepEqual(await result('callback', { n: 4 }), { twice: 8 });
  assert.deepEqual([await result('waits', { wait: true }), await result('waits', { wait: false })], [['later'], []]);
  assert.equal(await result('promise', {}), 'promised');
  // Whatever JSON is given is the event.
  for (const payload of [{ a: [1] }, [1], 'text', 7, null]) assert.deepEqual(await result('echo', JSON.stringify(payload)), payload);
  const { logStreamName, awsRequestId, remaining, ...context } = (await result('context', {})) as Record<string, unknown>;
  assert.deepEqual(context, {
    callbackWaitsForEmptyEventLoop: true,
    functionName: 'context',
    functionVersion: '1',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:context',
    memoryLimitInMB: '512',
    logGroupName: '/aws/lambda/context',
  });
  assert.match(String(logStreamName), /^\d{4}\/\d\d\/\d\d\/\[1\][0-9a-f]{32}$/);
  assert.match(String(awsRequestId), UUID);
  assert.ok(Number(remaining) > 5_000 && Number(remaining) <= 7_000, String(remaining));

  const custom = { custom: { shop: 'zwölf' }, client: { installationId: 'i' }, env: {} };
  const caller = ['invoke', 'context', '--project', 'styles', '--client-context', JSON.stringify(custom)];
  assert.deepEqual((await virga.cli(caller)).json<{ clientContext: unknown }>().clientContext, custom);
  assert.match((await virga.cli([...caller.slice(0, -1), '[1]'])).stderr, /--client-context is "\[1\]"; expected a JSON object/);

  const failure = async (path: string) => {
    const response = await virga.fetch('styles', path);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    return { status: response.status, ...error };
  };
  const never = await failure('/never');
  assert.deepEqual([never.status, never.code], [502, 'function_error']);
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'never', '--project', 'styles']);
    return /Runtime\.NodeJsExit: .*can never settle/.test(stdout) || undefined;
  });
  assert.equal((await failure('/throws')).code, 'function_error');
  const wrong = await failure('/wrong');
  assert.deepEqual([wrong.status, wrong.code], [502, 'function_bad_response']);
  assert.match(wrong.message, /its body is an object; it must be a string/);
  const rest = await json(await virga.fetch('styles', '/rest'));
  assert.equal((rest['error'] as { code: string }).code, 'function_bad_response');
  const wrapped = `project: wrapped\nfunctions: { f: { source: f.js, form: lambda, env: { AWS_LAMBDA_EXEC_WRAPPER: /opt/otel-handler } } }\n`;
  const refused = await virga.deploy({ 'virga.yaml': wrapped, 'f.js': 'exports.handler = async () => 1;' });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /functions\.f\.env\.AWS_LAMBDA_EXEC_WRAPPER is .*: no program is started before/);
  assert.match((await failure('/sdk')).message, /'@aws-sdk\/client-s3' comes with AWS Lambda's runtime but is not in the function's code/);
});
