import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestingProject } from './testing-project.ts';

test('a TypeScript function is one bundle whose stack traces name the author’s file and line', async () => {
  using project = new TestingProject({
    'tsconfig.json': '{"compilerOptions":{"paths":{"@lib/*":["./lib/*"]}}}',
    'lib/fail.ts':
      "import settings from './settings.json' with { type: 'json' };\n\nexport function fail(text: string): never {\n  throw new Error(text + settings.suffix);\n}\n",
    'lib/settings.json': '{"suffix":"!"}',
    'functions/lazy.ts': 'export const value: number = 7;\n',
    'functions/f.ts':
      "import { fail } from '@lib/fail.ts';\ninterface Event { text: string }\nexport const handler = async (event: Event) => {\n  const { value } = await import('./lazy.ts');\n  if (event.text === '') return value;\n  return fail(event.text);\n};\n",
  });
  const built = await project.build('functions/f.ts');
  assert.equal(built.handler, 'index.mjs');
  assert.deepEqual(readdirSync(project.unpack(built)).sort(), ['index.mjs', 'index.mjs.map']);
  assert.equal(project.run(built, "log(await code.handler({ text: '' }))"), 7);
  const stack = project.run(built, "try { await code.handler({ text: 'no' }) } catch (error) { log(error.stack) }") as string;
  assert.match(stack, /^Error: no!\n.*\/lib\/fail\.ts:4:\d+\)\n.*\/functions\/f\.ts:6:/);
  assert.ok(built.sources.includes(join(project.folder, 'lib/settings.json')));
});

test('the same sources give the same artifact, and a change another', async () => {
  using project = new TestingProject({ 'f.ts': 'export const handler = () => 1;\n' });
  const first = await project.build('f.ts');
  const second = await project.build('f.ts');
  assert.equal(first.sha256, second.sha256);
  project.write({ 'f.ts': 'export const handler = () => 2;\n' });
  assert.notEqual((await project.build('f.ts')).sha256, first.sha256);
});

test('CommonJS stays CommonJS: exports, module.exports and require mean what they say', async () => {
  using project = new TestingProject({
    'a.js':
      "const { join } = require('path');\nconst part = require('./part.cjs');\nexports.handler = async () => [join('a', 'b'), part(), require('./values.json').n];\n",
    'part.cjs': 'module.exports = () => typeof module.exports;\n',
    'values.json': '{"n":3}',
    'b.cjs': "module.exports = { fetch: () => new Response('ok') };\n",
  });
  const a = await project.build('a.js');
  assert.equal(a.handler, 'index.cjs');
  assert.deepEqual(project.run(a, 'log(await code.default.handler())'), ['a/b', 'function', 3]);
  const b = await project.build('b.cjs');
  assert.equal(project.run(b, 'log(await code.default.fetch().text())'), 'ok');
});

test('a module finds its own files, carried by include, where it expects them', async () => {
  using project = new TestingProject({
    'functions/page.txt': 'esm',
    'other/page.txt': 'cjs',
    'other/read.cjs': "const fs = require('fs');\nmodule.exports = () => fs.readFileSync(__dirname + '/page.txt', 'utf8');\n",
    'functions/f.ts':
      "import { readFileSync } from 'node:fs';\nimport read from '../other/read.cjs';\nconst own = new URL('./page.txt', import.meta.url);\nexport const handler = () => [readFileSync(own, 'utf8'), readFileSync(import.meta.dirname + '/page.txt', 'utf8'), readFileSync(__dirname + '/page.txt', 'utf8'), read(), import.meta.filename.endsWith('/functions/f.ts')];\nexport const fail = () => {\n  throw new Error('x');\n};\n",
  });
  const built = await project.build('functions/f.ts', 'include: [functions/*.txt, other/page.txt]');
  assert.deepEqual(project.run(built, 'log(code.handler())'), ['esm', 'esm', 'esm', 'cjs', true]);
  const stack = project.run(built, 'try { code.fail() } catch (error) { log(error.stack) }') as string;
  assert.match(stack, /\/functions\/f\.ts:6:/);
});

test('a module that declares __dirname itself keeps it', async () => {
  using project = new TestingProject({
    'lib/f.ts':
      "import { dirname, basename } from 'node:path';\nimport { fileURLToPath } from 'node:url';\nconst __dirname = dirname(fileURLToPath(import.meta.url));\nexport const handler = () => [basename(__dirname), ({ __dirname: 1 }).__dirname];\n",
  });
  assert.deepEqual(project.run(await project.build('lib/f.ts'), 'log(code.handler())'), ['lib', 1]);
});

