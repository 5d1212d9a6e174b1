// Route templates as Azure Functions has them: what matches, with which parameters, and which of several wins.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppFunction } from './app.ts';
import { Routes } from './routes.ts';

function fn(name: string, route?: string, methods?: string[]): AppFunction {
  const trigger = {
    type: 'httpTrigger',
    direction: 'in' as const,
    name: 'req',
    ...(route === undefined ? {} : { route }),
    methods: methods ?? ['GET'],
  };
  return { name, metadata: { name, bindings: {} }, callback: () => {}, trigger };
}

/** Name and parameters of what is found; else what is said. */
function found(routes: Routes, path: string, method = 'GET'): unknown {
  const match = routes.match(method, path);
  return match.kind === 'found' ? [match.fn.name, match.params] : match.kind === 'method' ? match.allow : match.kind;
}

test('a function without a route is found under its name, below the prefix', () => {
  const routes = new Routes([fn('Hello')], 'api');
  assert.deepEqual(found(routes, '/api/hello'), ['Hello', {}]);
  assert.deepEqual(found(routes, '/API/HELLO/'), ['Hello', {}]);
  assert.equal(found(routes, '/hello'), 'none');
  assert.deepEqual(found(new Routes([fn('Hello')], ''), '/hello'), ['Hello', {}]);
  assert.deepEqual(found(new Routes([fn('Hello')], 'a/b/'), '/a/b/hello'), ['Hello', {}]);
});

test('the template of the documents: a category of letters and an optional number', () => {
  // learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger (customize the HTTP endpoint)
  const routes = new Routes([fn('products', 'products/{category:alpha}/{id:int?}')], 'api');
  assert.deepEqual(found(routes, '/api/products/electronics/357'), ['products', { category: 'electronics', id: '357' }]);
  assert.deepEqual(found(routes, '/api/products/electronics'), ['products', { category: 'electronics' }]);
  assert.equal(found(routes, '/api/products/electronics/many'), 'none');
  assert.equal(found(routes, '/api/products/4/5'), 'none');
  assert.equal(found(routes, '/api/products'), 'none');
});

test('the rest of a path, defaults, and several parameters in a segment', () => {
  const routes = new Routes(
    [
      fn('rest', 'files/{*path}'),
      fn('page', 'pages/{number:int=1}'),
      fn('image', 'images/{name}.{extension}'),
      fn('size', 'sizes/{w:int}x{h:int}'),
    ],
    '',
  );
  assert.deepEqual(found(routes, '/files/a/b%20c/d.txt'), ['rest', { path: 'a/b c/d.txt' }]);
  assert.deepEqual(found(routes, '/files'), ['rest', {}]);
  assert.deepEqual(found(routes, '/pages'), ['page', { number: '1' }]);
  assert.deepEqual(found(routes, '/images/a.b.png'), ['image', { name: 'a.b', extension: 'png' }]);
  assert.deepEqual(found(routes, '/sizes/30x40'), ['size', { w: '30', h: '40' }]);
  assert.equal(found(routes, '/images/png'), 'none');
});

test('constraints', () => {
  const cases: [template: string, fits: string[], not: string[]][] = [
    ['{v:int}', ['0', '-5', '2147483647'], ['2147483648', '1.5', 'x']],
    ['{v:long}', ['9223372036854775807'], ['9223372036854775808']],
    ['{v:bool}', ['true', 'FALSE'], ['yes']],
    ['{v:guid}', ['CD2C1638-1638-72D5-1638-DEADBEEF1638'], ['cd2c1638']],
    ['{v:double}', ['1.5', '-2e3'], ['a']],
    ['{v:datetime}', ['2016-12-31'], ['later']],
    ['{v:minlength(3)}', ['abc'], ['ab']],
    ['{v:length(2,4)}', ['ab', 'abcd'], ['a', 'abcde']],
    ['{v:length(3)}', ['abc'], ['ab']],
    ['{v:range(18,120)}', ['18', '120'], ['17', 'x']],
    ['{v:int:min(3)}', ['3'], ['2', 'x']],
    [String.raw`{v:regex(^\\d{{3}}-\\d{{2}}$)}`, ['123-45'], ['12-345']],
  ];
  for (const [template, fits, not] of cases) {
    const routes = new Routes([fn('f', `c/${template}`)], '');
    for (const value of fits) assert.deepEqual(found(routes, `/c/${value}`), ['f', { v: value }], `${template} ${value}`);
    for (const value of not) assert.equal(found(routes, `/c/${value}`), 'none', `${template} ${value}`);
  }
  assert.throws(() => new Routes([fn('f', 'a/{id:uuid}')], ''), { message: /function 'f' has the constraint 'uuid', which is not known/ });
  assert.throws(() => new Routes([fn('f', 'a/{id')], ''), { message: /has a segment '\{id' that cannot be read/ });
});

test('the most particular template wins, whatever the order', () => {
  const all = [fn('rest', '{*all}'), fn('any', 'notes/{id}'), fn('number', 'notes/{id:int}'), fn('new', 'notes/new'), fn('list', 'notes')];
  for (const functions of [all, all.toReversed()]) {
    const routes = new Routes(functions, '');
    assert.deepEqual(found(routes, '/notes/new'), ['new', {}]);
    assert.deepEqual(found(routes, '/notes/5'), ['number', { id: '5' }]);
    assert.deepEqual(found(routes, '/notes/x'), ['any', { id: 'x' }]);
    assert.deepEqual(found(routes, '/notes'), ['list', {}]);
    assert.deepEqual(found(routes, '/other/place'), ['rest', { all: 'other/place' }]);
  }
});

test('methods: another template of the path may take what one does not, and GET implies HEAD', () => {
  const routes = new Routes([fn('read', 'a/{id}'), fn('write', 'a/{id}', ['PUT', 'patch']), fn('posted', 'b', ['POST'])], '');
  assert.deepEqual(found(routes, '/a/1', 'PUT'), ['write', { id: '1' }]);
  assert.deepEqual(found(routes, '/a/1', 'PATCH'), ['write', { id: '1' }]);
  assert.deepEqual(found(routes, '/a/1', 'HEAD'), ['read', { id: '1' }]);
  assert.deepEqual(found(routes, '/a/1', 'DELETE'), ['GET', 'PUT', 'PATCH']);
  assert.deepEqual(found(routes, '/b', 'HEAD'), ['POST']);
});
