import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ERRORS } from '../protocol/errors.ts';
import type { Json } from './fixture.ts';
import { errorsPage, openApiPage } from './reference.ts';

const page = (name: string): Promise<string> => readFile(new URL(`../../docs/reference/${name}`, import.meta.url), 'utf8');
const REMEDY = 'it is old: run `sh bin/node src/control/reference.ts`';

test('docs/reference/errors.md is current and has every code', async () => {
  assert.equal(await page('errors.md'), errorsPage(), REMEDY);
  for (const code of Object.keys(ERRORS)) assert.match(errorsPage(), new RegExp(`\\| \`${code}\` \\|`));
});

test('docs/reference/openapi.json is current', async () => {
  assert.equal(await page('openapi.json'), openApiPage(), REMEDY);
});

test('every operation of the OpenAPI document has a summary, a success and the errors of its token', () => {
  const document = JSON.parse(openApiPage());
  for (const [path, operations] of Object.entries<Record<string, Json>>(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      assert.ok(operation.summary, `${method} ${path}`);
      assert.ok(
        Object.keys(operation.responses).some((status) => status.startsWith('2')),
        `${method} ${path}`,
      );
      assert.equal(operation.responses['401'] !== undefined, operation.security !== undefined, `${method} ${path}`);
    }
  }
  assert.ok(Object.keys(document.paths).length >= 15);
});