test('packages with native code come along as files, each with the very versions that it resolves here', async () => {
  using project = new TestingProject({
    'f.ts': "import native from 'native';\nimport plain from 'plain';\nexport const handler = () => [native(), plain];\n",
    'node_modules/native/package.json':
      '{"name":"native","version":"1.0.0","main":"main.js","dependencies":{"dep":"2","shared":"1"},"optionalDependencies":{"absent":"1","@os/native-linux-x64":"1","@os/native-darwin-x64":"1"}}',
    'node_modules/native/main.js': "module.exports = () => [require('dep'), require('shared'), require('@os/native-linux-x64')];\n",
    'node_modules/native/build/Release/native.node': 'not really',
    'node_modules/native/node_modules/dep/package.json': '{"name":"dep","version":"2.0.0","dependencies":{"shared":"2"}}',
    'node_modules/native/node_modules/dep/index.js': "module.exports = 'dep 2 with ' + require('shared');\n",
    'node_modules/native/node_modules/dep/node_modules/shared/package.json': '{"name":"shared","version":"2.0.0"}',
    'node_modules/native/node_modules/dep/node_modules/shared/index.js': "module.exports = 'shared 2';\n",
    'node_modules/shared/package.json': '{"name":"shared","version":"1.0.0"}',
    'node_modules/shared/index.js': "module.exports = 'shared 1';\n",
    'node_modules/@os/native-linux-x64/package.json': `{"name":"@os/native-linux-x64","os":["linux"],"cpu":["${process.arch}"]}`,
    'node_modules/@os/native-linux-x64/index.js': "module.exports = 'linux';\n",
    'node_modules/@os/native-darwin-x64/package.json': '{"name":"@os/native-darwin-x64","os":["darwin"],"cpu":["x64"]}',
    'node_modules/plain/package.json': '{"name":"plain","version":"1.0.0","type":"module"}',
    'node_modules/plain/index.js': "export default 'plain';\n",
  });
  const built = await project.build('f.ts');
  const files = readdirSync(project.unpack(built), { recursive: true }).map(String);
  assert.ok(files.includes('node_modules/native/build/Release/native.node'));
  assert.ok(!files.some((file) => /darwin|node_modules\/plain/.test(file)), 'neither other platforms nor what is bundled');
  assert.deepEqual(project.run(built, 'log(code.handler())'), [['dep 2 with shared 2', 'shared 1', 'linux'], 'plain']);
});

test('packages that read their own files, or require what is computed, come along as files', async () => {
  using project = new TestingProject({
    'f.ts': "import { text } from 'reads';\nimport load from 'computes';\nexport const handler = () => [text, load('a')];\n",
    'node_modules/reads/package.json': '{"name":"reads","type":"module","exports":"./index.js"}',
    'node_modules/reads/index.js':
      "import { readFileSync } from 'node:fs';\nexport const text = readFileSync(new URL('text.txt', import.meta.url), 'utf8');\n",
    'node_modules/reads/text.txt': 'own file',
    'node_modules/computes/package.json': '{"name":"computes"}',
    'node_modules/computes/index.js': "module.exports = (name) => require('./' + name);\n",
    'node_modules/computes/a.js': "module.exports = 'a';\n",
  });
  assert.deepEqual(project.run(await project.build('f.ts'), 'log(code.handler())'), ['own file', 'a']);
});

test('a linked workspace is found, and `external` carries what it names', async () => {
  using project = new TestingProject({
    'app/f.ts': "import { name } from 'library';\nimport { x } from '@s/pure';\nexport const handler = () => [name, x];\n",
    'library/package.json': '{"name":"library","type":"module","main":"index.js","dependencies":{"@s/pure":"1"}}',
    'library/index.js': "export { x as name } from '@s/pure';\n",
    'node_modules/@s/pure/package.json': '{"name":"@s/pure","type":"module","main":"index.js"}',
    'node_modules/@s/pure/index.js': "export const x = 'pure';\n",
  });
  mkdirSync(join(project.folder, 'node_modules'), { recursive: true });
  symlinkSync('../library', join(project.folder, 'node_modules/library'));
  const bundled = await project.build('app/f.ts');
  assert.equal(existsSync(join(project.unpack(bundled), 'node_modules')), false);
  assert.deepEqual(project.run(bundled, 'log(code.handler())'), ['pure', 'pure']);
  const carried = await project.build('app/f.ts', "external: ['@s/pure']");
  assert.ok(existsSync(join(project.unpack(carried), 'node_modules/@s/pure/index.js')));
  assert.deepEqual(project.run(carried, 'log(code.handler())'), ['pure', 'pure']);
});

