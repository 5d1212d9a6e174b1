import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testVersion } from '../functions/testing.ts';
import type { Route } from '../protocol/settings.ts';
import { RouteTable, segmentsOf } from './route-table.ts';

function table(...routes: [string, Route['methods'], string][]): RouteTable {
  return new RouteTable(
    routes.map(([path, methods, name]) => ({ route: { path, methods, function: name }, to: { version: testVersion({}, name) } })),
  );
}

function match(t: RouteTable, method: string, path: string): string {
  const found = t.match(method, segmentsOf(path));
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
  const time = (t: RouteTable): number => {
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
      const from = performance.now();
      for (let i = 0; i < 20_000; i++) t.match('GET', ['r7', String(i), 'x']);
      best = Math.min(best, performance.now() - from);
    }
    return best;
  };
  time(few);
  // A walk would cost a thousand times as much; caches and noise explain a few times.
  assert.ok(time(many) < 30 * time(few));
});
