// Runs that wait for events of their project, in Node and Python, through kills; and what is asked of a run that cannot be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { startWorkflows } from './workflows-client.ts';
import type { Workflows } from './workflows-client.ts';

const NODE = `
const flows = {
  async signup({ user, timeout }, context) {
    const confirmed = await context.waitForEvent('confirmation', { event: 'user.confirmed', match: { data: { user: [user] } }, timeout });
    return confirmed === undefined ? 'late' : [confirmed.name, confirmed.data.by, confirmed.event.source, confirmed.event.type];
  },
  async anything(input, context) {
    const [first, second] = [await context.waitForEvent('one', { event: 'order.paid' }), await context.waitForEvent('two', { event: 'order.paid' })];
    return [first.data, second.data];
  },
  async refused({ how }, context) {
    try {
      await context.waitForEvent('what ever', how);
    } catch (error) {
      await context.sleep('300ms');
      return error.name + ': ' + error.message;
    }
  },
  async rules(input, context) {
    const said = [];
    for (const go of [
      () => context.step('zero', () => 1, { retry: { attempts: 0 } }),
      () => context.waitForEvent('circle', { match: { n: [1n] } }),
      () => context.step('a\\0b', () => 1),
    ]) await go().catch((error) => said.push(error.name));
    await context.step('after', () => 1);
    await context.sleep('300ms');
    return said;
  },
  async ages(input, context) {
    await context.sleep(0);
    await context.sleepUntil('1999-12-31');
    await context.sleepUntil(new Date(8.64e15));
  },
  async values(input, context) {
    const odd = Object.defineProperty(new Error('odd'), 'x', { enumerable: true, get() { throw new Error('never'); } });
    const said = [];
    for (const work of [() => 1n, () => Buffer.from('x'), () => ({ toJSON: () => 1n }), () => { throw odd; }])
      await context.step('value', work, { retry: { attempts: 1 } }).catch((error) => said.push(error.message));
    return said;
  },
  async many(input, context) {
    const all = await context.parallel(Array.from({ length: 300 }, (_, i) => () => context.step('one', () => i)));
    return all.length;
  },
  async hang(input, context) {
    await context.step('hang', ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))));
  },
  async fast() {
    return 'fast';
  },
};
export const handler = (input, context) => flows[input.flow ?? 'fast'](input, context);
`;

const PYTHON = `
@async def handler(input, context):
    if "many" in input:
        return len(@await context.parallel([lambda i=i: context.step("one", lambda: i) for i in range(140)]))
    try:
        came = @await context.wait_for_event("confirmation", event=input["event"], match={"data": {"user": [input["user"]]}}, timeout="1d")
    except TypeError as error:
        @await context.sleep("300ms")
        return str(error)
    return [came["name"], came["data"]["by"], came["event"]["type"]]
`;
const python = (isAsync: boolean): string =>
  PYTHON.replaceAll('@async ', isAsync ? 'async ' : '').replaceAll('@await ', isAsync ? 'await ' : '');

let virga: Virga;
let workflows: Workflows;
before(async () => {
  ({ virga, workflows } = await startWorkflows({
    'virga.yaml': `
project: waits
functions:
  flow: { source: flow.mjs, workflow: { events: [user.confirmed, { prefix: order. }], retry: { delay: 10ms } } }
  one: { source: flow.mjs, workflow: { concurrency: 1 } }
  sync: { source: sync.py, workflow: { events: [user.confirmed] } }
  later: { source: later.py, workflow: { events: [user.confirmed] } }
  placed: { source: flow.mjs, workflow: true, triggers: [{ event: { type: [cart.placed] } }] }
`,
    'flow.mjs': NODE,
    'sync.py': python(false),
    'later.py': python(true),
  }));
});
after(() => virga[Symbol.asyncDispose]());

let events = 0;
async function publish(type: string, data: unknown, more: object = {}): Promise<void> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/waits/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ specversion: '1.0', id: `e-${++events}`, source: '/test', type, data, ...more }),
  });
  assert.equal(response.status, 202, await response.text());
}

test('a run gets the event of the project that fits, published after it waits', async () => {
  const ids = await Promise.all(['ada', 'bob'].map((user) => workflows.start('flow', { flow: 'signup', user, timeout: '1d' })));
  const snakes = await Promise.all(['sync', 'later'].map((fn) => workflows.start(fn, { user: 'ada', event: 'user.confirmed' })));
  for (const id of ids) await workflows.until('flow', id, ({ state }) => state === 'waiting');
  await workflows.until('sync', snakes[0]!, ({ state }) => state === 'waiting');
  await workflows.until('later', snakes[1]!, ({ state }) => state === 'waiting');
  await publish('user.confirmed', { user: 'eve', by: 'nobody' });
  await publish('user.other', { user: 'ada', by: 'nobody' });
  await publish('user.confirmed', { user: 'ada', by: 'mail' });
  assert.deepEqual((await workflows.succeeded('flow', ids[0]!)).result, ['confirmation', 'mail', '/test', 'user.confirmed']);
  assert.deepEqual((await workflows.succeeded('sync', snakes[0]!)).result, ['confirmation', 'mail', 'user.confirmed']);
  assert.deepEqual((await workflows.succeeded('later', snakes[1]!)).result, ['confirmation', 'mail', 'user.confirmed']);
  assert.equal((await workflows.run('flow', ids[1]!)).state, 'waiting');
  const shown = await virga.cli(['workflows', 'show', 'flow', ids[1]!, '--project', 'waits']);
  assert.match(shown.stdout, /1 +wait for confirmation \(user\.confirmed\) +waiting/);
});

