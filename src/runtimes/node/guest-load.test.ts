// Black box: how code is loaded (module kinds, forms of export) and what is said when there is nothing to call.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import type { GuestError } from '../../protocol/frames.ts';
import { NODES, ScriptedHost } from './scripted-host.ts';

/** File, its source, handler setting (default: the file), and what a GET answers. */
const LOADED: [file: string, source: string, answer: string, setting?: string][] = [
  ['instance.mjs', 'class App { #name = "app"; fetch() { return new Response(this.#name); } } export default new App();', 'app'],
  [
    'function-with-fetch.mjs',
    'const app = () => {}; app.fetch = () => new Response("on a function"); export default app;',
    'on a function',
  ],
  ['named-fetch.mjs', 'export const fetch = () => new Response("named");', 'named'],
  [
    'await.mjs',
    'const text = await new Promise((done) => setTimeout(done, 5, "awaited")); export default { fetch: () => new Response(text) };',
    'awaited',
  ],
  [
    'relative.mjs',
    'import { text } from "./part/text.mjs"; const late = await import("./part/text.mjs"); export default { fetch: () => new Response(text + late.text) };',
    'partpart',
  ],
  ['exports-handler.cjs', 'exports.handler = async () => "exports";', 'exports'],
  ['module-exports.cjs', 'module.exports = { fetch: () => new Response("object"), event() {} };', 'object'],
  ['module-function.cjs', 'module.exports = async (event) => "function " + event.rawPath;', 'function /'],
  ['hidden.cjs', 'const made = {}; for (const name of ["handler"]) made[name] = async () => "hidden"; module.exports = made;', 'hidden'],
  [
    'compiled.cjs',
    'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { fetch: () => new Response("compiled") };',
    'compiled',
  ],
  ['plain.js', 'exports.handler = async () => __filename.endsWith("plain.js") && require("node:path").sep;', '/'],
  ['typed.ts', 'const answer: string = "typed"; export default { fetch: (): Response => new Response(answer) };', 'typed'],
  [
    'several.mjs',
    'export const first = () => "first"; export const app = { fetch: () => new Response("app") }; export const handler = () => "handler";',
    'first',
    'several.mjs#first',
  ],
  [
    'several.mjs',
    'export const first = () => "first"; export const app = { fetch: () => new Response("app") }; export const handler = () => "handler";',
    'app',
    'several.mjs#app',
  ],
  [
    'several.mjs',
    'export const first = () => "first"; export const app = { fetch: () => new Response("app") }; export const handler = () => "handler";',
    'handler',
  ],
];

/** File, its source, handler setting, and what an event is answered. */
const EVENTS: [file: string, source: string, answer: string, setting?: string][] = [
  ['event.mjs', 'export default { name: "this", event({ n }) { return this.name + n; } };', '"this7"'],
  ['event-class.mjs', 'class App { event({ n }) { return n + 1; } } export default new App();', '8'],
  ['event-named.mjs', 'export const event = ({ n }) => n;', '7'],
  [
    'event-of-several.mjs',
    'export const app = { event: ({ n }) => n }; export const handler = () => "handler";',
    '7',
    'event-of-several.mjs#app',
  ],
  // As before there was a function with `event` alone.
  ['event-beside.mjs', 'export const handler = () => "handler"; export const event = () => "a helper";', '"handler"'],
];

const REHEARSED = `
import { readdirSync, readlinkSync } from 'node:fs';
const undici = process.moduleLoadList.includes('NativeModule internal/deps/undici/undici');
const globals = Object.keys(globalThis).filter((name) => !${JSON.stringify(Object.keys(globalThis))}.includes(name));
const linkOf = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } };
const pipes = () => readdirSync('/proc/self/fd').map(linkOf).filter((link) => link.includes('.virga-'));
export default { fetch: () => Response.json({ undici, globals, pipes: pipes() }) };
`;

