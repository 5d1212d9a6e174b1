// Validation as clients meet it: all problems in one answer, what passes reaches the function as it was sent, and schemas, patterns
// and bodies that mean harm are refused without anybody else noticing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: orders
functions:
  echo:
    source: echo.mjs
    http:
      - path: /orders
        methods: [GET, POST]
        validate:
          query:
            limit: {type: integer, minimum: 1, maximum: 100}
            tag: {type: array, items: {type: string, maxLength: 5}, maxItems: 2}
            ids: {type: array, items: {type: integer}, explode: false}
            open: {type: boolean}
          headers:
            x-tenant: {type: string, pattern: "^[a-z]{3}$"}
          body: {$ref: "schemas/order.yaml#/$defs/Order"}
      - path: /orders/{id}
        methods: [GET]
        validate: {params: {id: {type: integer, minimum: 1}}, query: {fields: {type: string, required: true}}}
      - path: /small
        methods: [POST]
        validate: {maxBody: 1 KiB, maxDepth: 3, body: {contentTypes: [application/json, text/*], schema: {type: object}, required: false}}
      - path: /pattern
        methods: [POST]
        validate: {body: {type: string, pattern: "(a+)+$"}}
      - path: /free
      - path: /broken
        validate: {validateResponses: true, response: {"200": {type: object, required: [id]}}}
      - path: /fine
        validate: {validateResponses: true, response: {"200": {type: object, required: [id]}, default: false}}
`,
  'schemas/order.yaml': `
$defs:
  Order:
    type: object
    required: [title, items]
    additionalProperties: false
    properties:
      title: {type: string, minLength: 1, maxLength: 20}
      items: {type: array, minItems: 1, items: {$ref: "#/$defs/Item"}}
      parent: {$ref: "#/$defs/Order"}
  Item:
    type: object
    required: [sku]
    properties: {sku: {type: string, pattern: "^[A-Z]{3}-[0-9]{4}$"}, at: {type: string, format: date-time}}
`,
  'echo.mjs': `
    export default {
      async fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname.endsWith('/broken')) return Response.json({ name: 'no id' });
        if (pathname.endsWith('/fine')) return Response.json({ id: 7 });
        return new Response(await request.arrayBuffer(), { headers: { 'x-saw': request.method } });
      },
    };`,
};

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  errors: { in: string; pointer: string; message: string }[];
  error: { code: string; requestId: string };
}

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const ask = async (path: string, init?: RequestInit) => await virga.fetch('orders', path, init);
const post = async (path: string, body: string | Buffer, type = 'application/json', headers: Record<string, string> = {}) =>
  await ask(path, { method: 'POST', body: body as string, headers: { 'content-type': type, ...headers } });
const problemsOf = async (answer: Response): Promise<Problem> => {
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  return (await answer.json()) as Problem;
};
const pointers = ({ errors }: Problem) => errors.map((one) => `${one.in} ${one.pointer}: ${one.message}`);

test('what fits reaches the function byte for byte', async () => {
  const body = ' { "title" : "caf\\u00e9",\n "items":[{"sku":"ABC-1234","at":"2026-01-31T09:30:00Z"}], "parent": null } '.replace(
    ', "parent": null',
    '',
  );
  const answer = await post('/orders?limit=10&tag=a&tag=b&ids=1,2&open=true&other=1', body, 'application/json; charset=utf-8', {
    'x-tenant': 'abc',
  });
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), body);
});

test('everything that is wrong is told in one answer, by where it stands and not by its value', async () => {
  const body = JSON.stringify({ title: '', secret: 's3cret-value', items: [{ sku: 'nope' }, {}, { sku: 'ABC-1234', at: 'today' }] });
  const answer = await post('/orders?limit=1000&tag=abcdef&open=maybe&ids=1,x', body, 'application/json', {
    'x-tenant': 'HIDDEN',
    'x-request-id': 'r-1',
  });
  assert.equal(answer.status, 400);
  const text = await answer.clone().text();
  for (const value of ['s3cret-value', 'HIDDEN', 'nope']) assert.ok(!text.includes(value), value);
  const problem = await problemsOf(answer);
  assert.deepEqual(
    [problem.status, problem.type, problem.instance, problem.error.code, problem.error.requestId],
    [400, 'urn:virga:error:invalid_request', 'urn:virga:request:r-1', 'invalid_request', 'r-1'],
  );
  assert.deepEqual(pointers(problem).toSorted(), [
    'body #/items/0/sku: must match ^[A-Z]{3}-[0-9]{4}$',
    'body #/items/1/sku: is missing',
    'body #/items/2/at: must be a date and time such as 2026-01-31T09:30:00Z',
    'body #/secret: is not known here',
    'body #/title: must not be empty',
    'header #/x-tenant: is not what it must be',
    'query #/ids/1: must be a whole number',
    'query #/limit: must be at most 100',
    'query #/open: must be true or false',
    'query #/tag/0: must have at most 5 characters',
  ]);
});

test('at most a hundred problems are listed', async () => {
  const body = JSON.stringify({ title: 'x', items: Array.from({ length: 500 }, () => ({})) });
  const { errors } = await problemsOf(await post('/orders', body));
  assert.equal(errors.length, 100);
});

test('parameters of path and query without a body', async () => {
  assert.equal((await ask('/orders/7?fields=a')).status, 200);
  const problem = await problemsOf(await ask('/orders/seven?fields=a&fields=b'));
  assert.deepEqual(pointers(problem), ['path #/id: must be a whole number', 'query #/fields: is there more than once']);
  assert.deepEqual(pointers(await problemsOf(await ask('/orders/0'))), ['path #/id: must be at least 1', 'query #/fields: is missing']);
});

test('a body is asked for where a method has one', async () => {
  assert.equal((await ask('/orders')).status, 200);
  assert.deepEqual(pointers(await problemsOf(await ask('/orders', { method: 'POST' }))), ['body #: is missing']);
  assert.equal((await ask('/small', { method: 'POST' })).status, 200);
});

test('content types, encodings and sizes that are not taken get 415 and 413', async () => {
  for (const [type, headers] of [
    ['text/plain', {}],
    ['application/json', { 'content-encoding': 'gzip' }],
    ['application/json; charset=utf-16', {}],
  ] as const) {
    const answer = await post('/orders', '{}', type, headers);
    assert.equal(answer.status, 415, type);
    assert.equal((await problemsOf(answer)).error.code, 'unsupported_media_type');
  }
  assert.equal((await post('/small', 'any text', 'text/csv')).status, 200);
  assert.equal((await post('/small', '{}', 'application/problem+json')).status, 415);
  assert.equal((await post('/small', `"${'x'.repeat(2_000)}"`)).status, 413);
  assert.equal((await post('/orders', '{}', 'application/merge-patch+json')).status, 400);
});

test('bodies that are no JSON, too deep, not UTF-8, or say a thing twice are refused with the place', async () => {
  const first = async (path: string, body: string | Buffer) => pointers(await problemsOf(await post(path, body)))[0];
  assert.equal(await first('/orders', '{"title": "x",\n "items": [1,, 2]}'), 'body #: is not JSON from line 2, column 14 on');
  assert.equal(await first('/orders', '{"title": '), 'body #: is not JSON from line 1, column 11 on');
  assert.equal(await first('/small', '{"a":{"b":[{}]}}'), 'body #: is nested more than 3 deep');
  assert.equal(await first('/small', '['.repeat(1_000)), 'body #: is nested more than 3 deep');
  assert.equal((await post('/small', '{"a":"[[[[[["}')).status, 200);
  assert.equal(await first('/orders', Buffer.from([0x7b, 0xff, 0x7d])), 'body #: is not UTF-8');
  assert.equal(
    await first('/orders', '{"items": [{"sku": "ABC-1234", "sku": "x"}], "title": "t"}'),
    'body #/items/0/sku: is there twice, again at line 1, column 32',
  );
  assert.equal(await first('/orders', '{"__proto__": {"title": "x", "items": []}}'), 'body #/title: is missing');
});

test('a pattern that would backtrack for ever is no burden, while others are answered', async () => {
  const hostile = JSON.stringify(`${'a'.repeat(100_000)}!`);
  const timed = async (): Promise<number> => {
    const from = performance.now();
    assert.equal((await ask('/free')).status, 200);
    return performance.now() - from;
  };
  await timed();
  const alone = await timed();
  const attacks = Array.from({ length: 20 }, async () => await post('/pattern', hostile));
  const meanwhile = Math.max(...(await Promise.all(Array.from({ length: 5 }, timed))));
  for (const answer of await Promise.all(attacks)) assert.equal((await problemsOf(answer)).errors[0]!.message, 'must match (a+)+$');
  // With backtracking one of them would take longer than the universe is old; what is allowed for here is a busy machine.
  assert.ok(meanwhile < 1_000 + 10 * alone, `${meanwhile} ms`);
});

test('answers are held to their schemas where a route asks for it', async () => {
  assert.equal((await ask('/fine')).status, 200);
  const broken = await ask('/broken');
  assert.equal(broken.status, 502);
  const { error } = (await broken.json()) as { error: { code: string; detail: unknown } };
  assert.deepEqual([error.code, error.detail], ['response_not_valid', { errors: [{ pointer: '#/id', message: 'is missing' }] }]);
  assert.match(virga.log(), /does not fit its schema: #\/id is missing/);
});

test('schemas that are wrong, or mean harm, are refused at deploy with their place', async () => {
  const refused = async (validate: string) => {
    const manifest = `project: orders\nfunctions:\n  echo:\n    source: echo.mjs\n    http:\n      - path: /x/{id}\n        validate: ${validate}\n`;
    const deployed = await virga.deploy({ ...PROJECT, 'virga.yaml': manifest });
    assert.equal(deployed.code, 1, validate);
    return deployed.stderr;
  };
  assert.match(
    await refused('{body: {type: object, propertees: {}}}'),
    /virga\.yaml:7:\d+.*'propertees' is no keyword.*did you mean 'properties'/,
  );
  assert.match(await refused('{body: {type: string, pattern: "^(?=a)b$"}}'), /body\.pattern.*it looks ahead/);
  assert.match(await refused('{body: {type: string, pattern: "^(a{500}){500}$"}}'), /body\.pattern/);
  assert.match(await refused('{body: {$ref: "https://example.com/schema.json"}}'), /\$ref.*others are not fetched/);
  assert.match(await refused('{body: {$ref: "schemas/none.json"}}'), /schemas\/none\.json.*there is no such file/);
  assert.match(await refused('{body: {$ref: "../outside.json"}}'), /\.\.\/outside\.json.*folder of the manifest/);
  assert.match(await refused('{body: {$ref: "schemas/order.yaml#/$defs/Nothing"}}'), /there is nothing at/);
  assert.match(await refused('{body: {$ref: "#"}}'), /lead back to itself/);
  assert.match(await refused('{params: {name: {type: string}}}'), /'\{name\}' is no parameter of the path/);
  assert.match(await refused('{query: {q: {type: object}}}'), /not an object/);
  assert.match(await refused('{maxBody: 3 parsecs}'), /maxBody.*a size with its unit/);
  assert.match(await refused(`{body: ${'{not: '.repeat(80)}{}${'}'.repeat(80)}}`), /nested more than 64 deep/);
});
