import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testVersion } from '../functions/testing.ts';
import type { Conditions } from '../protocol/policies/conditions.ts';
import type { Route } from '../protocol/settings.ts';
import type { Asked } from './conditions.ts';
import { RouteTable, segmentsOf } from './route-table.ts';

function table(...routes: [string, Route['methods'], string][]): RouteTable {
  return new RouteTable(
    routes.map(([path, methods, name]) => ({ route: { path, methods, function: name }, to: { version: testVersion({}, name) } })),
  );
}

const askedOf = (target: string, headers: Asked['headers'] = {}, host = 'p.localhost'): Asked => ({ target, headers, host });

function match(t: RouteTable, method: string, path: string): string {
  const found = t.match(method, segmentsOf(path), askedOf(path));
  switch (found.kind) {
    case 'found':
      return `${found.to.version!.function} ${JSON.stringify(found.params)}`;
    case 'method_not_allowed':
    case 'options':
      return `${found.kind} ${found.allow.join(',')}`;
    case 'none':
      return 'none';
  }
}

test('a literal beats a parameter, a parameter beats the rest of the path', () => {
  const t = table(['/a/{x}', null, 'param'], ['/a/b', null, 'literal'], ['/{all+}', null, 'rest'], ['/', null, 'root']);
  assert.equal(match(t, 'GET', '/a/b'), 'literal {}');
  assert.equal(match(t, 'GET', '/a/c'), 'param {"x":"c"}');
  assert.equal(match(t, 'GET', '/a/c/d'), 'rest {"all":"a/c/d"}');
  assert.equal(match(t, 'GET', '/'), 'root {}');
});

test('a branch that leads nowhere is left for the next less specific one', () => {
  const t = table(['/a/b/c', null, 'deep'], ['/a/{x}/d', null, 'param'], ['/{x}/{y}/e', null, 'wide']);
  assert.equal(match(t, 'GET', '/a/b/d'), 'param {"x":"b"}');
  assert.equal(match(t, 'GET', '/a/b/e'), 'wide {"x":"a","y":"b"}');
  assert.equal(match(t, 'GET', '/a/b/f'), 'none');
});

test('the rest of the path needs at least one segment', () => {
  const t = table(['/files/{path+}', null, 'files']);
  assert.equal(match(t, 'GET', '/files'), 'none');
  assert.equal(match(t, 'GET', '/files/x/y'), 'files {"path":"x/y"}');
});

test('methods share a path with parameter names of their own, GET implies HEAD, others get Allow', () => {
  const t = table(['/n/{id}', ['GET'], 'read'], ['/n/{key}', ['PUT', 'DELETE'], 'write']);
  assert.equal(match(t, 'HEAD', '/n/7'), 'read {"id":"7"}');
  assert.equal(match(t, 'PUT', '/n/7'), 'write {"key":"7"}');
  assert.equal(match(t, 'PATCH', '/n/7'), 'method_not_allowed GET,HEAD,PUT,DELETE,OPTIONS');
  assert.equal(match(t, 'OPTIONS', '/n/7'), 'options GET,HEAD,PUT,DELETE,OPTIONS');
});

test('a route for this very method beats one for every method on the same path', () => {
  const t = table(['/x', null, 'any'], ['/x', ['POST'], 'post']);
  assert.equal(match(t, 'POST', '/x'), 'post {}');
  assert.equal(match(t, 'GET', '/x'), 'any {}');
});

test('a trailing slash makes no difference', () => {
  const t = table(['/a', null, 'a']);
  assert.equal(match(t, 'GET', '/a/'), 'a {}');
  assert.equal(match(t, 'GET', '/a//'), 'none');
});

test('ten thousand routes do not cost a walk over them: far less than their number more than ten', () => {
  const few = table(...Array.from({ length: 10 }, (_, i): [string, null, string] => [`/r${i}/{id}/x`, null, `f${i}`]));
  const many = table(...Array.from({ length: 10_000 }, (_, i): [string, null, string] => [`/r${i}/{id}/x`, null, `f${i}`]));
  const asked = askedOf('/');
  const time = (t: RouteTable): number => {
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
      const from = performance.now();
      for (let i = 0; i < 20_000; i++) t.match('GET', ['r7', String(i), 'x'], asked);
      best = Math.min(best, performance.now() - from);
    }
    return best;
  };
  time(few);
  // A walk would cost a thousand times as much; caches and noise explain a few times.
  assert.ok(time(many) < 30 * time(few));
});