const REFUSED: [file: string, source: string, error: RegExp, setting?: string][] = [
  ['nothing.mjs', '', /nothing\.mjs exports nothing that can be called: it exports nothing; expected: export default \{ fetch/],
  [
    'wrong.mjs',
    'export const port = 7; export default { start() {} };',
    /it exports .*'default' \(an object with start\).*'port' \(number\).*; expected: export default/,
  ],
  ['class.mjs', 'export default class App { fetch() {} }', /exports the class App as 'default'; export an instance/],
  [
    'absent.mjs',
    'export const other = () => 1;',
    /absent\.mjs has no callable export 'main': it exports 'other' \(function\)/,
    'absent.mjs#main',
  ],
  ['there.mjs', 'export {}', /no file 'index\.mjs' in the function's code, which holds .*; set `handler` in virga\.yaml/, 'index.mjs'],
  ['there.mjs', 'export {}', /'\.\.\/x\.mjs' is outside/, '../x.mjs'],
  ['throws.mjs', 'const limit = 3;\nthrow new RangeError("too many: " + limit);', /RangeError too many: 3 .*throws\.mjs:2:7/s],
  [
    'syntax.mjs',
    'export const a = 1;\nexport const b = = 2;\n',
    /SyntaxError syntax\.mjs:2: Unexpected token '=' .*export const b = = 2;\n +\^/s,
  ],
  ['import.mjs', 'import { absent } from "no-such-package";', /ERR_MODULE_NOT_FOUND|Cannot find package 'no-such-package'/],
];

describe('loading a function', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-load-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await mkdir(join(folder, 'code', 'part'), { recursive: true });
    await writeFile(join(folder, 'code', 'part', 'text.mjs'), 'export const text = "part";');
    await writeFile(join(folder, 'code', 'rehearsed.mjs'), REHEARSED);
    for (const [file, source] of [...LOADED, ...EVENTS, ...REFUSED]) await writeFile(join(folder, 'code', file), source);
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 4 }, () => {
      // On the second Node only what differs between module systems.
      const newest = binary === NODES[0]!.binary;
      const loaded = newest ? LOADED : LOADED.filter(([file]) => /^(await|relative|exports-handler|hidden|plain|typed)\./.test(file));
      for (const [file, , answer, setting = file] of loaded) {
        test(`${setting} is loaded and answers '${answer}'`, async () => {
          await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          await host.init(join(folder, 'code'), setting);
          assert.equal((await host.http('/').ended).text, answer);
          await host.close();
        });
      }

      for (const [file, , answer, setting = file] of newest ? EVENTS : []) {
        test(`${setting} is loaded and answers an event with ${answer}`, async () => {
          await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          await host.init(join(folder, 'code'), setting);
          assert.equal((await host.event({ n: 7 }).ended).text, answer);
          await host.close();
        });
      }

      if (newest)
        test('a function of events alone says so to a request', async () => {
          await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          await host.init(join(folder, 'code'), 'event.mjs');
          const { error } = await host.http('/').ended;
          assert.deepEqual(
            [error?.name, error?.message],
            ['BadResponse', 'it takes events alone: it exports no `fetch` for HTTP requests'],
          );
          await host.close();
        });

      // What is said of an export does not depend on Node; how its errors are read does.
      const refused = newest ? REFUSED : REFUSED.filter(([file]) => file === 'throws.mjs' || file === 'syntax.mjs');
      for (const [file, , message, setting = file] of refused) {
        test(`${setting} of ${file} is refused with what to do, and the guest exits 1`, async () => {
          await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          const failed = await host.init(join(folder, 'code'), setting).then(
            () => assert.fail('it was loaded'),
            (error: { guest: GuestError }) => error.guest,
          );
          assert.match(`${failed.name} ${failed.message} ${failed.stack}`, message);
          assert.deepEqual(await host.exited, { code: 1, signal: null });
        });
      }

      test('a stack names the file and line of the source before it was bundled', async () => {
        const code = join(folder, `mapped-${name.slice(-2)}`);
        await mkdir(code);
        await writeFile(
          join(code, 'notes.ts'),
          'interface Note { id: number }\n\nexport function find(note: Note): never {\n  throw new Error(`no note ${note.id}`);\n}\n',
        );
        await writeFile(
          join(code, 'index.ts'),
          'import { find } from "./notes.ts";\nexport const handler = async () => find({ id: 7 });\n',
        );
        const bundle = await rolldown({ input: join(code, 'index.ts'), platform: 'node' });
        await bundle.write({ file: join(code, 'index.mjs'), format: 'esm', sourcemap: true });
        await bundle.close();
        await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await host.init(code, 'index.mjs');
        assert.match((await host.event({}).ended).error!.stack, /no note 7\n\s+at find \(.*notes\.ts:4:9\)\n\s+at .*index\.ts:2:\d+/);
        await host.close();
      });

      // From some size on source maps are held back while the entry is compiled: nobody must notice.
      for (const format of ['esm', 'cjs'] as const) {
        test(`so does one of a large bundle (${format}), from its first line and from its first call on`, async () => {
          const code = join(folder, `large-${format}-${name.slice(-2)}`);
          await mkdir(code);
          const filler = Array.from({ length: 8_000 }, (_, n) => `export function part${n}(): number { return ${n} + ${n}; }`).join('\n');
          await writeFile(join(code, 'parts.ts'), filler);
          await writeFile(join(code, 'fail.ts'), '\nexport function fail(): never {\n  throw new Error("no");\n}\n');
          await writeFile(
            join(code, 'index.ts'),
            'import * as parts from "./parts.ts";\nimport { fail } from "./fail.ts";\ntry { fail(); } catch (error) { console.error("at the top", error); }\n' +
              'export const handler = async (event: any) => { try { fail(); } catch (error) { return [(error as Error).stack, (parts as any)["part" + event.n]()]; } };\n',
          );
          const bundle = await rolldown({ input: join(code, 'index.ts'), platform: 'node' });
          const file = format === 'esm' ? 'index.mjs' : 'index.cjs';
          await bundle.write({ file: join(code, file), format, sourcemap: true });
          await bundle.close();
          assert.ok((await stat(join(code, file))).size > 256 * 1024);
          await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          await host.init(code, file);
          const [stack, part] = JSON.parse((await host.event({ n: 7 }).ended).text) as [string, number];
          assert.equal(part, 14);
          assert.match(stack, /^Error: no\n\s+at .*fail\.ts:3:9\)?\n\s+at .*index\.ts:4:\d+/);
          assert.match(host.logs.map(({ text }) => text).join(), /at the top Error: no\n\s+at .*fail\.ts:3:9\)?\n\s+at .*index\.ts:3:\d+/);
          await host.close();
        });
      }

      test('a guest that waits rehearses, and the function sees nothing of it', async () => {
        await using host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await host.hello();
        await host.idle();
        await host.init(join(folder, 'code'), 'rehearsed.mjs');
        assert.deepEqual(JSON.parse((await host.http('/').ended).text), { undici: true, globals: [], pipes: [] });
        assert.deepEqual(host.logs, []);
        await host.close();
      });
    });
  }
});
