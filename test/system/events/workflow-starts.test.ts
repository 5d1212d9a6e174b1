// What starts runs of workflows and talks to them: triggers, other functions, HTTP, the command line.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { startWorkflows } from './workflows-client.ts';
import type { Run, Workflows } from './workflows-client.ts';

let virga: Virga;
let workflows: Workflows;
before(async () => {
  ({ virga, workflows } = await startWorkflows({
    'virga.yaml': `
project: reach
functions:
  order:
    source: order.mjs
    workflow: true
    triggers:
      - queue: orders
        filter: { body: { kind: [order] } }
      - event: { type: [order.placed] }
  desk: { source: desk.mjs, http: /desk }
queues:
  orders: {}
`,
    'order.mjs': `
export async function handler(input, context) {
  const seen = await context.step('look', () => input?.data ?? input);
  if (seen?.wait) {
    const paid = await context.waitForEvent('paid', { timeout: '1d', match: { amount: [{ numeric: ['>', 10] }] } });
    return paid.data.amount;
  }
  return seen;
}
`,
    'desk.mjs': `
export default {
  async fetch(request, context) {
    const { start, send, ...rest } = await request.json();
    try {
      if (start) return Response.json(await context.startWorkflow(start, rest, { id: rest.id }));
      return Response.json(await context.sendToWorkflow(...send));
    } catch (error) {
      return Response.json({ code: error.code, message: error.message }, { status: 400 });
    }
  },
};
`,
  }));
});
after(() => virga[Symbol.asyncDispose]());

async function desk(asked: object): Promise<Record<string, unknown>> {
  return (await (await virga.fetch('reach', '/desk', { method: 'POST', body: JSON.stringify(asked) })).json()) as Record<string, unknown>;
}

async function post(path: string, body: object): Promise<void> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/reach/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 202, await response.text());
}

async function runsBy(trigger: string): Promise<Run[]> {
  const { items } = (await workflows.ask('GET', '/order/runs')).body as unknown as { items: Run[] };
  return items.filter((run) => run.trigger === trigger && run.state === 'succeeded');
}

test('each message of a queue starts a run, but those that the filter keeps out', async () => {
  const bodies = ['order', 'other', 'order'].map((kind) => ({ body: JSON.stringify({ kind }) }));
  await post('queues/orders/messages', { messages: bodies });
  const runs = await eventually(async () => {
    const found = await runsBy('queue');
    return found.length === 2 ? found : undefined;
  });
  const { input, id } = await workflows.run('order', runs[0]!.id);
  assert.match(id, /^msg_/);
  assert.equal((input as { data: { messages: { id: string }[] } }).data.messages[0]!.id, id);
});

test('an event of the project starts a run, with the event as its input', async () => {
  await post('events', { specversion: '1.0', id: 'evt-7', source: '/shop', type: 'order.placed', data: { order: 7 } });
  const [found] = await eventually(async () => {
    const runs = await runsBy('event');
    return runs.length === 1 ? runs : undefined;
  });
  const run = await workflows.run('order', found!.id);
  assert.equal((run.input as { id: string }).id, 'evt-7');
  assert.deepEqual(run.result, { order: 7 });
});

test('a function starts a run and sends events to it; a wait takes the one that fits', async () => {
  const first = await desk({ start: 'order', id: 'desk-1', wait: true });
  assert.deepEqual([first['id'], first['started'], first['version']], ['desk-1', true, 1]);
  assert.equal((await desk({ start: 'order', id: 'desk-1', wait: true }))['started'], false);
  await desk({ send: ['order', 'desk-1', 'paid', { amount: 5 }] });
  await desk({ send: ['order', 'desk-1', 'paid', { amount: 50 }] });
  assert.equal((await workflows.succeeded('order', 'desk-1')).result, 50);
  const wrong = await desk({ start: 'ordre' });
  assert.equal(wrong['code'], 'workflow_not_found');
  assert.match(String(wrong['message']), /did you mean 'order'\?/);
  assert.equal((await desk({ send: ['order', 'nobody', 'paid'] }))['code'], 'run_not_found');
});

test('the command line starts, shows, sends and lists', async () => {
  const cli = async (...args: string[]) => {
    const result = await virga.cli(['workflows', ...args, '--project', 'reach']);
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  assert.equal((await cli('start', 'order', '--id', 'cli-1', '--data', '{"wait":true}')).trim(), 'cli-1');
  await workflows.until('order', 'cli-1', ({ state }) => state === 'waiting');
  const shown = await cli('show', 'order', 'cli-1');
  assert.match(shown, /order cli-1 {2}waiting {2}v1 {2}by api/);
  assert.match(shown, /1 +look +done/);
  assert.match(shown, /2 +wait for paid +waiting .* in (23 h|1 d)/);
  await cli('send', 'order', 'cli-1', 'paid', '--data', '{"amount":11}');
  await workflows.succeeded('order', 'cli-1');
  assert.match(await cli('list', 'order', '--state', 'succeeded'), /cli-1 +succeeded +v1/);
  assert.match(await cli(), /order +v1/);
  assert.equal((await cli('start', 'order', '--wait', '--data', '{"a":1}')).trim(), '{"a":1}');
  const refused = await virga.cli(['workflows', 'start', 'desk', '--project', 'reach']);
  assert.match(refused.stderr, /function 'desk' is no workflow; say `workflow: true` of it in virga\.yaml/);
});
