// What runs outlive: other code, the removal of their function, a restart of Postgres; and what they cost while they sleep.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Workflows } from './workflows-client.ts';

const code = (version: string) => `
export async function handler({ sleep, event, steps = 0 }, context) {
  const began = await context.step('began', () => '${version}');
  for (let i = 0; i < steps; i++) await context.step('more', () => new Promise((resolve) => setTimeout(resolve, 20)));
  if (sleep) await context.sleep(sleep);
  if (event) await context.waitForEvent(event);
  return [began, '${version}', context.run.version];
}
`;

const yaml = (functions: string) => `
project: kept
functions:
${functions}
  other: { source: other.mjs }
`;
const WORKFLOW = '  flow: { source: flow.mjs, workflow: true, http: POST /flow }';
const OTHER = `export const handler = () => 'other';`;

let virga: Virga;
let workflows: Workflows;
/** Of an edge without runs. */
let emptyMiB: number;
before(async () => {
  virga = await startVirga();
  emptyMiB = residentMiB(virga.pids()['edge']![0]!);
  await deploy('one');
  workflows = new Workflows(virga, 'kept');
});
after(() => virga[Symbol.asyncDispose]());

async function deploy(version: string, functions = WORKFLOW): Promise<void> {
  const deployed = await virga.deploy({ 'virga.yaml': yaml(functions), 'flow.mjs': code(version), 'other.mjs': OTHER });
  assert.equal(deployed.code, 0, deployed.stderr);
}

test('a request to a workflow starts a run', async () => {
  const post = (headers: Record<string, string>, body: string) => virga.fetch('kept', '/flow', { method: 'POST', headers, body });
  const json = { 'content-type': 'application/json' };
  const response = await post({ ...json, 'idempotency-key': 'mine' }, '{}');
  const answer = (await response.json()) as Record<string, unknown>;
  // Its id can be guessed, and nobody is asked who they are.
  assert.equal((await virga.fetch('kept', '/.virga/runs/flow/mine')).status, 404);
  assert.deepEqual([response.status, answer], [202, { id: 'mine', workflow: 'flow', version: 1, started: true }]);
  assert.equal((await workflows.succeeded('flow', 'mine')).trigger, 'http');
  assert.equal(((await (await post({ ...json, 'idempotency-key': 'mine' }, '{}')).json()) as { started: boolean }).started, false);
  const own = await post(json, '{"event":"seen"}');
  const { id, status } = (await own.json()) as { id: string; status: string };
  assert.deepEqual([own.headers.get('location'), status], [status, status]);
  const ask = async (path: string) => (await (await virga.fetch('kept', path)).json()) as Record<string, unknown>;
  const path = status.slice(status.indexOf('/.virga'));
  await workflows.until('flow', id, ({ state }) => state === 'waiting');
  const waits = await ask(path);
  assert.deepEqual([waits['id'], waits['workflow'], waits['version'], waits['state'], waits['endedAt']], [id, 'flow', 1, 'waiting', null]);
  await workflows.ask('POST', `/flow/runs/${id}/events`, { name: 'seen' });
  await workflows.succeeded('flow', id);
  const ended = await ask(path);
  assert.deepEqual([ended['state'], ended['result']], ['succeeded', ['one', 'one', 1]]);
  const byApi = await workflows.start('flow', {});
  assert.equal((await virga.fetch('kept', path.replace(id, byApi))).status, 404);
  assert.equal((await post(json, '{')).status, 400);
  assert.equal((await post({ 'content-type': 'text/plain' }, 'x')).status, 415);
  const invoked = await virga.cli(['invoke', 'flow', '--project', 'kept']);
  assert.match(invoked.stderr, /function 'flow' is a workflow.*virga workflows start flow/);
});

test('a run keeps to its version, through other code and the removal of its function', async () => {
  const sleeps = await workflows.start('flow', { sleep: '2s' });
  const waits = await workflows.start('flow', { event: 'go' });
  await workflows.until('flow', sleeps, ({ state }) => state === 'sleeping');
  await workflows.until('flow', waits, ({ state }) => state === 'waiting');
  await deploy('two');
  const fresh = await workflows.succeeded('flow', await workflows.start('flow', {}));
  assert.deepEqual(fresh.result, ['two', 'two', 2]);
  assert.deepEqual((await workflows.succeeded('flow', sleeps)).result, ['one', 'one', 1]);
  await deploy('two', '');
  const [listed] = (await workflows.ask('GET', '')).body['items'] as { name: string; version: number | null }[];
  assert.deepEqual([listed!.name, listed!.version], ['flow', null]);
  await workflows.ask('POST', `/flow/runs/${waits}/events`, { name: 'go' });
  assert.deepEqual((await workflows.succeeded('flow', waits)).result, ['one', 'one', 1]);
  assert.equal((await workflows.ask('POST', '/flow/runs', {})).status, 404);
  await deploy('two');
});

test('steps wait for Postgres while it is restarted', async () => {
  const id = await workflows.start('flow', { steps: 60 });
  await workflows.until('flow', id, ({ steps }) => steps.length > 5);
  const [postgres] = virga.pids()['postgres']!;
  process.kill(postgres!, 'SIGKILL');
  const run = await eventually(async () => {
    const found = await workflows.run('flow', id).catch(() => undefined);
    return found?.state === 'succeeded' ? found : undefined;
    // Sooner than the lease of a wake-up that was handed out by the database in its last moment.
  }, 25_000);
  assert.equal(run.steps.length, 61);
});

test('a thousand sleeping runs hold no instance and no memory of the edge', async () => {
  for (let i = 0; i < 1_000; i += 50)
    await Promise.all(Array.from({ length: 50 }, (_, n) => workflows.start('flow', { event: 'never' }, `asleep-${i + n}`)));
  const waiting = async () => {
    const { items } = (await workflows.ask('GET', '')).body as unknown as { items: { runs: { waiting: number } }[] };
    return items[0]!.runs.waiting;
  };
  await eventually(async () => (await waiting()) === 1_000 || undefined, 60_000);
  const { edge } = JSON.parse((await virga.cli(['status', '--json'])).stdout) as { edge: { inFlight: number } };
  assert.equal(edge.inFlight, 0);
  // What it took to bring them there is garbage; another edge knows of them as much as this one has to.
  const [old] = virga.pids()['edge']!;
  process.kill(old!, 'SIGKILL');
  const fresh = await eventually(async () => virga.pids()['edge']?.find((pid) => pid !== old));
  await eventually(async () => (await virga.fetch('kept', '/flow').catch(() => undefined))?.status);
  const more = residentMiB(fresh) - emptyMiB;
  assert.ok(more < 30, `${more} MiB more than an edge without runs`);
  await workflows.ask('POST', '/flow/runs/asleep-500/events', { name: 'never' });
  await workflows.succeeded('flow', 'asleep-500');
});

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}
