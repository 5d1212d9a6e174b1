// Azure Functions, model v4 of Node, with the unmodified library from npm: examples/azure deployed as it is, called over HTTP and by
// every kind of event; further apps for streams, hooks, retries, and for what is refused, at deploy and at load.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, ROOT, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';

const EXAMPLE = join(ROOT, 'examples', 'azure');
const EVENT = 'application/cloudevents+json';

let virga: Virga;
const folders: string[] = [];

before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', EXAMPLE]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A project of these files, with the packages of this repository installed. */
async function deploy(files: Record<string, string>): Promise<CliResult> {
  const folder = await temporaryFolder('virga-azure-');
  folders.push(folder);
  await writeFiles(folder, files);
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return virga.cli(['deploy', folder]);
}

function event(type: string, fields: Record<string, unknown>): string {
  return JSON.stringify({ specversion: '1.0', id: 'evt_1', source: '/projects/azure/x', type, time: '2026-01-01T00:00:00Z', ...fields });
}

interface Invoked {
  code: number;
  result: unknown;
  logs: string;
  error: string;
}

async function invoke(project: string, fn: string, data: string, type = EVENT): Promise<Invoked> {
  const { code, stdout, stderr } = await virga.cli(['invoke', fn, '--project', project, '--data', data, '--content-type', type]);
  return { code, result: stdout === '' ? undefined : JSON.parse(stdout), logs: stderr, error: stderr };
}

/** What the function logged as JSON. */
function logged(invoked: Invoked): Record<string, unknown>[] {
  return invoked.logs.split('\n').flatMap((line) => {
    const at = line.indexOf('{"');
    return at === -1 ? [] : [JSON.parse(line.slice(at)) as Record<string, unknown>];
  });
}

const json = (response: Response): Promise<Record<string, unknown>> => response.json() as Promise<Record<string, unknown>>;

test('what lies in the folder is the app, without what belongs to the machine', async () => {
  const { stdout } = await virga.cli(['versions', 'app', '--project', 'azure', '--json']);
  const [hash] = /[0-9a-f]{64}/.exec(stdout) ?? [];
  const files = readdirSync(join(virga.dataFolder, 'artifacts', hash!), { recursive: true }).map(String);
  assert.ok(files.includes('host.json') && files.includes('node_modules/@azure/functions/package.json'), files.slice(0, 20).join());
  assert.ok(!files.includes('local.settings.json'));
});

test('requests are routed by the app, below the prefix of host.json', async () => {
  const order = { id: 7, total: 30 };
  const placed = await virga.fetch('azure', '/v1/orders', { method: 'POST', body: JSON.stringify(order) });
  assert.equal(placed.status, 201);
  assert.equal(placed.headers.get('location'), '/v1/orders/7');
  assert.equal(placed.headers.get('content-type'), 'application/json');
  assert.deepEqual(placed.headers.getSetCookie(), ['last-order=7; max-age=3600; path=/; samesite=lax; httponly']);
  assert.deepEqual(await placed.json(), order);
  assert.deepEqual(await json(await virga.fetch('azure', '/v1/orders/7')), order);
  assert.equal(await (await virga.fetch('azure', '/v1/Orders/7/total')).text(), '30');
  const missing = await virga.fetch('azure', '/v1/orders/8');
  assert.deepEqual([missing.status, await missing.json()], [404, { error: 'there is no order 8' }]);
  const refused = await virga.fetch('azure', '/v1/orders', { method: 'POST', body: '{}' });
  assert.equal(refused.status, 400);
});

test('a path or a method that no function takes', async () => {
  for (const path of ['/orders/7', '/v1/orders/seven', '/v1/nothing', '/'])
    assert.equal((await virga.fetch('azure', path)).status, 404, path);
  const wrong = await virga.fetch('azure', '/v1/orders', { method: 'DELETE' });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'POST');
});

test('the request and the context are as on Azure', async () => {
  const response = await virga.fetch('azure', '/v1/echo/a%20b/c?x=1&x=2', {
    method: 'PUT',
    body: 'grüße',
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  });
  const { invocationId, url, traceParent, ...rest } = await json(response);
  assert.deepEqual(rest, {
    method: 'PUT',
    query: { x: '2' },
    params: { rest: 'a b/c' },
    body: 'grüße',
    functionName: 'echo',
    trigger: 'httpTrigger',
  });
  assert.equal(invocationId, response.headers.get('x-virga-invocation'));
  assert.match(String(url), /^http:\/\/.+\/v1\/echo\/a%20b\/c\?x=1&x=2$/);
  assert.match(String(traceParent), /^00-0af7651916cd43dd8448eb211c80319c-/);
});

