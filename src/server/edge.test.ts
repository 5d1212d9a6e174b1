// The edge takes types alone from the schemas of virga.yaml: what checks them is the control role's and the command line's.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const PROGRAM = `
import { registerHooks } from 'node:module';
const loaded = new Set();
registerHooks({ load: (url, context, next) => { loaded.add(url); return next(url, context); } });
await import(process.argv[1]);
console.log(JSON.stringify([...loaded]));
process.exit(0);
`;

function loadedBy(file: string): string[] {
  const args = ['--input-type=module', '-e', PROGRAM, join(import.meta.dirname, file)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as string[];
}

const isZod = (url: string): boolean => url.includes('/node_modules/zod/') || /\/protocol\/policies\/(?!.*words)/.test(url);

test('the edge loads no schema of virga.yaml, and the control role does', () => {
  assert.deepEqual(loadedBy('edge.ts').filter(isZod), []);
  assert.ok(loadedBy('control.ts').some(isZod));
});
