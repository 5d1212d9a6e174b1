import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutConflicts } from './aws-routes.ts';
import type { ImportedFunction } from './project.ts';
import { Report } from './report.ts';

const at = { file: 'template.yaml', line: 1 };

function functionWith(name: string, ...routes: [method: string, path: string][]): ImportedFunction {
  const list = routes.map(([method, path]) => ({ at, path, methods: [method] }));
  return { name, at, source: 'x.zip', routes: list, env: [], include: [], external: [], layers: [] };
}

test('HEAD belongs to the GET of its path, whichever of the two stands first', () => {
  for (const methods of [
    ['HEAD', 'GET'],
    ['GET', 'HEAD'],
  ]) {
    const report = new Report();
    const fn = functionWith('f', ...methods.map((method): [string, string] => [method, '/notes/{id}']));
    withoutConflicts([fn], report);
    assert.deepEqual(
      fn.routes.map((route) => route.methods),
      [['GET']],
    );
    assert.deepEqual(report.items(), []);
  }
});

test('a route of two functions stays with the first, and the report says so', () => {
  const report = new Report();
  const [first, second] = [functionWith('first', ['GET', '/a']), functionWith('second', ['GET', '/a'], ['HEAD', '/a'], ['POST', '/a'])];
  withoutConflicts([first, second], report);
  assert.deepEqual(
    second.routes.map((route) => route.methods),
    [['POST']],
  );
  assert.deepEqual(
    report.items().map(({ what, note }) => `${what}: ${note}`),
    ['route GET /a: it is taken by first; Virga gives a route to one function'],
  );
});