function conditioned(...routes: [Conditions, Route['methods'], string][]): RouteTable {
  return new RouteTable(
    routes.map(([conditions, methods, name]) => ({
      route: { path: '/x', methods, function: name, conditions },
      to: { version: testVersion({}, name) },
    })),
  );
}

test('of routes of one path the one that asks for more is taken, then the more exact, then the one for the method', () => {
  const t = conditioned(
    [{}, ['GET'], 'plain'],
    [{}, null, 'any'],
    [{ headers: { 'x-version': '2' } }, null, 'two'],
    [{ headers: { 'x-version': '2' } }, ['POST'], 'two by post'],
    [{ headers: { 'x-version': '2*' } }, ['GET'], 'two something'],
    [{ headers: { 'x-version': true } }, ['GET'], 'some version'],
    [{ headers: { 'x-version': true }, query: { a: '1' } }, null, 'both'],
    [{ hosts: ['api.example.com'] }, null, 'host'],
    [{ hosts: ['*.example.com'] }, null, 'hosts'],
  );
  const to = (method: string, { target = '/x', headers = {}, host = '' }: Partial<Asked> = {}): string => {
    const found = t.match(method, ['x'], askedOf(target, headers, host));
    return found.kind === 'found' ? found.to.version!.function : found.kind;
  };
  assert.equal(to('GET'), 'plain');
  assert.equal(to('PUT'), 'any');
  assert.equal(to('GET', { headers: { 'x-version': '2' } }), 'two');
  assert.equal(to('POST', { headers: { 'x-version': '2' } }), 'two by post');
  assert.equal(to('GET', { headers: { 'x-version': '2.1' } }), 'two something');
  assert.equal(to('GET', { headers: { 'x-version': '3' } }), 'some version');
  assert.equal(to('GET', { headers: { 'x-version': '3' }, target: '/x?b&a=0&a=1' }), 'both');
  assert.equal(to('GET', { host: 'API.example.com.:8080' }), 'host');
  assert.equal(to('GET', { host: 'b.example.com' }), 'hosts');
  assert.equal(to('GET', { host: 'a.b.example.com' }), 'plain');
  assert.equal(to('GET', { host: '[::1]:80' }), 'plain');
});

test('a path whose routes ask for what a request has not leaves it to a less specific path, or there is no route', () => {
  const t = new RouteTable([
    {
      route: { path: '/a/b', methods: ['POST'], function: 'b', conditions: { query: { v: true } } },
      to: { version: testVersion({}, 'b') },
    },
    { route: { path: '/a/{x}', methods: ['GET'], function: 'x' }, to: { version: testVersion({}, 'x') } },
  ]);
  assert.equal(match(t, 'GET', '/a/b'), 'x {"x":"b"}');
  assert.equal(t.match('POST', ['a', 'b'], askedOf('/a/b?v')).kind, 'found');
  assert.equal(match(t, 'POST', '/a/b'), 'method_not_allowed GET,HEAD,OPTIONS');
  assert.deepEqual(t.allowed(['a', 'b'], askedOf('/a/b?v=')), ['GET', 'HEAD', 'POST', 'OPTIONS']);
});

test('a preflight is for the route that asks for the headers that it announces', () => {
  const t = conditioned([{}, null, 'plain'], [{ headers: { 'x-version': '2' } }, null, 'two']);
  const asked = (announced: string): Asked => ({ ...askedOf('/x'), announced });
  const to = (announced: string) => {
    const found = t.match('GET', ['x'], asked(announced));
    return found.kind === 'found' && found.to.version!.function;
  };
  assert.equal(to('content-type, X-Version'), 'two');
  assert.equal(to('content-type'), 'plain');
});
