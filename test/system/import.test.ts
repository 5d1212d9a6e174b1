// Projects for other clouds, imported and deployed without a change to their code, then called. Each is written into a folder of its
// own; `virga import` makes the virga.yaml, `virga deploy` takes it as it is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, startVirga, temporaryFolder, writeFiles } from './virga.ts';
import type { Virga } from './virga.ts';

interface Report {
  project: string;
  functions: string[];
  absent: string[];
  routes: number;
  items: { fate: string; file: string; line: number; subject: string; what: string; note: string }[];
}

let virga: Virga;
const folders: string[] = [];
before(async () => {
  virga = await startVirga();
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function project(files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder('virga-imported-');
  folders.push(folder);
  await writeFiles(folder, files);
  return folder;
}

async function importAndDeploy(folder: string, args: string[] = []): Promise<Report> {
  const imported = await virga.cli(['import', folder, '--json', ...args]);
  assert.equal(imported.code, 0, imported.stderr);
  const deployed = await virga.cli(['deploy', folder]);
  assert.equal(deployed.code, 0, `${deployed.stderr}\n${await readFile(join(folder, 'virga.yaml'), 'utf8')}`);
  return imported.json<Report>();
}

test('a service of the Serverless Framework: TypeScript, Python, layers, both kinds of events, a function URL', async () => {
  const folder = await project({
    'serverless.yml': `service: shop
provider:
  name: aws
  runtime: nodejs22.x
  environment:
    STAGE: \${sls:stage}
    STRIPE_KEY: sk_test_abcdefghijklmnop
  memorySize: 128
plugins: [serverless-esbuild]
package:
  patterns: ['templates/**']
layers:
  shared: {path: layers/shared}
functions:
  getOrder:
    handler: dist/orders.get
    environment:
      CURRENCY: \${file(config.yml):\${sls:stage}.currency}
    layers: [!Ref SharedLambdaLayer]
    events:
      - httpApi: GET /orders/{id}
      - sqs: arn:aws:sqs:eu-west-1:000000000000:orders
  stats:
    handler: handlers/stats.run
    runtime: python3.12
    layers: [!Ref SharedLambdaLayer]
    events:
      - http: {method: post, path: stats}
  page:
    handler: src/page.show
    url: true
`,
    'config.yml': 'dev: {currency: EUR}\nprod: {currency: USD}\n',
    'src/orders.ts': `import { label } from 'labels';
interface Event { version: string; pathParameters: { id: string } }
export const get = async (event: Event, context: { functionName: string }) => ({
  statusCode: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    id: event.pathParameters.id,
    label: label(event.pathParameters.id),
    version: event.version,
    stage: process.env['STAGE'],
    currency: process.env['CURRENCY'],
    stripe: process.env['STRIPE_KEY'] ?? 'none',
    name: context.functionName,
  }),
});
`,
    'handlers/stats.py': `import json
from handlers.sums import total
from shared_numbers import factor

def run(event, context):
    numbers = json.loads(event["body"])
    return {"statusCode": 200, "body": json.dumps([total(numbers) * factor, event["resource"], event["httpMethod"]])}
`,
    'handlers/sums.py': 'def total(numbers):\n    return sum(numbers)\n',
    'src/page.js': `const fs = require('fs');
const path = require('path');
exports.show = async (event) => ({
  statusCode: 200,
  headers: { 'content-type': 'text/html' },
  body: fs.readFileSync(path.join(__dirname, '../templates/page.html'), 'utf8') + event.rawPath,
});
`,
    'templates/page.html': '<h1>page</h1>',
    'layers/shared/nodejs/node_modules/labels/package.json': '{"name":"labels","type":"module","exports":"./index.js"}',
    'layers/shared/nodejs/node_modules/labels/index.js': 'export const label = (id) => `order ${id}`;\n',
    'layers/shared/python/shared_numbers.py': 'factor = 10\n',
  });
  const report = await importAndDeploy(folder, ['--stage', 'prod']);
  assert.deepEqual(report.functions, ['get-order', 'stats', 'page']);
  const left = report.items.filter((item) => item.fate === 'left').map(({ line, subject, what }) => `${line} ${subject} ${what}`);
  assert.deepEqual(left, ['7  variable STRIPE_KEY']);
  const queues = (await virga.cli(['queues', '--project', 'shop', '--json'])).json<{ function: string | null }[]>();
  assert.deepEqual(
    queues.map((queue) => queue.function),
    ['get-order'],
  );
  const order = await virga.fetch('shop', '/orders/7');
  assert.deepEqual(await order.json(), {
    id: '7',
    label: 'order 7',
    version: '2.0',
    stage: 'prod',
    currency: 'USD',
    stripe: 'none',
    name: 'get-order',
  });
  const stats = await virga.fetch('shop', '/stats', { method: 'POST', body: '[1, 2, 6]' });
  assert.deepEqual(await stats.json(), [90, '/stats', 'POST']);
  const page = await virga.fetch('shop', '/some/where');
  assert.equal(await page.text(), '<h1>page</h1>/some/where');
});

test('a template of AWS SAM: a zip behind a REST API, a bootstrap, conditions and parameters', async () => {
  const folder = await project({
    'template.yaml': `Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String}
Conditions:
  Polite: !Equals [!Ref Greeting, Good day]
Globals:
  Function: {Runtime: nodejs24.x, Timeout: 10}
Resources:
  ZippedFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: build/zipped.zip
      Handler: lib/index.handler
      Environment:
        Variables:
          GREETING: !Sub '\${Greeting}, \${AWS::StackName}'
          TITLE: !If [Polite, Sir or Madam, you]
      Events:
        Api: {Type: Api, Properties: {Path: /zipped, Method: get}}
  ShellFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: shell
      Handler: echo
      Runtime: provided.al2023
`,
    'zipped/lib/index.js': `exports.handler = (event, context, callback) =>
  callback(null, { statusCode: 200, body: [event.httpMethod, process.env.GREETING, process.env.TITLE].join('|') });
`,
    'shell/bootstrap': `#!/bin/bash
set -eu
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' "$headers" | tr -d '\\r' | cut -d' ' -f2)
  curl -sS -X POST "$api/invocation/$id/response" -d "{\\"handler\\":\\"$_HANDLER\\",\\"event\\":$event}" > /dev/null
done
`,
  });
  await chmod(join(folder, 'shell', 'bootstrap'), 0o755);
  const zip =
    "import os,zipfile\nos.mkdir('build')\nz=zipfile.ZipFile('build/zipped.zip','w')\nz.write('zipped/lib/index.js','lib/index.js')\nz.close()";
  execFileSync('python3', ['-c', zip], { cwd: folder });
  const report = await importAndDeploy(folder, ['--param', 'Greeting=Good day']);
  assert.deepEqual(report.functions, ['zipped-function', 'shell-function']);
  const zipped = await virga.fetch(report.project, '/zipped');
  assert.equal(await zipped.text(), `GET|Good day, ${report.project}|Sir or Madam`);
  const shell = await virga.cli(['invoke', 'shell-function', '--project', report.project, '--data', '{"a":1}']);
  assert.deepEqual(JSON.parse(shell.stdout), { handler: 'echo', event: { a: 1 } }, shell.stderr);
});

test('a Cloudflare Worker, of one of its environments', async () => {
  const folder = await project({
    'wrangler.toml': `name = "links"
main = "src/index.ts"
compatibility_date = "2026-01-01"
routes = ["links.example/api/*"]

[vars]
STAGE = "development"

[env.production.vars]
STAGE = "production"
GITHUB_TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"

[triggers]
crons = ["0 * * * *"]
`,
    '.dev.vars': 'SIGNING_SECRET=local\n',
    'src/index.ts': `interface Env { STAGE: string; GITHUB_TOKEN?: string; SIGNING_SECRET?: string }
export default {
  async fetch(request: Request, env: Env, ctx: { waitUntil(promise: Promise<unknown>): void }): Promise<Response> {
    ctx.waitUntil(Promise.resolve());
    return Response.json([new URL(request.url).pathname, env.STAGE, env.GITHUB_TOKEN ?? 'none', env.SIGNING_SECRET ?? 'none']);
  },
};
`,
  });
  const report = await importAndDeploy(folder, ['--stage', 'production']);
  assert.deepEqual([report.project, report.functions], ['links-production', ['links-production']]);
  const left = report.items.filter((item) => item.fate === 'left').map(({ file, line, what }) => `${file}:${line} ${what}`);
  assert.deepEqual(left, ['.dev.vars:1 secret SIGNING_SECRET', 'wrangler.toml:11 variable GITHUB_TOKEN']);
  assert.match((await virga.cli(['schedules', '--project', 'links-production'])).stdout, /0 \* \* \* \*/);
  const answer = await virga.fetch('links-production', '/api/a/b');
  assert.deepEqual(await answer.json(), ['/api/a/b', 'production', 'none', 'none']);
});

test('an app of Azure Functions, built from its source', async () => {
  const folder = await project({
    'host.json': '{ "version": "2.0", "functionTimeout": "00:00:20", "extensions": { "http": { "routePrefix": "v1" } } }',
    'package.json': '{ "main": "dist/src/index.js", "dependencies": { "@azure/functions": "*" } }',
    'local.settings.json': '{ "Values": { "FUNCTIONS_WORKER_RUNTIME": "node", "GREETING": "local" } }',
    'src/index.ts': `import { app } from '@azure/functions';

app.http('greet', {
  route: 'greet/{name}',
  methods: ['GET'],
  handler: async (request) => ({ jsonBody: { hello: request.params['name'], greeting: process.env['GREETING'] ?? 'none' } }),
});
app.timer('cleanup', { schedule: '0 0 3 * * *', handler: () => {} });
`,
  });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const report = await importAndDeploy(folder);
  const left = report.items.filter((item) => item.fate === 'left').map(({ file, line, what }) => `${file}:${line} ${what}`);
  assert.match((await virga.cli(['schedules', '--project', report.project])).stdout, /cleanup/);
  assert.ok(left.includes('local.settings.json:1 setting GREETING'), left.join('\n'));
  const answer = await virga.fetch(report.project, '/v1/greet/Ada');
  assert.deepEqual(await answer.json(), { hello: 'Ada', greeting: 'none' });
});

test('a service of Cloud Run, from the source beside its service.yaml', async () => {
  const folder = await project({
    'service.yaml': `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: thumbnails
spec:
  template:
    spec:
      containerConcurrency: 10
      timeoutSeconds: 30
      containers:
        - image: europe-docker.pkg.dev/acme/run/thumbnails:1
          env:
            - {name: BUCKET, value: photos}
            - {name: DB_PASS, valueFrom: {secretKeyRef: {name: db, key: latest}}}
          resources: {limits: {memory: 128Mi}}
`,
    Dockerfile: 'FROM node:24\nCOPY . .\nCMD ["node", "server.js"]\n',
    'server.js': `const http = require('node:http');
http
  .createServer((request, response) => response.end(JSON.stringify([request.url, process.env.BUCKET, process.env.DB_PASS ?? 'none'])))
  .listen(process.env.PORT);
`,
  });
  const report = await importAndDeploy(folder);
  assert.deepEqual([report.project, report.functions], ['thumbnails', ['thumbnails']]);
  const answer = await virga.fetch('thumbnails', '/a/b?c=d');
  assert.deepEqual(await answer.json(), ['/a/b?c=d', 'photos', 'none']);
});
