// Workflows: steps are run once, across sleeps, crashes and deploys.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { startWorkflows } from './workflows-client.ts';
import type { Workflows } from './workflows-client.ts';

const KIT = `
class Declined extends Error {
  constructor(message) { super(message); this.name = 'Declined'; this.code = 'card_declined'; }
}
const flows = {
  async retries(input, context) {
    return context.step('flaky', ({ attempt }) => {
      if (attempt < 3) throw new Error('not yet ' + attempt);
      return attempt;
    }, { retry: input.retry });
  },
  async caught(input, context) {
    try {
      await context.step('charge', () => { throw new Declined('no money'); }, { retry: { attempts: 2 } });
    } catch (error) {
      await context.sleep(10);
      return { name: error.name, message: error.message, code: error.code };
    }
  },
  async fatal(input, context) {
    await context.step('before', () => 1);
    await context.step('find', () => { throw context.fatal('there is no such user'); });
  },
  async parallel(input, context) {
    const branch = (name, ms) => async () => {
      const first = await context.step('first', () => name);
      await context.sleep(ms);
      return first + (await context.step('second', () => name + name));
    };
    return context.parallel([branch('a', '600ms'), branch('b', '10ms'), branch('c', '400ms')]);
  },
  async loop({ count, bytes, sleep }, context) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += (await context.step('add', () => ({ i, filler: 'x'.repeat(bytes) }))).i;
    await context.sleep(sleep);
    console.log('after the loop', sum);
    return sum;
  },
  async waits({ timeout, sleep }, context) {
    if (sleep) await context.sleep(sleep);
    const paid = await context.waitForEvent('paid', timeout ? { timeout } : {});
    return paid === undefined ? 'late' : paid.data;
  },
  async moody(input, context) {
    await context.step('mood ' + crypto.randomUUID(), () => 1);
    await context.sleep('300ms');
    await context.step('then', () => 2);
  },
  async map(input, context) {
    await context.step('bad', () => ({ found: new Map() }));
  },
  async large(input, context) {
    await context.step('large', () => 'x'.repeat(300_000));
  },
  async nested(input, context) {
    await context.step('outer', () => context.step('inner', () => 1), { retry: { attempts: 1 } });
  },
  async slow(input, context) {
    await context.step('slow', () => new Promise(() => {}), { timeout: '50ms', retry: { attempts: 1 } });
  },
  async saga({ works }, context) {
    await context.step('book', () => 'booked');
    await context.step('pay', () => {
      if (!works && context.version === 1) throw new Error('the bank is away');
      return 'paid';
    }, { retry: { attempts: 1 } });
    return 'done';
  },
  async same(input, context) {
    const first = [context.now().getTime(), context.random(), context.uuid()];
    const kept = await context.step('kept', () => first);
    await context.sleep('300ms');
    return { kept, first, later: context.now().getTime() > first[0] };
  },
  async race(input, context) {
    const slept = context.sleep('300ms').then(() => 'slept');
    const came = context.waitForEvent('go').then(() => 'came');
    const won = await Promise.race([came, slept]);
    await context.sleep('600ms');
    return [won, await Promise.race([came, slept])];
  },
  async hang(input, context) {
    await context.step('hang', ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => {
      console.log('the step was told');
      reject(signal.reason);
    })));
  },
  async crash(input, context) {
    await context.step('first', () => 1);
    await context.step('crash', () => process.abort());
  },
};
export const handler = (input, context) => flows[input.flow](input, context);
`;

