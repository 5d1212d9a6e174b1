// What is deployed of programs that serve HTTP: Bun's and Deno's sources, and what a command of `runtime: web` names.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestingProject } from './testing-project.ts';

const PACKAGE = {
  'node_modules/tool/package.json': '{"name":"tool","version":"1.0.0","bin":{"tool":"bin.js"},"dependencies":{"part":"1.0.0"}}',
  'node_modules/tool/bin.js': '#!/usr/bin/env node\n',
  'node_modules/part/package.json': '{"name":"part","version":"1.0.0"}',
};

test('a source of Bun or Deno keeps its name and place, TypeScript and all', async () => {
  for (const runtime of ['bun', 'deno']) {
    using project = new TestingProject({ 'fn/hello.ts': 'import "./part.ts"; const n: number = 1;', 'fn/part.ts': 'export {};' });
    const built = await project.build('fn/hello.ts', `runtime: ${runtime}, include: [fn/part.ts]`);
    assert.equal(built.handler, 'fn/hello.ts');
    const folder = project.unpack(built);
    assert.match(readFileSync(join(folder, 'fn/hello.ts'), 'utf8'), /n: number/);
    assert.deepEqual(readdirSync(join(folder, 'fn')), ['hello.ts', 'part.ts']);
  }
});

test('with a command, a source of `web` is not bundled: the command names it', async () => {
  using project = new TestingProject({ 'server.ts': 'console.log(1 as number);' });
  const built = await project.build('server.ts', 'runtime: web, command: node server.ts');
  assert.deepEqual(readdirSync(project.unpack(built)), ['server.ts']);
  const bundled = await project.build('server.ts', 'runtime: web');
  assert.deepEqual([bundled.handler, readdirSync(project.unpack(bundled))], ['index.cjs', ['index.cjs', 'index.cjs.map']]);
});

test('packages that `external` names go along with what they need, and with their commands', async () => {
  using project = new TestingProject({ 'server.js': '', ...PACKAGE });
  const folder = project.unpack(await project.build('server.js', 'runtime: web, command: tool, external: [tool]'));
  assert.deepEqual(readdirSync(join(folder, 'node_modules')).sort(), ['.bin', 'part', 'tool']);
  assert.equal(readlinkSync(join(folder, 'node_modules/.bin/tool')), '../tool/bin.js');
  await assert.rejects(project.build('server.js', 'runtime: bun, external: [absent]'), /the package 'absent' is not installed/);
});

test('packages of a folder that npm has put above it go along, and with their commands', async () => {
  using project = new TestingProject({ 'app/package.json': '{"dependencies":{"tool":"1.0.0"}}', 'app/index.ts': '', ...PACKAGE });
  const built = await project.build('app', 'runtime: deno');
  assert.equal(built.handler, 'index.ts');
  assert.deepEqual(readdirSync(join(project.unpack(built), 'node_modules')).sort(), ['.bin', 'part', 'tool']);
});

test('the file of a folder is the one that `handler` or package.json names, or one of the usual names', async () => {
  using project = new TestingProject({
    'a/server.js': '',
    'a/index.js': '',
    'b/package.json': '{"main":"./lib/start.js"}',
    'b/lib/start.js': '',
    'c/run.sh': '',
    'd/package.json': '{"scripts":{"start":"next start"}}',
    'e/mod.py': '',
    'f/main.py': '',
  });
  const handler = async (source: string, settings = 'runtime: web'): Promise<string> => (await project.build(source, settings)).handler;
  assert.equal(await handler('a'), 'server.js');
  assert.equal(await handler('a', 'runtime: bun, handler: index.js'), 'index.js');
  assert.equal(await handler('b'), 'lib/start.js');
  assert.equal(await handler('c', 'runtime: web, handler: run.sh'), 'run.sh');
  assert.equal(await handler('c', 'runtime: web, command: sh run.sh'), 'none');
  assert.equal(await handler('f'), 'main.py');
  await assert.rejects(
    handler('c'),
    /c has none of server\.js, .*; set `command` to what starts the program, or `handler` to its file; it has run\.sh$/,
  );
  await assert.rejects(handler('d'), /\(its package\.json says: `command: next start`\)/);
  await assert.rejects(handler('e', 'runtime: web, handler: app.py'), /e has none of app\.py/);
});