test('what only a layer has is bundled, by the name of a package and by its place under /opt; the last layer counts', async () => {
  using project = new TestingProject({
    'f.js': "const deps = require('deps');\nconst { text } = require('/opt/nodejs/shared');\nexports.handler = () => [deps, text];\n",
    'layers/one/nodejs/node_modules/deps/package.json': '{"name":"deps"}',
    'layers/one/nodejs/node_modules/deps/index.js': "module.exports = 'one';\n",
    'layers/one/nodejs/shared.js': "exports.text = 'one';\n",
    'layers/two/nodejs/shared.js': "exports.text = 'two';\n",
    'layers/two/bin/tool': '#!/bin/sh\n',
  });
  const built = await project.build('f.js', 'layers: [layers/one, ./layers/two]');
  assert.deepEqual(project.run(built, 'log(code.default.handler())'), ['one', 'two']);
  assert.deepEqual(readdirSync(join(project.unpack(built), 'opt')).sort(), ['bin', 'nodejs']);
  await assert.rejects(project.build('f.js'), { code: 'build_failed', message: /Could not resolve '\/opt\/nodejs\/shared'/ });
});

test('a package without its native code for the target is refused with the command that adds it', async () => {
  using project = new TestingProject({
    'f.ts': "import native from 'native';\nexport const handler = () => native;\n",
    'node_modules/native/package.json': `{"name":"native","version":"3.1.0","optionalDependencies":{"native-linux-${process.arch}":"3.1.0","native-darwin-arm64":"3.1.0"}}`,
    'node_modules/native/index.js': '',
    'node_modules/native-darwin-arm64/package.json': '{"name":"native-darwin-arm64","os":["darwin"],"cpu":["arm64"]}',
  });
  await assert.rejects(project.build('f.ts'), {
    code: 'build_failed',
    message: `function 'f' cannot be built: 'native' is installed without its native code for linux-${process.arch}, where functions run; add it with \`npm install --os=linux --cpu=${process.arch} --libc=glibc native@3.1.0\``,
  });
});