let virga: Virga;
let workflows: Workflows;
before(async () => {
  ({ virga, workflows } = await startWorkflows({
    'virga.yaml': `
project: flows
functions:
  steps: { source: steps.mjs, workflow: true }
  kit: { source: kit.mjs, workflow: { retry: { delay: 10ms } } }
  few: { source: kit.mjs, workflow: { maxRuns: 5 } }
`,
    'kit.mjs': KIT,
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
  }));
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
  await eventually(async () => virga.pids()['edge']?.find((pid) => pid !== edge));
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

test('a step is tried again, in its instance when the wait is short, from another wake-up when it is long', async () => {
  const short = await workflows.start('kit', { flow: 'retries' });
  const long = await workflows.start('kit', { flow: 'retries', retry: { delay: '800ms' } });
  assert.equal((await workflows.succeeded('kit', short)).result, 3);
  const waiting = await workflows.until('kit', long, ({ state }) => state === 'sleeping');
  assert.equal(waiting.steps[0]!.state, 'retrying');
  assert.equal(waiting.steps[0]!.error!.message, 'not yet 1');
  const { result, steps } = await workflows.succeeded('kit', long);
  assert.equal(result, 3);
  assert.equal(steps[0]!.attempts, 3);
});

test('an error of a step reaches the handler with its name, message and fields, also in a replay', async () => {
  const { result, steps } = await workflows.succeeded('kit', await workflows.start('kit', { flow: 'caught' }));
  assert.deepEqual(result, { name: 'Declined', message: 'no money', code: 'card_declined' });
  assert.equal(steps[0]!.attempts, 2);
});

test('a fatal error is not tried again, and ends the run', async () => {
  const { state, error, steps } = await workflows.ended('kit', await workflows.start('kit', { flow: 'fatal' }));
  assert.equal(state, 'failed');
  assert.equal(error!.message, 'there is no such user');
  assert.deepEqual(
    steps.map((step) => [step.name, step.state, step.attempts]),
    [
      ['before', 'done', 1],
      ['find', 'failed', 1],
    ],
  );
});

test('branches run at the same time, and each sleeps by itself', async () => {
  const { result, steps } = await workflows.succeeded('kit', await workflows.start('kit', { flow: 'parallel' }));
  assert.deepEqual(result, ['aaa', 'bbb', 'ccc']);
  assert.equal(steps.length, 9);
  assert.ok(steps.every(({ state, attempts }) => state === 'done' && attempts === 1));
});

test('a history of several pages is replayed, and logs of before are not repeated', async () => {
  const id = await workflows.start('kit', { flow: 'loop', count: 300, bytes: 4_000, sleep: '300ms' });
  assert.equal((await workflows.succeeded('kit', id)).result, (299 * 300) / 2);
  const { stdout } = await virga.cli(['workflows', 'show', 'kit', id, '--project', 'flows', '--json']);
  assert.equal((JSON.parse(stdout) as { steps: unknown[] }).steps.length, 301);
});

test('an event is waited for, kept if it comes before, and missed in time', async () => {
  const [waits, early, late] = await Promise.all([
    workflows.start('kit', { flow: 'waits', timeout: '1d' }),
    workflows.start('kit', { flow: 'waits', sleep: '400ms' }, 'early-1'),
    workflows.start('kit', { flow: 'waits', timeout: '300ms' }),
  ]);
  assert.deepEqual((await workflows.ask('POST', '/kit/runs/early-1/events', { name: 'paid', data: { by: 'ada' } })).status, 202);
  await workflows.until('kit', waits, ({ state }) => state === 'waiting');
  await workflows.ask('POST', `/kit/runs/${waits}/events`, { name: 'other' });
  await workflows.ask('POST', `/kit/runs/${waits}/events`, { name: 'paid', data: 7, id: 'once' });
  await workflows.ask('POST', `/kit/runs/${waits}/events`, { name: 'paid', data: 8, id: 'once' });
  assert.equal((await workflows.succeeded('kit', waits)).result, 7);
  assert.deepEqual((await workflows.succeeded('kit', early)).result, { by: 'ada' });
  const missed = await workflows.succeeded('kit', late);
  assert.equal(missed.result, 'late');
  assert.equal(missed.steps[0]!.state, 'late');
  const ended = await workflows.ask('POST', `/kit/runs/${waits}/events`, { name: 'paid' });
  assert.equal(ended.status, 409);
});

test('code that does something else than before is found', async () => {
  const { state, error } = await workflows.ended('kit', await workflows.start('kit', { flow: 'moody' }));
  assert.equal(state, 'failed');
  assert.equal(error!.name, 'NondeterminismError');
  assert.match(error!.message, /place 1 of the run's history is the step 'mood .*', and the code asks for the step 'mood/);
});

test('what cannot be kept fails at once, with what is wrong', async () => {
  for (const [flow, expected] of [
    ['map', /result of the step 'bad'\.found is a Map, which JSON cannot hold/],
    ['large', /has 300002 bytes as JSON; at most 262144 are kept/],
    ['nested', /the step 'inner' begins within the step 'outer'/],
    ['slow', /the step 'slow' did not end within its timeout of 50 ms/],
  ] as const) {
    const { state, error, steps } = await workflows.ended('kit', await workflows.start('kit', { flow }));
    assert.equal(state, 'failed');
    assert.match(error!.message, expected);
    assert.equal(steps[0]!.attempts, 1, flow);
  }
});

test('a run that failed goes on from its failed step, with other code if asked', async () => {
  const id = await workflows.start('kit', { flow: 'saga' });
  const failed = await workflows.ended('kit', id);
  assert.equal(failed.state, 'failed');
  const again = await workflows.ask('POST', `/kit/runs/${id}/retry`, {});
  assert.equal(again.status, 200, JSON.stringify(again.body));
  const second = await workflows.ended('kit', id);
  assert.equal(second.state, 'failed');
  assert.equal(second.error!.message, 'the bank is away');
  assert.equal((await workflows.ask('POST', `/kit/runs/${id}/retry`, { version: 9 })).status, 404);
});

test('clock and chance are the same in a replay, and a race ends as it did', async () => {
  const same = (await workflows.succeeded('kit', await workflows.start('kit', { flow: 'same' }))).result as Record<string, unknown>;
  assert.deepEqual(same['kept'], same['first']);
  assert.equal(same['later'], true);
  const id = await workflows.start('kit', { flow: 'race' });
  await workflows.until('kit', id, ({ steps }) => steps.length === 3);
  await workflows.ask('POST', `/kit/runs/${id}/events`, { name: 'go' });
  assert.deepEqual((await workflows.succeeded('kit', id)).result, ['slept', 'came']);
});

test('a run is cancelled, asleep or awake', async () => {
  const asleep = await workflows.start('kit', { flow: 'waits' });
  const awake = await workflows.start('kit', { flow: 'hang' });
  await workflows.until('kit', asleep, ({ state }) => state === 'waiting');
  await workflows.until('kit', awake, ({ steps }) => steps[0]?.state === 'running');
  for (const id of [asleep, awake]) {
    const cancelled = await virga.cli(['workflows', 'cancel', 'kit', id, '--project', 'flows']);
    assert.equal(cancelled.code, 0, cancelled.stderr);
    assert.equal((await workflows.run('kit', id)).state, 'cancelled');
  }
  await eventually(async () => (await virga.cli(['logs', 'kit', '--project', 'flows'])).stdout.includes('the step was told') || undefined);
});

test('a step that kills its instance is tried a few times, then the run fails', async () => {
  const id = await workflows.start('kit', { flow: 'crash' });
  const run = await workflows.until('kit', id, ({ steps }) => (steps[1]?.attempts ?? 0) >= 2);
  assert.equal(run.steps[0]!.attempts, 1);
  await workflows.ask('POST', `/kit/runs/${id}/cancel`);
});

test('as many runs as may be', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.push(await workflows.start('few', { flow: 'waits' }, `full-${i}`));
  const refused = await workflows.ask('POST', '/few/runs', { input: {} });
  assert.equal(refused.status, 429);
  assert.match(JSON.stringify(refused.body), /has 5 runs that have not ended.*maxRuns/);
  const again = await workflows.ask('POST', '/few/runs', { id: 'full-3' });
  assert.deepEqual([again.status, again.body['started']], [202, false]);
});