test('no event is missed while the edge is away, and none comes twice', async () => {
  const [soon, loop] = [
    await workflows.start('flow', { flow: 'signup', user: 'kim', timeout: '1s' }),
    await workflows.start('flow', { flow: 'anything' }),
  ];
  await workflows.until('flow', loop, ({ state }) => state === 'waiting');
  await workflows.until('flow', soon, ({ state }) => state === 'waiting');
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  // Its time may be up before there is an edge that looks.
  await publish('user.confirmed', { user: 'kim', by: 'kill' });
  await publish('order.paid', 1);
  await workflows.until('flow', loop, ({ steps }) => steps.length === 2);
  await publish('order.paid', 2);
  assert.deepEqual((await workflows.succeeded('flow', loop)).result, [1, 2]);
  assert.equal(((await workflows.succeeded('flow', soon)).result as string[])[1], 'kill');
});

test('a wait that cannot be is refused at once, and in every replay', async () => {
  for (const [how, expected] of [
    [
      { event: 'user.unheard' },
      /TypeError: .*'user\.unheard' are not brought to runs of 'flow'; say `workflow: \{ events: \[user\.unheard\] \}`/,
    ],
    [
      { event: 'user.confirmed', match: { data: { user: 'ada' } } },
      /TypeError: match\.data\.user of the wait for 'what ever': expected a list/,
    ],
    [{}, /TypeError: 'what ever' is no name of an event that could be sent to the run: 1 to 128/],
  ] as const) {
    const { result, steps } = await workflows.succeeded('flow', await workflows.start('flow', { flow: 'refused', how }));
    assert.match(String(result), expected);
    assert.deepEqual(
      steps.map(({ kind, state }) => [kind, state]),
      [
        ['wait', 'failed'],
        ['sleep', 'done'],
      ],
    );
  }
  for (const fn of ['sync', 'later'])
    assert.match(
      String((await workflows.succeeded(fn, await workflows.start(fn, { user: 'ada', event: 'no' }))).result),
      /are not brought to runs of/,
    );
  assert.deepEqual((await workflows.succeeded('flow', await workflows.start('flow', { flow: 'rules' }))).result, [
    'TypeError',
    'TypeError',
    'TypeError',
  ]);
});

test('more branches than a node answers at once', async () => {
  for (const [fn, input, count] of [
    ['flow', { flow: 'many' }, 300],
    ['later', { many: true }, 140],
  ] as const) {
    const { result, steps } = await workflows.succeeded(fn, await workflows.start(fn, input));
    assert.equal(result, count);
    assert.ok(steps.every(({ attempts }) => attempts === 1));
  }
});

test('a sleep of ages, and values that are none', async () => {
  const id = await workflows.start('flow', { flow: 'ages' });
  const { steps, wakeAt } = await workflows.until('flow', id, ({ state }) => state !== 'pending' && state !== 'running');
  assert.deepEqual(
    steps.map(({ state }) => state),
    ['done', 'done', 'sleeping'],
  );
  assert.equal(wakeAt, '+275760-09-13T00:00:00.000Z');
  const { result, steps: values } = await workflows.succeeded('flow', await workflows.start('flow', { flow: 'values' }));
  assert.deepEqual(result, [
    "the result of the step 'value' is a bigint, which JSON cannot hold; return plain data from it, or nothing",
    "the result of the step 'value' is a Buffer, which JSON cannot hold; return plain data from it, or nothing",
    "the result of the step 'value' cannot be written as JSON: Do not know how to serialize a BigInt",
    'odd',
  ]);
  assert.ok(values.every(({ attempts }) => attempts === 1));
});

test('a run that has the only place of its function hears that it is cancelled', async () => {
  const id = await workflows.start('one', { flow: 'hang' });
  await workflows.until('one', id, ({ steps }) => steps[0]?.state === 'running');
  await workflows.ask('POST', `/one/runs/${id}/cancel`);
  await workflows.succeeded('one', await workflows.start('one', { flow: 'fast' }));
});

test('a run that is cancelled and tried again at once goes on', async () => {
  const id = await workflows.start('flow', { flow: 'hang' });
  await workflows.until('flow', id, ({ steps }) => steps[0]?.state === 'running');
  const cancelled = workflows.ask('POST', `/flow/runs/${id}/cancel`);
  await eventually(async () => ((await workflows.ask('POST', `/flow/runs/${id}/retry`, {})).status === 200 ? true : undefined));
  await cancelled;
  await workflows.until('flow', id, ({ state, steps }) => state === 'running' && steps[0]?.attempts === 2);
  await workflows.ask('POST', `/flow/runs/${id}/cancel`);
});

test('events of other sources with the same id, and ids that are none of a run, start runs', async () => {
  await publish('cart.placed', 1, { id: 'cart/7' });
  await publish('cart.placed', 2, { id: 'cart/7', source: '/elsewhere' });
  await publish('cart.placed', 1, { id: 'cart/7' });
  const runs = await eventually(async () => {
    const { items } = (await workflows.ask('GET', '/placed/runs')).body as unknown as { items: { id: string; state: string }[] };
    return items.length >= 2 && items.every(({ state }) => state === 'succeeded') ? items : undefined;
  });
  assert.equal(runs.length, 2);
  assert.match(runs[0]!.id, /^cart_7\.[0-9a-f]{16}$/);
});

test('a deploy that leaves runs waiting for what does not come says so', async () => {
  const id = await workflows.start('sync', { user: 'zoe', event: 'user.confirmed' });
  await workflows.until('sync', id, ({ state }) => state === 'waiting');
  const deployed = await virga.deploy({
    'virga.yaml': `
project: waits
functions:
  sync: { source: sync.py, workflow: true }
`,
    'sync.py': python(false),
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(
    deployed.stderr + deployed.stdout,
    /runs wait for events that are not brought to them any more: .*1 of 'sync' for 'user\.confirmed'/,
  );
});
