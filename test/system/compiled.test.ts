// Code that the platform compiles after a deploy: cold starts find it, one that crashes by it is answered all the same
// without it, and it goes with its artifact's folder name into the places that functions cannot reach.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { eventually, startVirga } from './virga.ts';
import type { Virga } from './virga.ts';

const FILLER = Array.from({ length: 300 }, (_, n) => `export const part${n} = (a) => a + ${n};`).join('\n');
const PYTHON_FILLER = Array.from({ length: 100 }, (_, n) => `def part${n}(a):\n    return a + ${n}\n`).join('');
const NODE = `
import { getCompileCacheDir } from 'node:module';
${FILLER}
export const handler = async () => ({ statusCode: 200, body: getCompileCacheDir?.() === undefined ? 'from source' : 'compiled' });
`;
const PYTHON = `
${PYTHON_FILLER}
def handler(event, context):
    return {'statusCode': 200, 'body': 'from source' if type(__loader__).__name__ == 'SourceFileLoader' else 'compiled'}
`;
const PROJECT = {
  'virga.yaml': `
project: compiled
functions:
  node: { source: node.mjs, http: GET /node }
  node24: { source: node.mjs, runtime: nodejs24, env: { OTHER: yes }, http: GET /node24 }
  snake: { source: snake.py, http: GET /snake }
`,
  'node.mjs': NODE,
  'snake.py': PYTHON,
};

let virga: Virga;

before(async () => {
  virga = await startVirga();
});

after(async () => {
  await virga[Symbol.asyncDispose]();
});

const FUNCTIONS = [
  ['node', 'nodejs26'],
  ['node24', 'nodejs24'],
  ['snake', 'python3'],
] as const;

/** Folders of compiled code, or what is said in place of them, of one runtime. */
function found(runtime: string, ending: string): string[] {
  const folder = join(virga.dataFolder, 'compiled');
  const names = readdirSync(folder).flatMap((artifact) => readdirSync(join(folder, artifact)).map((name) => join(folder, artifact, name)));
  const pattern = new RegExp(`/${runtime}-[0-9a-f]{16}${ending}$`);
  return names.filter((name) => pattern.test(name));
}

async function deploy(note: string): Promise<void> {
  const files = { ...PROJECT, 'node.mjs': `${NODE}\nexport const note = '${note}';`, 'snake.py': `${PYTHON}\nnote = '${note}'\n` };
  const { code, stderr } = await virga.deploy(files);
  assert.equal(code, 0, stderr);
}

async function call(name: string): Promise<string> {
  const response = await fetch(`${virga.edgeUrl}/@compiled/${name}`);
  return `${response.status} ${await response.text()}`;
}

test('after a deploy each function is compiled before anybody calls it, and a cold start takes that', async () => {
  await deploy('first');
  for (const [name, runtime] of FUNCTIONS) {
    const [folder] = await eventually(async () => (found(runtime, '').length > 0 ? found(runtime, '') : undefined));
    assert.ok(readdirSync(folder!).length > 0);
    assert.equal(await call(name), '200 compiled');
  }
});

test('an instance that crashes while it loads compiled code is started again without; that code is gone for good', async () => {
  const earlier = new Map(FUNCTIONS.map(([, runtime]) => [runtime, found(runtime, '')]));
  await deploy('second');
  for (const [name, runtime] of FUNCTIONS) {
    const [folder] = await eventually(async () => {
      const made = found(runtime, '').filter((path) => !earlier.get(runtime)!.includes(path));
      return made.length > 0 ? made : undefined;
    });
    if (runtime === 'python3') plantPython(folder!);
    else plantNode(folder!);
    assert.equal(await call(name), '200 from source');
    assert.deepEqual([existsSync(folder!), existsSync(`${folder}.none`)], [false, true]);
    assert.match(readFileSync(`${folder}.none`, 'utf8'), /crashed/);
  }
});

/** Replaces a file, whoever may write it. */
function replace(file: string, bytes: Buffer): void {
  writeFileSync(`${file}.new`, bytes, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

/** Spoils what V8 reads where only V8 looks: Node's own checksums are right. */
function plantNode(folder: string): void {
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, name));
    if (bytes.length < 4_000) continue;
    for (let at = 2_000; at < 3_500; at++) bytes[at] = (at * 37) & 255;
    bytes.writeUInt32LE(crc32(bytes.subarray(20)), 16);
    replace(join(folder, name), bytes);
  }
}

/** What reads memory that is not there. */
function plantPython(folder: string): void {
  const script =
    'import sys, marshal; from importlib.util import MAGIC_NUMBER as m; sys.stdout.buffer.write(m + b"\\1" + bytes(11) + marshal.dumps(compile("import ctypes; ctypes.string_at(0)", "main.py", "exec")))';
  for (const name of readdirSync(folder)) replace(join(folder, name), execFileSync('python3', ['-c', script]));
}