test('mistakes in the code are told with file, line and column', async () => {
  using project = new TestingProject({
    'syntax.ts': 'export const handler = 1;\nconst x y;\n',
    'missing.ts': "import './nothing.ts';\nexport const handler = 1;\n",
    'package.ts': "import left from 'left';\nimport right from 'right';\nexport const handler = () => [left, right];\n",
    'name.ts': "import { wrong } from './part.ts';\nexport const handler = () => wrong;\n",
    'part.ts': 'export const right = 1;\n',
    'exports.ts': 'export const handlr = () => 1;\n',
    'optional.js': "let left;\ntry { left = require('left'); } catch {}\nexports.handler = () => left;\n",
  });
  const message = async (source: string, settings?: string): Promise<string> => {
    const error: unknown = await project.build(source, settings).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.equal((error as { code: string }).code, 'build_failed');
    return (error as Error).message;
  };
  assert.match(await message('syntax.ts'), /^function 'f' cannot be built:\n {2}syntax\.ts:2:\d+: /);
  assert.match(await message('missing.ts'), /missing\.ts:1:\d+: Could not resolve '\.\/nothing\.ts'/);
  assert.equal(
    await message('package.ts'),
    "function 'f' cannot be built:\n  package.ts:1:18: the package 'left' is not installed; run `npm install left`\n  package.ts:2:19: the package 'right' is not installed; run `npm install right`",
  );
  assert.match(await message('name.ts'), /name\.ts:1:\d+: "wrong" is not exported by "part\.ts"/);
  assert.match(await message('exports.ts'), /exports\.ts exports handlr; expected `export default/);
  assert.match(await message('part.ts', 'handler: main'), /part\.ts does not export 'main', which `handler` names; it exports right/);
  assert.match(await message('part.ts', 'handler: right, include: [no/*.txt]'), /include: 'no\/\*\.txt' matches no file/);
  assert.match(await message('part.ts', 'handler: right, external: [left]'), /external: the package 'left' is not installed/);
  await project.build('optional.js');
});

test('sharp, with its libraries, loads from the unpacked artifact far from the packages it came from', async () => {
  using project = new TestingProject({
    'f.ts':
      "import sharp from 'sharp';\nexport const handler = async () => {\n  const image = sharp({ create: { width: 4, height: 2, channels: 3, background: '#f00' } });\n  return (await image.webp().toBuffer()).toString('latin1', 8, 12);\n};\n",
  });
  symlinkSync(join(import.meta.dirname, '../../../node_modules'), join(project.folder, 'node_modules'));
  const built = await project.build('f.ts');
  assert.ok(built.bytes < 12_000_000, `${built.bytes} bytes`);
  const packages = readdirSync(join(project.unpack(built), 'node_modules/@img')).filter((name) => name !== 'colour');
  assert.deepEqual(packages, [`sharp-libvips-linux-${process.arch}`, `sharp-linux-${process.arch}`]);
  assert.equal(project.run(built, 'log(await code.handler())'), 'WEBP');
});

test('Express is bundled, and finds a template engine by the name that its author gives it', async () => {
  using project = new TestingProject({
    'package.json': '{"dependencies":{"express":"5","pages":"1"}}',
    // As Express asks for it, in a package of that name: what counts is the call, not the rest of Express.
    'node_modules/express/package.json': '{"name":"express","version":"5.0.0","main":"index.js"}',
    'node_modules/express/index.js': "module.exports = require('./lib/view');\n",
    'node_modules/express/lib/view.js': "module.exports = (mod) => require(mod).__express('page');\n",
    'node_modules/pages/package.json': '{"name":"pages","version":"1.0.0","main":"index.js"}',
    'node_modules/pages/index.js': 'exports.__express = (name) => `<${name}>`;\n',
    'f.mjs': "import render from 'express';\nexport const handler = () => render('pages');\n",
    'g.cjs': "const render = require('express');\nexports.handler = () => render('pages');\n",
  });
  for (const [source, call] of [
    ['f.mjs', 'code.handler()'],
    ['g.cjs', 'code.default.handler()'],
  ] as const) {
    const built = await project.build(source, 'external: [pages]');
    assert.deepEqual(readdirSync(join(project.unpack(built), 'node_modules')), ['pages']);
    assert.equal(project.run(built, `log(${call})`), '<page>');
  }
});

test('a function of Google’s form is bundled with the parts of its framework that run it, in one copy', async () => {
  const framework = 'node_modules/@google-cloud/functions-framework';
  using project = new TestingProject({
    [`${framework}/package.json`]:
      '{"name":"@google-cloud/functions-framework","version":"5.0.5","main":"build/src/index.js","exports":{".":"./build/src/index.js"}}',
    [`${framework}/build/src/index.js`]: "exports.http = require('./function_registry').http;\n",
    [`${framework}/build/src/function_registry.js`]:
      'const all = new Map();\nexports.http = (name, fn) => all.set(name, fn);\nexports.getRegisteredFunction = (name) => all.get(name);\n',
    [`${framework}/build/src/testing.js`]: 'exports.getTestServer = (name) => `server of ${name}`;\n',
    [`${framework}/build/src/server.js`]: 'exports.getServer = () => {};\n',
    'f.mjs': "import { http } from '@google-cloud/functions-framework';\nhttp('there', () => 'called');\nexport const own = 1;\n",
    'g.cjs': "const { http } = require('@google-cloud/functions-framework');\nhttp('there', () => 'called');\nexports.own = 1;\n",
  });
  for (const [source, place] of [
    ['f.mjs', 'code.virgaGoogle'],
    ['g.cjs', 'code.default.virgaGoogle'],
  ] as const) {
    const built = await project.build(source, 'form: google, handler: there.not');
    assert.match(built.handler, /^index\.[cm]js#there\.not$/);
    const found = project.run(
      built,
      `const { framework, code: own } = ${place}; log([framework.getRegisteredFunction('there')(), framework.getTestServer('x'), framework.version, own.own])`,
    );
    assert.deepEqual(found, ['called', 'server of x', '5.0.5', 1]);
  }
  using without = new TestingProject({ 'f.mjs': 'export const f = () => {};\n' });
  await assert.rejects(without.build('f.mjs', 'form: google'), {
    code: 'build_failed',
    message: /npm install @google-cloud\/functions-framework/,
  });
});

test('an app that is taken as it is carries the packages that npm has put above it', async () => {
  using project = new TestingProject({
    'node_modules/above/package.json': '{"name":"above","version":"1.0.0","dependencies":{"deeper":"1"}}',
    'node_modules/above/index.js': '',
    'node_modules/deeper/package.json': '{"name":"deeper","version":"1.0.0"}',
    'node_modules/other/package.json': '{"name":"other","version":"1.0.0"}',
    'app/package.json': '{"main":"./start","dependencies":{"above":"1","within":"1"}}',
    'app/start.js': 'exports.f = () => {};\n',
    'app/local.settings.json': '{"Values":{"SECRET":"1"}}',
    'app/node_modules/within/package.json': '{"name":"within","version":"1.0.0"}',
  });
  const google = await project.build('app', 'runtime: nodejs26, form: google, handler: f');
  assert.equal(google.handler, 'start.js#f');
  const unpacked = project.unpack(google);
  assert.deepEqual(readdirSync(join(unpacked, 'node_modules')).sort(), ['above', 'deeper', 'within']);
  assert.equal(existsSync(join(unpacked, 'local.settings.json')), false);
  assert.equal((await project.build('app', 'runtime: nodejs26, form: azure')).handler, 'package.json');
  project.write({ 'app/package.json': '{"main":"lost.js"}' });
  await assert.rejects(project.build('app', 'runtime: nodejs26, form: google'), {
    code: 'build_failed',
    message: /has none of lost\.js; name the file with `main`/,
  });
});
