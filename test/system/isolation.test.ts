// Functions in containers: VIRGA_SANDBOX=oci runs Node and Python, and `isolation: strong` runs them in gVisor, or is refused
// with the reason where the node has none.
import assert from 'node:assert/strict';
import { release } from 'node:os';
import { after, before, test } from 'node:test';
import { startVirga } from './virga.ts';
import type { Virga } from './virga.ts';

interface Sandbox {
  driver: string;
  runtime: string | null;
  enforcement: { network: string | null };
}

const project = (isolation: string): Record<string, string> => ({
  'virga.yaml': `
project: walls-${isolation}
defaults: { isolation: ${isolation} }
functions:
  node: { source: node.mjs, http: /node }
  snake: { source: snake.py, http: /snake }
`,
  'node.mjs': `
import { release } from 'node:os';
export const handler = async (event) => ({
  statusCode: 200,
  body: JSON.stringify({ kernel: release(), got: event.body ?? null }),
});
`,
  'snake.py': `
import json, os
def handler(event, context):
    return {'statusCode': 200, 'body': json.dumps({'kernel': os.uname().release, 'got': event.get('body')})}
`,
});

let virga: Virga;
let sandbox: Sandbox & { strong: Sandbox | null; strongReason: string | null };

before(async () => {
  virga = await startVirga({ env: { VIRGA_SANDBOX: 'oci' } }).catch((error: Error) => {
    if (/oci.*does not work here/.test(error.message)) return undefined as unknown as Virga;
    throw error;
  });
  if (virga === undefined) return;
  const status = (await virga.cli(['status', '--json'])).json<{ edge: { sandbox: typeof sandbox } }>();
  sandbox = status.edge.sandbox;
});

after(async () => {
  await virga?.[Symbol.asyncDispose]();
});

async function call(name: string, path: string): Promise<{ kernel: string; got: string }> {
  const response = await virga.fetch(name, path, { method: 'POST', body: 'x'.repeat(300_000) });
  const text = await response.text();
  assert.equal(response.status, 200, `${text}\n${virga.log()}`);
  return JSON.parse(text) as { kernel: string; got: string };
}

test('Node and Python functions answer from containers, again and from several at once', async (t) => {
  if (virga === undefined) return t.skip('no container runtime works here');
  assert.equal(sandbox.driver, 'oci');
  const deployed = await virga.deploy(project('standard'));
  assert.equal(deployed.code, 0, deployed.stderr);
  for (const path of ['/node', '/snake', '/node']) {
    const { kernel, got } = await call('walls-standard', path);
    assert.equal(got.length, 300_000);
    if (sandbox.runtime !== 'runsc') assert.equal(kernel, release());
  }
  await Promise.all(Array.from({ length: 6 }, () => call('walls-standard', '/node')));
});

test('strong isolation gives functions a kernel of their own, or is refused with the reason', async (t) => {
  if (virga === undefined) return t.skip('no container runtime works here');
  const deployed = await virga.deploy(project('strong'));
  const shown = (await virga.cli(['status'])).stdout;
  if (sandbox.strong === null) {
    assert.equal(deployed.code, 1);
    assert.match(deployed.stderr, /asks for isolation strong, which this node cannot enforce: .*gVisor/);
    assert.ok(shown.includes(`not offered: ${sandbox.strongReason}`), shown);
    return;
  }
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(shown, /strong +oci \(runsc\)/);
  for (const path of ['/node', '/snake', '/node']) {
    const { kernel, got } = await call('walls-strong', path);
    assert.notEqual(kernel, release());
    assert.equal(got.length, 300_000);
  }
});
