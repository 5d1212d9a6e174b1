// Workflows: steps are run once, across sleeps, crashes and deploys.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Workflows } from './workflows-client.ts';

let virga: Virga;
let workflows: Workflows;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy({
    'virga.yaml': `
project: flows
functions:
  steps: { source: steps.mjs, workflow: true }
`,
    'steps.mjs': `
export async function handler({ sleep, slow }, context) {
  const a = await context.step('a', () => ({ id: crypto.randomUUID() }));
  if (sleep) await context.sleep(sleep);
  const b = await context.step('b', async () => {
    if (slow) await new Promise((resolve) => setTimeout(resolve, slow));
    return crypto.randomUUID();
  });
  return { a, b, run: context.run.id };
}
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  workflows = new Workflows(virga, 'flows');
});
after(() => virga[Symbol.asyncDispose]());

test('a run goes through its steps and has a result', async () => {
  const id = await workflows.start('steps', {});
  const { result, steps } = await workflows.succeeded('steps', id);
  assert.deepEqual(result, { a: steps[0]!.result, b: steps[1]!.result, run: id });
  assert.deepEqual(
    steps.map(({ name, state, attempts }) => [name, state, attempts]),
    [
      ['a', 'done', 1],
      ['b', 'done', 1],
    ],
  );
});

test('a run sleeps through a kill -9 of the edge, and its finished steps are not run again', async () => {
  const id = await workflows.start('steps', { sleep: '2s' });
  const asleep = await workflows.until('steps', id, ({ state }) => state === 'sleeping');
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  await eventually(() => Promise.resolve(virga.pids()['edge']?.some((pid) => pid !== edge)));
  const { result, steps } = await workflows.succeeded('steps', id);
  assert.deepEqual((result as { a: unknown }).a, asleep.steps[0]!.result);
  assert.deepEqual(
    steps.map(({ kind, state, attempts }) => [kind, state, attempts]),
    [
      ['step', 'done', 1],
      ['sleep', 'done', 1],
      ['step', 'done', 1],
    ],
  );
});

test('a step that runs while the edge is killed runs again, those before it do not', async () => {
  const id = await workflows.start('steps', { slow: 1_500 });
  const { steps: seen } = await workflows.until('steps', id, ({ steps }) => steps[1]?.state === 'running');
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  const { result, steps } = await workflows.succeeded('steps', id);
  assert.deepEqual((result as { a: unknown }).a, seen[0]!.result);
  assert.deepEqual(
    steps.map(({ name, attempts }) => [name, attempts]),
    [
      ['a', 1],
      ['b', 2],
    ],
  );
});
