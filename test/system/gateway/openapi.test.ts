// OpenAPI both ways: the document of a project is sound and complete, its page makes calls, and a document becomes routes, at each
// deploy or by `virga import`; what goes in comes out.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { runCli, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { openPage } from './browser-page.ts';

const PROJECT = {
  'virga.yaml': `
project: shelf
gateway:
  openapi: {serve: /api/openapi.json, docs: /docs, title: The shelf, version: "2.1", description: Books.}
functions:
  books:
    source: books.mjs
    http:
      - path: /books
        methods: [GET]
        validate:
          query: {limit: {type: integer, maximum: 100, description: How many.}, tag: {type: array, items: {type: string}}}
          response: {"200": {type: array, items: {$ref: "book.json"}}}
        openapi: {summary: All books, operationId: listBooks}
      - path: /books
        methods: [POST]
        validate: {body: {$ref: "book.json", examples: [{title: Emma}]}, headers: {x-tenant: {type: string, required: true}}}
        openapi: {operationId: addBook, deprecated: true}
      - path: /books/{id}
        validate: {params: {id: {type: integer}}}
      - path: /files/{path+}
        methods: [GET]
      - path: /secret
        methods: [GET]
        openapi: false
`,
  'book.json': JSON.stringify({
    type: 'object',
    required: ['title'],
    properties: { title: { type: 'string' }, sequel: { $ref: '#' } },
  }),
  'books.mjs': `
    export default {
      async fetch(request) {
        const url = new URL(request.url);
        return Response.json({ method: request.method, path: url.pathname, query: url.search, tenant: request.headers.get('x-tenant'), body: await request.text() });
      },
    };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

interface Document {
  info: Record<string, string>;
  servers: { url: string }[];
  paths: Record<string, Record<string, Record<string, unknown>>>;
  components: { schemas: Record<string, unknown> };
}

const served = async (project: string, path: string): Promise<Document> => (await (await virga.fetch(project, path)).json()) as Document;
const sound = async (document: object): Promise<void> => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as Record<string, unknown>);
  assert.ok(valid, JSON.stringify(errors, undefined, 2));
};

test('the document that is served is sound OpenAPI 3.1 and says what the gateway checks', async () => {
  const document = await served('shelf', '/api/openapi.json');
  await sound(document);
  assert.deepEqual(document.info, { title: 'The shelf', version: '2.1', description: 'Books.' });
  assert.deepEqual(document.servers, [{ url: '../' }]);
  assert.deepEqual(Object.keys(document.paths), ['/books', '/books/{id}', '/files/{path}']);
  const { get, post } = document.paths['/books']!;
  assert.deepEqual(
    [get!['operationId'], get!['summary'], post!['operationId'], post!['deprecated'], Object.keys(post!['responses'] as object)],
    ['listBooks', 'All books', 'addBook', true, ['400', '413', '415', 'default']],
  );
  assert.deepEqual((get!['parameters'] as object[])[0], {
    name: 'limit',
    in: 'query',
    description: 'How many.',
    schema: { type: 'integer', maximum: 100 },
  });
  const { schemas } = document.components;
  assert.deepEqual(Object.keys(schemas).toSorted(), ['Error', 'Problem', 'book']);
  assert.deepEqual((schemas['book'] as { properties: object }).properties, {
    title: { type: 'string' },
    sequel: { $ref: '#/components/schemas/book' },
  });
  assert.deepEqual(Object.keys(document.paths['/books/{id}']!), ['get', 'put', 'post', 'delete', 'patch']);
});

test('the document is not sent again to who has it', async () => {
  const first = await virga.fetch('shelf', '/api/openapi.json');
  const etag = first.headers.get('etag')!;
  const again = await virga.fetch('shelf', '/api/openapi.json', { headers: { 'if-none-match': `W/"other", ${etag}` } });
  assert.deepEqual([again.status, await again.text(), again.headers.get('etag')], [304, '', etag]);
  assert.equal((await virga.fetch('shelf', '/api/openapi.json', { method: 'HEAD' })).headers.get('content-type'), 'application/json');
  assert.equal((await virga.fetch('shelf', '/api/openapi.json', { method: 'POST' })).status, 405);
});

test('the page asks nothing of other hosts, and may run its own script alone', async () => {
  const answer = await virga.fetch('shelf', '/docs');
  const html = await answer.text();
  const policy = answer.headers.get('content-security-policy')!;
  const hash = (tag: string) =>
    createHash('sha256')
      .update(new RegExp(`<${tag}>([\\s\\S]*)</${tag}>`).exec(html)![1]!)
      .digest('base64');
  assert.ok(policy.startsWith("default-src 'none'; "), policy);
  assert.ok(policy.includes(`script-src 'sha256-${hash('script')}';`), policy);
  assert.ok(policy.includes(`style-src 'sha256-${hash('style')}';`), policy);
  assert.ok(policy.includes("connect-src 'self'"), policy);
  assert.doesNotMatch(html, /https?:\/\/|\son\w+=|\sstyle=/);
  for (const needed of ['<html lang="en">', '<title>', 'name="viewport"', '<main', '<h1']) assert.ok(html.includes(needed), needed);
});

test('on the page a call is made of what is typed, and its answer is shown', async () => {
  const url = `${virga.edgeUrl}/@shelf/docs`;
  const page = await openPage(url, await (await fetch(url)).text());
  const operations = page
    .all()
    .filter((one) => one.name === 'summary')
    .map((one) => one.textContent);
  assert.ok(operations.includes('GET /books All books'), operations.join());
  const operation = (title: string) => page.all().find((one) => one.name === 'details' && one.textContent.startsWith(title))!;
  const call = async (title: string, typed: Record<string, string>): Promise<string> => {
    const form = operation(title)
      .all()
      .find((one) => one.name === 'form')!;
    for (const [label, text] of Object.entries(typed)) form.labelled(label).value = text;
    await form.dispatch('submit');
    return form.all().find((one) => one.getAttribute('role') === 'status')!.textContent;
  };
  assert.equal(operation('POST /books').labelled('Body').value, '{\n  "title": "Emma"\n}');
  const added = await call('POST /books', { 'x-tenant': 'acme' });
  assert.match(added, /^200 OK/);
  assert.match(added, /"tenant": "acme"/);
  assert.match(added, /"body": "\{\\n {2}\\"title\\": \\"Emma\\"\\n\}"/);
  assert.match(await call('GET /books', { limit: '5', tag: 'a,b' }), /"query": "\?limit=5&tag=a&tag=b"/);
  assert.match(await call('GET /books', { limit: '500', tag: '' }), /^400 [\s\S]*must be at most 100/);
  assert.match(await call('GET /files/{path}', { path: 'a b/c?' }), /"path": "\/files\/a%20b\/c%3F"/);
  for (const form of page.all().filter((one) => one.name === 'form'))
    for (const field of form.all().filter((one) => ['input', 'select', 'textarea'].includes(one.name)))
      assert.ok(
        form.all().some((one) => one.getAttribute('for') === field.getAttribute('id')),
        'a field without a label',
      );
});

test('operations of a document that name a function become routes of it', async () => {
  const openapi = `
openapi: 3.1.0
info: {title: T, version: "1"}
paths:
  /cats:
    post:
      operationId: cats
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Cat"}}}}
      responses: {default: {description: D}}
  /cats/{id}:
    get:
      x-virga-function: cats
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {default: {description: D}}
  /dogs:
    get: {operationId: dogs, responses: {default: {description: D}}}
components: {schemas: {Cat: {type: object, required: [name]}}}
`;
  const manifest =
    'project: cats\ngateway: {openapi: {document: api/openapi.yaml}}\nfunctions:\n  cats: {source: cats.mjs, http: GET /cats}\n';
  const files = {
    'virga.yaml': manifest,
    'api/openapi.yaml': openapi,
    'cats.mjs': "export default { fetch: () => new Response('meow') };",
  };
  const deployed = await virga.deploy(files);
  assert.equal(deployed.code, 0, deployed.stderr);
  const status = async (path: string, init?: RequestInit) => (await virga.fetch('cats', path, init)).status;
  const json = { method: 'POST', headers: { 'content-type': 'application/json' } };
  assert.deepEqual(
    [await status('/cats'), await status('/cats', { ...json, body: '{"name":"Tom"}' }), await status('/cats', { ...json, body: '{}' })],
    [200, 200, 400],
  );
  assert.deepEqual([await status('/cats/7'), await status('/cats/x'), await status('/dogs')], [200, 400, 404]);
  const wrong = async (change: (text: string) => string) => (await virga.deploy({ ...files, 'api/openapi.yaml': change(openapi) })).stderr;
  assert.match(
    await wrong((text) => text.replace('x-virga-function: cats', 'x-virga-function: cat')),
    /names the function 'cat', which is not there; did you mean 'cats'/,
  );
  assert.match(await wrong((text) => text.replace('3.1.0', '2.0')), /expected 3\.0 or 3\.1/);
  assert.match(
    await wrong((text) => text.replace('operationId: cats', 'operationId: cats\n      security: [{key: []}]')),
    /security scheme 'key', which this gateway does not know/,
  );
  assert.match(await wrong((text) => text.replace('required: [name]', 'requiredd: [name]')), /did you mean 'required'/);
});

test('a document that is imported is served as it was, as far as both can say it', async (t) => {
  const folder = await temporaryFolder('virga-project-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const original = await served('shelf', '/api/openapi.json');
  await writeFiles(folder, { 'openapi.json': JSON.stringify(original) });
  const imported = await runCli(['import', join(folder, 'openapi.json'), '--scaffold', '--json']);
  assert.equal(imported.code, 0, imported.stderr);
  const manifest = await readFile(join(folder, 'virga.yaml'), 'utf8');
  const printed = await runCli(['openapi', folder]);
  assert.equal(printed.code, 0, printed.stderr);
  const document = printed.json<Document>();
  await sound(document);
  assert.deepEqual(document.paths, original.paths);
  assert.deepEqual(document.components, original.components);
  assert.deepEqual(document.info, original.info);
  const deployed = await virga.cli(['deploy', folder, '--json']);
  assert.equal(deployed.code, 0, deployed.stderr + manifest);
  const answer = await virga.fetch('the-shelf', '/books?limit=7');
  assert.equal(answer.status, 501);
  assert.match(await answer.text(), /listBooks is not written yet/);
  assert.equal((await virga.fetch('the-shelf', '/openapi.json')).status, 404, 'nothing is served that was not asked for');
});

test('mistakes are told with their place', async () => {
  const wrong = async (openapi: string) =>
    (await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace(/openapi: \{serve.*\}/, `openapi: ${openapi}`) })).stderr;
  assert.match(await wrong('{docs: /docs}'), /virga\.yaml:4:\d+.*add serve/);
  assert.match(await wrong('{serve: /books}'), /the route GET \/books is already taken/);
  assert.match(await wrong('{serve: /openapi.json, titel: x}'), /did you mean 'title'/);
  assert.match(await wrong('{document: none.yaml}'), /there is no such file/);
  assert.match(await wrong('{serve: "/{x}"}'), /without parameters/);
});

test('the control API has no less strict a look', async () => {
  const body = {
    functions: {},
    routes: [{ path: '/x', methods: ['GET'], redirect: { to: '/y' }, policy: { validate: { body: { type: 'object', propertees: {} } } } }],
    gateway: { openapi: { serve: '/x' } },
  };
  const answer = await fetch(`${virga.controlUrl}/v1/projects/raw/deployments`, {
    method: 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 400);
  const { error } = (await answer.json()) as { error: { detail: { path: string; message: string }[] } };
  assert.match(JSON.stringify(error.detail), /routes\.0\.policy\.validate.*did you mean 'properties'/);
});
