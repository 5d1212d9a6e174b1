// What the source of an Azure app shows at the deploy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../manifest/manifest.ts';
import { checkAzureSources } from './azure-source.ts';
import { TestingProject } from './testing-project.ts';

/** What is said of one file, or undefined. */
function said(text: string, settings = ''): string | undefined {
  using project = new TestingProject({ 'main.ts': text });
  const manifest = parseManifest(
    `project: p\nfunctions: { f: { source: main.ts, form: azure${settings} } }\n`,
    `${project.folder}/virga.yaml`,
  );
  try {
    checkAzureSources(manifest.functions[0]!, [{ path: 'main.ts', text }]);
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

const IMPORT = `import { app, input, output } from '@azure/functions';\n`;

test('triggers, bindings and keys are named with their line, in sources and in what a compiler makes of them', () => {
  const cases: [text: string, message: RegExp][] = [
    [
      `${IMPORT}app.cosmosDB('changes', { handler() {} });`,
      /^main\.ts:2: function 'changes' is triggered by cosmosDB, which has no counterpart/,
    ],
    [`${IMPORT}const name = 'x';\napp.eventHub(name, {});`, /^main\.ts:3: a function is triggered by eventHub/],
    [`const functions_1 = require("@azure/functions");\nfunctions_1.app.sql('s', {});`, /^main\.ts:2: function 's' is triggered by sql/],
    [`${IMPORT}const blob = input.storageBlob({ path: 'a/b', connection: 'c' });`, /^main\.ts:2: the input binding storageBlob/],
    [`${IMPORT}app.timer('t', { return: output.serviceBusTopic({}) });`, /^main\.ts:2: the output binding serviceBusTopic/],
    [
      `${IMPORT}app.get('g', { authLevel: 'function', handler() {} });`,
      /^main\.ts:2: function 'g' has authLevel 'function', but Virga has no function keys/,
    ],
    [`${IMPORT}app.http('h', { "authLevel": "admin" });`, /authLevel 'admin'/],
    [`import * as df from 'durable-functions';`, /^main\.ts:1: Durable Functions \(durable-functions\) have no counterpart/],
    [`const df = require("durable-functions");`, /Durable Functions/],
  ];
  for (const [text, message] of cases) assert.match(said(text) ?? 'nothing', message, text);
});

test('what Virga has a counterpart for is not refused', () => {
  for (const text of [
    `${IMPORT}app.http('h', { authLevel: 'anonymous', return: output.http({}), handler() {} }); app.timer('t', {}); app.storageQueue('q', {}); app.storageBlob('b', {});`,
    `${IMPORT}app.eventGrid('e', {}); app.hook.appStart(() => {}); app.setup({});`,
    `app.sql('another app');`,
    `${IMPORT}const { authLevel } = settings; app.http('h', { authLevel });`,
  ])
    assert.equal(said(text), undefined, text);
});

test('one function by itself answers only for itself, and keys can be given up', () => {
  const text = `${IMPORT}app.sql('other', {});\nconst out = output.table({});\napp.http('mine', { authLevel: 'function' });`;
  assert.match(said(text, ', handler: mine')!, /^main\.ts:4: function 'mine' has authLevel/);
  assert.equal(said(text, ', handler: mine, env: { AZURE_FUNCTIONS_AUTH_LEVEL: anonymous }'), undefined);
});