test('a handler without a result answers 204, and HEAD is GET without the body', async () => {
  assert.equal((await virga.fetch('azure', '/v1/health')).status, 204);
  const head = await virga.fetch('azure', '/v1/echo/x', { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('a handler that throws is a failed call, with its stack in the log', async () => {
  const response = await virga.fetch('azure', '/v1/fails');
  assert.equal(response.status, 502);
  assert.match(JSON.stringify(await response.json()), /function_error/);
  const { stdout } = await eventually(async () => {
    const logs = await virga.cli(['logs', 'app', '--project', 'azure']);
    return logs.stdout.includes('as it should') ? logs : undefined;
  });
  assert.match(stdout, /Error: as it should\n\s+at .*src\/functions\/orders\.js:\d+/);
  assert.doesNotMatch(stdout, /guest-azure/);
});

const message = (id: string, body: string, attempt = 1): object => ({
  id,
  body,
  attributes: {},
  attempt,
  sentAt: Date.parse('2026-01-01T00:00:00Z'),
  firstReceivedAt: Date.parse('2026-01-01T00:00:01Z'),
});

test('a queue: each message is a call, parsed where it is JSON, and those that fail come again', async () => {
  const messages = [
    message('m1', '{"id":1}', 3),
    message('m2', 'plain text'),
    message('m3', '{"id":3,"fail":true}'),
    message('m4', '{"id":4}'),
  ];
  const invoked = await invoke('azure', 'app', event('virga.queue.batch', { data: { queue: 'orders', messages } }));
  assert.equal(invoked.code, 0, invoked.error);
  assert.deepEqual(invoked.result, { failed: ['m3'] });
  assert.deepEqual(
    logged(invoked).find(({ id }) => id === 'm1'),
    { order: { id: 1 }, dequeueCount: 3, id: 'm1', insertionTime: '2026-01-01T00:00:00+00:00', queueTrigger: { id: 1 } },
  );
  assert.equal(logged(invoked).find(({ id }) => id === 'm2')!['order'], 'plain text');
  assert.match(invoked.logs, /message m3 failed: Error: order 3 cannot be fulfilled/);
});

test('a message of a queue that no function reads is refused, by name', async () => {
  const { code, error } = await invoke(
    'azure',
    'app',
    event('virga.queue.batch', { data: { queue: 'other', messages: [message('m', '')] } }),
  );
  assert.equal(code, 1);
  assert.match(error, /no function of this app takes messages of the queue 'other'; there are .*fulfil \(queueTrigger orders\)/);
});

const DUE = {
  schedule: 'nightly',
  cron: '0 3 * * *',
  timezone: 'UTC',
  dueAt: Date.parse('2026-01-01T03:00:00Z'),
  nextAt: Date.parse('2026-01-02T03:00:00Z'),
};

test('a timer gets the timer object of Azure, in the app and by itself', async () => {
  for (const fn of ['app', 'nightly']) {
    const invoked = await invoke('azure', fn, event('virga.schedule.due', { data: DUE }));
    assert.equal(invoked.code, 0, invoked.error);
    assert.equal((invoked.result as { isPastDue: boolean }).isPastDue, true);
    assert.deepEqual(logged(invoked)[0], {
      schedule: { adjustForDST: true },
      scheduleStatus: { last: '0001-01-01T00:00:00+00:00', lastUpdated: '2026-01-01T03:00:00+00:00', next: '2026-01-02T03:00:00+00:00' },
      isPastDue: true,
    });
  }
  const plain = await invoke('azure', 'nightly', 'null', 'application/json');
  assert.deepEqual(plain.result, { orders: 0, isPastDue: false });
});

test('a blob: its content as a Buffer, and what its path binds', async () => {
  const created = {
    subject: '2026/cat.old.png',
    data: { bucket: 'uploads', key: '2026/cat.old.png', bytes: 4, etag: 'e' },
    data_base64: Buffer.from('meow').toString('base64'),
  };
  const invoked = await invoke('azure', 'app', event('virga.storage.object.created', created));
  assert.equal(invoked.code, 0, invoked.error);
  assert.deepEqual(logged(invoked)[0], {
    text: 'meow',
    blobTrigger: 'uploads/2026/cat.old.png',
    folder: 2026,
    name: 'cat.old',
    extension: 'png',
    contentLength: 4,
  });
  const { data_base64: _, ...without } = created;
  const refused = await invoke('azure', 'app', event('virga.storage.object.created', without));
  assert.match(refused.error, /'uploads\/2026\/cat\.old\.png' was created but does not carry its content.*data_base64/);
  const elsewhere = await invoke('azure', 'app', event('virga.storage.object.created', { data: { ...created.data, bucket: 'other' } }));
  assert.match(
    elsewhere.error,
    /takes the object 'other\/2026\/cat\.old\.png'.*thumbnail \(blobTrigger uploads\/\{folder\}\/\{name\}\.\{extension\}\)/,
  );
});

test('events and payloads that the app cannot place are refused, and say why', async () => {
  const topic = await invoke('azure', 'app', event('virga.topic.message', { data: {} }));
  assert.match(topic.error, /no function of this app takes events of the type 'virga\.topic\.message'/);
  const payload = await invoke('azure', 'app', '{"a":1}', 'application/json');
  assert.match(payload.error, /the app has several functions \(.*placeOrder.*\).*send a CloudEvent, or name one with `handler`/);
});

test('a source file is bundled, in TypeScript too; event grid, generic triggers, hooks and retries work', async () => {
  const deployed = await deploy({
    'virga.yaml': `
project: ts
defaults: { form: azure }
functions:
  app: { source: app/main.ts, http: ['/{path+}'] }
  echo: { source: app/main.ts, handler: echo, http: /by-itself }
  slow: { source: app/main.ts, handler: unsteady }
  grid: { source: app/main.ts, handler: onEvent }
`,
    'app/host.json': '{ "version": "2.0" }',
    'app/main.ts': `
import { app, HttpRequest, InvocationContext, trigger, output } from '@azure/functions';
import type { HttpResponseInit } from '@azure/functions';
let attempts = 0;
let terminated = false;
app.hook.appStart((context) => { (context.hookData as { at: number }).at = 1; });
app.hook.preInvocation((context) => {
  if (context.invocationContext.functionName !== 'echo') return;
  const before = context.functionHandler;
  context.functionHandler = async (...args: unknown[]) => ({ ...((await before(...args as [never, never])) as object), headers: { 'x-hooked': 'yes' } });
});
app.hook.postInvocation((context) => {
  if ((context.error as Error | null)?.message === 'rescued') { context.error = null; context.result = { body: 'rescued' }; }
});
app.hook.log((context) => { context.message = context.message.replace('secret', '***'); });
app.hook.appTerminate(() => { console.log('the app terminates'); terminated = true; });
async function echo(request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> {
  context.warn('a secret', { n: 1 });
  return { jsonBody: { text: await request.text(), extra: context.extraInputs.get('none') ?? null } };
}
app.http('echo', { methods: ['POST'], handler: echo });
app.http('rescued', { handler: () => { throw new Error('rescued'); } });
app.generic('made', { trigger: trigger.generic({ type: 'httpTrigger', methods: ['GET'], authLevel: 'anonymous' }), return: output.http({}), handler: () => ({ body: 'made' }) });
app.timer('unsteady', {
  schedule: '0 * * * * *',
  retry: { strategy: 'fixedDelay', maxRetryCount: 2, delayInterval: { milliseconds: 0 } },
  handler: (_timer, context) => { if (++attempts < 3) throw new Error('not yet'); return context.retryContext; },
});
app.eventGrid('onEvent', { handler: (event) => event });
let warm = 'cold';
app.warmup('warm', { handler: (context) => { warm = 'warm'; throw new Error('nobody minds'); } });
app.http('state', { handler: () => ({ body: warm }) });
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  const echoed = await virga.fetch('ts', '/api/echo', { method: 'POST', body: 'hi' });
  assert.equal(echoed.headers.get('x-hooked'), 'yes');
  assert.deepEqual(await echoed.json(), { text: 'hi', extra: null });
  assert.equal(await (await virga.fetch('ts', '/api/rescued')).text(), 'rescued');
  assert.equal(await (await virga.fetch('ts', '/api/made')).text(), 'made');
  assert.equal(await (await virga.fetch('ts', '/api/state')).text(), 'warm');
  const direct = await virga.cli(['invoke', 'echo', '--project', 'ts', '--data', '{"a":1}']);
  assert.deepEqual(JSON.parse(direct.stdout), { text: '{"a":1}', extra: null });
  assert.match(direct.stderr, /warn a \*\*\* \{ n: 1 \}/);
  const retried = await invoke('ts', 'slow', event('virga.schedule.due', { data: DUE }));
  const { exception, ...retry } = retried.result as { exception: { message: string } };
  assert.deepEqual([retry, exception.message], [{ retryCount: 2, maxRetryCount: 2 }, 'not yet']);
  const sent = event('com.example.thing', { data: { a: 1 } });
  assert.deepEqual((await invoke('ts', 'grid', sent)).result, JSON.parse(sent));
});

test('with enableHttpStream bodies stream both ways', async () => {
  const deployed = await deploy({
    'virga.yaml': `
project: streams
functions:
  app: { source: main.mjs, form: azure, concurrency: 10, http: ['/{path+}'] }
`,
    'main.mjs': `
import { app } from '@azure/functions';
app.setup({ enableHttpStream: true });
app.http('count', { methods: ['GET'], route: 'count/{to:int}', handler: (request) => ({
  headers: { 'content-type': 'text/plain' },
  cookies: [{ name: 'a', value: 'b c' }],
  body: (async function* () { for (let i = 1; i <= Number(request.params.to); i++) { yield new TextEncoder().encode(i + '\\n'); await new Promise((done) => setTimeout(done, 5)); } })(),
}) });
app.http('length', { methods: ['POST'], handler: async (request) => {
  let bytes = 0;
  for await (const chunk of request.body) bytes += chunk.length;
  return { jsonBody: { bytes, type: request.headers.get('content-type'), forwarded: request.headers.get('x-forwarded-host'), url: request.url } };
} });
app.http('nothing', { handler: () => {} });
app.http('fails', { handler: () => { throw new Error('before anything'); } });
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  const counted = await virga.fetch('streams', '/api/count/4');
  assert.deepEqual(counted.headers.getSetCookie(), ['a=b%20c']);
  const chunks: string[] = [];
  for await (const chunk of counted.body!.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  assert.equal(chunks.join(''), '1\n2\n3\n4\n');
  assert.ok(chunks.length > 1, 'it came in one piece');
  const bytes = 3 * 1024 * 1024;
  const sent = await virga.fetch('streams', '/api/length?q=1', {
    method: 'POST',
    body: Buffer.alloc(bytes),
    headers: { 'content-type': 'image/x' },
  });
  const { url, ...rest } = await json(sent);
  assert.deepEqual(rest, { bytes, type: 'image/x', forwarded: null });
  assert.match(String(url), /\/api\/length\?q=1$/);
  assert.equal((await virga.fetch('streams', '/api/nothing')).status, 204);
  assert.equal((await virga.fetch('streams', '/api/fails')).status, 502);
});

test('what has no counterpart is refused at the deploy, all at once, with file and line', async () => {
  const files = {
    'virga.yaml': `project: refused\nfunctions:\n  app: { source: main.js, form: azure }\n`,
    'main.js': `const { app, output } = require('@azure/functions');
const table = output.table({ tableName: 't', connection: 'c' });
app.http('fine', { handler: () => ({}) });
app.serviceBusQueue('orders', { queueName: 'q', connection: 'c', handler: () => {} });
app.http('locked', { authLevel: 'function', handler: () => ({}) });
`,
  };
  const refused = await deploy(files);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /main\.js:2: the output binding table has no counterpart in Virga/);
  assert.match(refused.stderr, /main\.js:4: function 'orders' is triggered by serviceBusQueue, which has no counterpart in Virga/);
  assert.match(
    refused.stderr,
    /main\.js:5: function 'locked' has authLevel 'function', but Virga has no function keys.*AZURE_FUNCTIONS_AUTH_LEVEL/,
  );
  // One function by itself is not held up by the others.
  const yaml = `project: refused\nfunctions:\n  app: { source: main.js, form: azure, handler: fine, http: '/{path+}' }\n`;
  const picked = await deploy({ ...files, 'virga.yaml': yaml });
  assert.equal(picked.code, 0, picked.stderr);
  assert.equal((await virga.fetch('refused', '/api/fine')).status, 200);
  assert.equal((await virga.fetch('refused', '/api/locked')).status, 404);
  const open = yaml.replace('handler: fine', 'handler: locked, env: { AZURE_FUNCTIONS_AUTH_LEVEL: anonymous }');
  assert.equal((await deploy({ ...files, 'virga.yaml': open })).code, 0);
  assert.equal((await virga.fetch('refused', '/api/locked')).status, 200);
});

test('what only shows when it runs is refused at load', async () => {
  const app = (source: string, handler = ''): Record<string, string> => ({
    'virga.yaml': `project: late\nfunctions:\n  app: { source: main.js, form: azure, http: '/{path+}'${handler} }\n`,
    'main.js': source,
  });
  const library = `const azure = require('@azure/functions');\n`;
  const cases: [files: Record<string, string>, message: RegExp][] = [
    [
      app(`${library}azure.app['eventHub']('hub', { eventHubName: 'h', connection: 'c', handler() {} });`),
      /function 'hub' is triggered by eventHubTrigger, which has no counterpart in Virga/,
    ],
    [
      app(`${library}azure.app.http('h', { authLevel: 'adm' + 'in', handler() {} });`),
      /function 'h' has authLevel 'admin', but Virga has no function keys/,
    ],
    [
      app(
        `${library}const out = azure.output; azure.app.timer('t', { schedule: '* * * * * *', return: out['storageQueue']({ queueName: 'q', connection: 'c' }), handler() {} });`,
      ),
      /function 't' has the output binding queue, which has no counterpart in Virga/,
    ],
    [
      app(`${library}azure.app.generic('o', { trigger: { type: 'orchestrationTrigger', name: 'x' }, handler() {} });`),
      /orchestrationTrigger \(Durable Functions\)/,
    ],
    [app(`${library}azure.app.http('h', { handler() {} });`, ', handler: other'), /`handler` names 'other', but the app registers h/],
    [app(`${library}azure.app.http('h', { route: 'a/{id:uuid}', handler() {} });`), /the constraint 'uuid', which is not known/],
    [app(`exports.nothing = 1;`), /registered no function; expected app\.http/],
  ];
  for (const [files, expected] of cases) {
    const deployed = await deploy(files);
    assert.equal(deployed.code, 0, deployed.stderr);
    assert.match(await (await virga.fetch('late', '/api/h')).text(), expected);
  }
});

test('an app of the older model is told from one that is not built', async () => {
  const yaml = `project: older\nfunctions:\n  app: { source: app, runtime: nodejs26, form: azure, http: '/{path+}' }\n`;
  const older = await deploy({
    'virga.yaml': yaml,
    'app/package.json': '{}',
    'app/Hello/function.json': '{}',
    'app/Hello/index.js': 'module.exports = () => {};',
  });
  assert.equal(older.code, 0, older.stderr);
  assert.match(await (await virga.fetch('older', '/api/Hello')).text(), /Hello\/function\.json is of the model v3 .*Virga runs v4/);
  const unbuilt = await deploy({ 'virga.yaml': yaml, 'app/package.json': '{"main":"dist/*.js"}', 'app/src/index.ts': '' });
  assert.equal(unbuilt.code, 0, unbuilt.stderr);
  assert.match(
    await (await virga.fetch('older', '/api/x')).text(),
    /`main` of package\.json is 'dist\/\*\.js', which matches no file; is the app built\?/,
  );
  const missing = await deploy({
    'virga.yaml': yaml,
    'app/package.json': '{"main":"a.js","dependencies":{"no-such-package":"1.0.0"}}',
    'app/a.js': '',
  });
  assert.match(missing.stderr, /package\.json names 'no-such-package', which is not installed; run `npm install`/);
});

test('an archive as it is uploaded to Azure', async () => {
  const folder = await temporaryFolder('virga-azure-zip-');
  folders.push(folder);
  await writeFiles(folder, {
    'app/package.json': '{"main":"index.mjs"}',
    'app/index.mjs': `import { app } from '@azure/functions';\napp.get('zipped', async () => ({ body: 'from an archive' }));\n`,
    'virga.yaml': `project: zipped\nfunctions:\n  app: { source: app.zip, runtime: nodejs24, form: azure, http: '/{path+}' }\n`,
  });
  for (const name of ['@azure/functions', '@azure/functions-extensions-base', 'cookie']) {
    const target = join(folder, 'app', 'node_modules', name);
    execFileSync('mkdir', ['-p', target]);
    execFileSync('cp', ['-r', `${join(ROOT, 'node_modules', name)}/.`, target]);
  }
  const script = 'import shutil, sys; shutil.make_archive(sys.argv[1], "zip", sys.argv[2])';
  execFileSync('python3', ['-c', script, join(folder, 'app'), join(folder, 'app')]);
  const deployed = await virga.cli(['deploy', folder]);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.equal(await (await virga.fetch('zipped', '/api/zipped')).text(), 'from an archive');
});
