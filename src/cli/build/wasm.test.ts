import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { moduleBytes } from '../../runtimes/node/forms/wasm/testing-module.ts';
import { TestingProject } from './testing-project.ts';

const PROBE = join(import.meta.dirname, '../../runtimes/node/forms/wasm/probe/probe.wasm');

test('a program is taken as it is, with what it includes', async () => {
  using project = new TestingProject({ 'pages/a.html': '<p>' });
  copyFileSync(PROBE, join(project.folder, 'probe.wasm'));
  const built = await project.build('probe.wasm', 'include: [pages/*]');
  assert.equal(built.handler, 'probe.wasm');
  assert.deepEqual(readdirSync(project.unpack(built)), ['pages', 'probe.wasm']);
  const named = await project.build('probe.wasm', 'handler: _start');
  assert.equal(named.handler, 'probe.wasm#_start');
});

test('a module that could not run is refused at the deploy, with what it lacks', async () => {
  using project = new TestingProject({});
  const failure = async (bytes: Uint8Array, settings?: string): Promise<string> => {
    writeFileSync(join(project.folder, 'm.wasm'), bytes);
    return project.build('m.wasm', settings).then(
      () => 'built',
      ({ message }: Error) => message,
    );
  };
  const whole = moduleBytes({ imports: [], exports: ['_start'] });
  assert.equal(await failure(whole), 'built');
  assert.match(await failure(Buffer.from('hello, world')), /^function 'f' cannot be built: m\.wasm cannot run: it is no WebAssembly/);
  assert.match(await failure(whole.subarray(0, -2)), /m\.wasm cannot run: it is not valid: .* @\+\d+/);
  // Its only function has two ends.
  assert.match(
    await failure(Uint8Array.from([...whole.subarray(0, -6), 10, 5, 1, 3, 0, 0x0b, 0x0b])),
    /it is not valid: Compiling function #0/,
  );
  assert.match(
    await failure(moduleBytes({ imports: ['env.emscripten_memcpy'], exports: ['_start'] })),
    /it imports env\.emscripten_memcpy, .*-sSTANDALONE_WASM/,
  );
  assert.match(await failure(moduleBytes({ imports: ['wasi:cli/run@0.2.0.run'], exports: ['_start'] })), /build it for WASI preview 1/);
  assert.match(
    await failure(moduleBytes({ imports: ['./app_bg.js.__wbindgen_throw'], exports: ['_start'] })),
    /a module for browsers \(wasm-bindgen\)/,
  );
  assert.match(await failure(whole, 'handler: main'), /it exports no function main; its functions are _start/);
});
