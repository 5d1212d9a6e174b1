// The document of a project: what routes share is said once, what differs keeps apart, and who may call is in it without any secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewaySection } from '../policies/policy.ts';
import type { Route } from '../settings.ts';
import { openApiDocument } from './document.ts';

interface Read {
  paths: Record<string, Record<string, Record<string, unknown>>>;
  components: { schemas: Record<string, unknown>; securitySchemes?: Record<string, unknown> };
}

const documentOf = (routes: Route[], gateway: GatewaySection = {}): Read =>
  openApiDocument({ project: 'p', version: '1', routes, gateway }) as unknown as Read;
const taking = (path: string, body: unknown, more: object = {}): Route => ({
  path,
  methods: ['POST'],
  function: 'f',
  policy: { validate: { body }, ...more },
});
const refOf = ({ paths }: Read, path: string): unknown => {
  const { content } = paths[path]!['post']!['requestBody'] as { content: Record<string, { schema: { $ref: string } }> };
  return content['application/json']!.schema.$ref;
};

test('definitions that say the same are one component, those that differ in what they lead to are two', () => {
  const node = { properties: { next: { $ref: '#/$defs/Leaf' } } };
  const body = (leaf: object) => ({ $ref: '#/$defs/Node', $defs: { Node: node, Leaf: leaf } });
  const read = documentOf([
    taking('/a', body({ type: 'string' })),
    taking('/b', body({ type: 'string' })),
    taking('/c', body({ type: 'null' })),
  ]);
  assert.deepEqual([refOf(read, '/a'), refOf(read, '/b')], ['#/components/schemas/Node', '#/components/schemas/Node']);
  assert.equal(refOf(read, '/c'), '#/components/schemas/Node-2');
  const { schemas } = read.components;
  assert.deepEqual(schemas['Node-2'], { properties: { next: { $ref: '#/components/schemas/Leaf-2' } } });
  assert.deepEqual([schemas['Leaf'], schemas['Leaf-2']], [{ type: 'string' }, { type: 'null' }]);
});

test('a schema that refers to itself moves whole, and its references with it', () => {
  const read = documentOf([taking('/tree', { properties: { child: { $ref: '#' }, name: { $ref: '#/properties/child' } } })]);
  assert.equal(refOf(read, '/tree'), '#/components/schemas/f-body');
  assert.deepEqual(read.components.schemas['f-body'], {
    properties: { child: { $ref: '#/components/schemas/f-body' }, name: { $ref: '#/components/schemas/f-body/properties/child' } },
  });
});

test('who may call is told in the words of OpenAPI, without a secret or the name of one', () => {
  const gateway: object = {
    auth: {
      keys: { keys: { from: ['query:key'] } },
      users: { jwt: { issuer: 'https://login.example.com', audience: 'p', secret: 'SIGNING_SECRET' } },
      hook: { webhook: { sender: 'github', secret: 'HOOK_SECRET', header: 'x-hub-signature-256' } },
    },
    defaults: { auth: { any: ['keys', { use: 'users', scopes: ['read'] }] } },
  };
  const hooked: Route = { path: '/hook', methods: ['POST'], function: 'f', policy: { auth: 'hook' } };
  const open: Route = { path: '/open', methods: ['GET'], function: 'f', policy: { auth: 'none' } };
  const read = documentOf([{ path: '/x', methods: ['GET'], function: 'f' }, hooked, open], gateway);
  assert.deepEqual(read.paths['/x']!['get']!['security'], [{ keys: [] }, { users: ['read'] }]);
  assert.deepEqual(Object.keys(read.paths['/x']!['get']!['responses'] as object), ['401', '403', 'default']);
  assert.equal(read.paths['/open']!['get']!['security'], undefined);
  assert.deepEqual(read.components.securitySchemes, {
    keys: { type: 'apiKey', in: 'query', name: 'key', description: 'A key of the project.' },
    users: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'A token of https://login.example.com.' },
    hook: { type: 'apiKey', in: 'header', name: 'x-hub-signature-256', description: 'Signed as github does.' },
  });
  assert.doesNotMatch(JSON.stringify(read), /_SECRET/);
});

test('operations have names of their own, and paths that OpenAPI takes for one are one', () => {
  const read = documentOf([
    { path: '/a/{x}', methods: ['GET'], function: 'f', policy: { openapi: { operationId: 'same' } } },
    {
      path: '/a/{y}',
      methods: ['PUT'],
      function: 'g',
      policy: { openapi: { operationId: 'same' }, validate: { params: { y: { type: 'integer' } } } },
    },
    { path: '/old', methods: ['GET'], redirect: { to: '/a/1' } },
  ]);
  assert.deepEqual(Object.keys(read.paths), ['/a/{x}']);
  const { get, put } = read.paths['/a/{x}']!;
  assert.deepEqual([get!['operationId'], put!['operationId']], ['same', 'same-2']);
  assert.deepEqual(put!['parameters'], [{ name: 'x', in: 'path', required: true, schema: { type: 'integer' } }]);
});
