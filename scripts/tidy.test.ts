// The house rules hold for this tree, and each of them catches a violation planted in a temporary one.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { EXCEPTIONS, ROOMS } from './import-table.ts';
import { LINES_MAX, tidy } from './tidy.ts';

const HEADER = '// What it is, the invariant it keeps, who calls it.\n';

/** Runs tidy over a tree of just these files; answers `rule file:line` for each problem. */
function problemsOf(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'tidy-'));
  try {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    return tidy(root).map(({ rule, file, line }) => `${rule} ${file}:${line}`);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('this project keeps the house rules', () => {
  const problems = tidy(join(import.meta.dirname, '..'));
  assert.deepEqual(
    problems.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`),
    [],
  );
});

test('a tree without a violation has no problem', () => {
  const clean = {
    'src/lib/clock.ts': `${HEADER}export const now = () => Date.now();\n`,
    'src/functions/queue.ts': `${HEADER}import { now } from '../lib/clock.ts';\n// process.env is only named here\nexport const t = now;\n`,
    'src/functions/queue.test.ts': `import { t } from './queue.ts';\nt();\n`,
    'src/config/env.ts': `${HEADER}export const port = process.env['PORT'];\n`,
  };
  assert.deepEqual(problemsOf(clean), []);
});

const PLANTED: Record<string, [files: Record<string, string>, expected: string]> = {
  'an import that the table does not list': [
    { 'src/lib/a.ts': `${HEADER}import { b } from '../gateway/b.ts';\nb();\n`, 'src/gateway/b.ts': `${HEADER}export function b() {}\n` },
    'import src/lib/a.ts:2',
  ],
  'a type import that the table does not list': [
    {
      'src/gateway/a.ts': `${HEADER}import type { B } from '../control/b.ts';\nexport type A = B;\n`,
      'src/control/b.ts': `${HEADER}export type B = 1;\n`,
    },
    'import src/gateway/a.ts:2',
  ],
  'an import written as a type': [
    { 'src/gateway/a.ts': `${HEADER}export type A = import('../control/b.ts').B;\n`, 'src/control/b.ts': `${HEADER}export type B = 1;\n` },
    'import src/gateway/a.ts:2',
  ],
  'a dynamic import that the table does not list': [
    {
      'src/cli/deploy.ts': `${HEADER}export const a = () => import('../server/b.ts');\n`,
      'src/server/b.ts': `${HEADER}export const b = 1;\n`,
    },
    'import src/cli/deploy.ts:2',
  ],
  'a re-export that the table does not list': [
    {
      'src/lib/a.ts': `${HEADER}export const c = 1;\nexport { b } from '../control/b.ts';\n`,
      'src/control/b.ts': `${HEADER}export const b = 1;\n`,
    },
    'import src/lib/a.ts:3',
  ],
  'one driver that knows another': [
    {
      'src/sandbox/process/a.ts': `${HEADER}import '../bubblewrap/b.ts';\n`,
      'src/sandbox/bubblewrap/b.ts': `${HEADER}export const b = 1;\n`,
    },
    'import src/sandbox/process/a.ts:2',
  ],
  'a system test that looks inside': [
    { 'test/system/a.ts': "import '../../src/lib/b.ts';\n", 'src/lib/b.ts': `${HEADER}export const b = 1;\n` },
    'import test/system/a.ts:1',
  ],
  'a driver package outside its adapter': [
    { 'src/gateway/a.ts': `${HEADER}import pg from 'pg';\npg.defaults;\n` },
    'import src/gateway/a.ts:2',
  ],
  'code that imports a test': [
    { 'src/lib/a.ts': `${HEADER}import './b.test.ts';\n`, 'src/lib/b.test.ts': 'export const b = 1;\n' },
    'import src/lib/a.ts:2',
  ],
  'a folder that has no room': [
    { 'src/attic/a.ts': `${HEADER}import '../lib/b.ts';\n`, 'src/lib/b.ts': `${HEADER}export const b = 1;\n` },
    'import src/attic/a.ts:2',
  ],
  'an import cycle': [
    {
      'src/lib/a.ts': `${HEADER}import { b } from './b.ts';\nexport const a = () => b;\n`,
      'src/lib/b.ts': `${HEADER}import type { a } from './a.ts';\nexport const b = (x: typeof a) => x;\n`,
    },
    'cycle src/lib/b.ts:2',
  ],
  'the environment read outside config': [
    { 'src/gateway/a.ts': `${HEADER}export const a = process.env['HOME'];\n` },
    'environment src/gateway/a.ts:2',
  ],
  'the environment imported': [
    { 'src/lib/a.ts': `${HEADER}import { env } from 'node:process';\nexport const a = env;\n` },
    'environment src/lib/a.ts:2',
  ],
  'a barrel by name': [{ 'src/lib/index.ts': `${HEADER}export const a = 1;\n` }, 'barrel src/lib/index.ts:1'],
  'a barrel by content': [
    { 'src/lib/all.ts': `${HEADER}export * from './b.ts';\n`, 'src/lib/b.ts': `${HEADER}export const b = 1;\n` },
    'barrel src/lib/all.ts:1',
  ],
  'a name that says nothing': [{ 'src/lib/string-utils.ts': `${HEADER}export const a = 1;\n` }, 'name src/lib/string-utils.ts:1'],
  'a name that is not kebab-case': [{ 'src/lib/startRule.ts': `${HEADER}export const a = 1;\n` }, 'name src/lib/startRule.ts:1'],
  'a file that is too long': [{ 'src/lib/long.ts': HEADER + 'export {};\n'.repeat(LINES_MAX) }, 'size src/lib/long.ts:1'],
  'a file without a header': [{ 'src/lib/a.ts': 'export const a = 1;\n' }, 'header src/lib/a.ts:1'],
  'a path of one machine': [{ 'src/lib/a.ts': `${HEADER}export const a = '/home/someone/virga';\n` }, 'machine-path src/lib/a.ts:2'],
  'the host of a registry': [{ 'docs/a.md': `from ${['registry', 'somejs', 'org'].join('.')}\n` }, 'machine-path docs/a.md:1'],
  'a test that runs alone': [
    { 'src/lib/a.test.ts': "import { test } from 'node:test';\ntest.only('a', () => {});\n" },
    'lone-test src/lib/a.test.ts:2',
  ],
  'a marker of unfinished work': [{ 'src/lib/a.ts': `${HEADER}export const a = 1; // TODO: more\n` }, 'marker src/lib/a.ts:2'],
  'a dependency that nobody argued for': [
    { 'package.json': '{\n  "dependencies": {\n    "left-pad": "1.3.0"\n  }\n}\n' },
    'dependency package.json:3',
  ],
  'a dependency that is not pinned': [
    {
      'package.json': '{\n  "dependencies": {\n    "left-pad": "^1.3.0"\n  }\n}\n',
      'docs/reference/dependencies.md': '`left-pad`: pads\n',
    },
    'dependency package.json:3',
  ],
};

for (const [violation, [files, expected]] of Object.entries(PLANTED)) {
  test(`tidy catches ${violation}`, () => assert.deepEqual(problemsOf(files), [expected]));
}

test('every room that a room may import exists, and every exception has a reason', () => {
  const names = new Set(ROOMS.map((room) => room.name));
  for (const room of ROOMS) for (const other of room.may) assert.ok(names.has(other), `${room.name} → ${other}`);
  for (const exception of EXCEPTIONS) assert.ok(exception.reason.length > 10, JSON.stringify(exception));
});
