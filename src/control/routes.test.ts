import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../protocol/settings.ts';
import { pathProblem, routeProblems, sortedRoutes } from './routes.ts';

const on = (path: string, methods: Route['methods'] = null): Route => ({ path, methods, function: 'a' });
const problemsOf = (...routes: Route[]): string[] =>
  routeProblems({ functions: { a: undefined as never }, routes }).map(({ path, message }) => `${path} ${message}`);

test('a WebSocket takes GET', () => {
  const socket = (methods: Route['methods']): Route => ({ ...on('/chat', methods), policy: { websocket: {} } });
  assert.deepEqual(problemsOf(socket(null)), []);
  assert.deepEqual(problemsOf(socket(['GET', 'POST'])), []);
  assert.deepEqual(problemsOf(socket(['POST'])), ['routes.0.methods lacks GET, with which a WebSocket begins']);
});

test('paths of every allowed form are taken', () => {
  for (const path of [
    '/',
    '/notes',
    '/notes/{id}',
    '/a/{b}/c/{d_1}',
    '/files/{path+}',
    '/{all+}',
    '/caf%C3%A9',
    '/100%25',
    '/a.b-c~d',
    '/@x',
    '/ü',
  ]) {
    assert.equal(pathProblem(path), undefined, path);
  }
});

test('paths that could not match, or mean something else, are refused', () => {
  for (const path of [
    '',
    'notes',
    '/.virga',
    '/.virga/x',
    '/notes/',
    '//',
    '/a//b',
    '/./a',
    '/a/..',
    '/%2e%2e/a',
    '/a?b',
    '/a#b',
    '/a\0',
    '/100%',
    '/%zz',
    '/a%2Fb',
    '/a%00',
    '/{id',
    '/id}',
    '/x{id}',
    '/{id}x',
    '/{}',
    '/{1a}',
    '/{a-b}',
    '/{p+}/x',
    '/{a}/{a}',
    '/{__proto__}',
    '/\ud800',
    `/${'a/'.repeat(40)}b`,
  ]) {
    assert.notEqual(pathProblem(path), undefined, JSON.stringify(path));
  }
});

test('two routes conflict when they claim the same requests, whatever their parameters are called', () => {
  assert.deepEqual(problemsOf(on('/a'), on('/a')).length, 1);
  assert.match(
    problemsOf(on('/n/{id}', ['GET']), on('/n/{name}', ['PUT', 'GET']))[0]!,
    /^routes.1 claims the same requests \(GET\) as routes.0/,
  );
  assert.equal(problemsOf(on('/f/{a+}'), on('/f/{b+}')).length, 1);
  assert.equal(problemsOf(on('/caf%C3%A9'), on('/café')).length, 1);
});

test('routes that differ in method or specificity do not conflict', () => {
  assert.deepEqual(problemsOf(on('/a', ['GET']), on('/a', ['PUT']), on('/a'), on('/{x}'), on('/{x+}'), on('/')), []);
});

test('the order of routes and methods does not matter', () => {
  const routes = [on('/b', ['PUT', 'GET']), on('/a'), on('/b', ['DELETE'])];
  assert.deepEqual(sortedRoutes(routes), sortedRoutes(routes.toReversed()));
  assert.deepEqual(sortedRoutes(routes).at(-1), on('/b', ['GET', 'PUT']));
});

test('a group is for queues that have groups', () => {
  const queued = (group: string, fifo: boolean): string[] =>
    routeProblems({
      functions: {},
      routes: [{ path: '/', methods: null, queue: { name: 'orders', group } }],
      events: { queues: { orders: { fifo } } },
    }).map(({ path, message }) => `${path} ${message}`);
  assert.deepEqual(queued('header:x-customer', true), []);
  assert.deepEqual(queued('header:x-customer', false), ["routes.0.queue.group is for a queue with `fifo: true`, which 'orders' is not"]);
});
