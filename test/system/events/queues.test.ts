// Messages of queues reach functions: batches, partial failures, retries, dead letters, order, and what a kill of the edge leaves.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

let virga: Virga;
before(async () => {
  virga = await startVirga();
});
after(() => virga[Symbol.asyncDispose]());

async function send(project: string, queue: string, messages: { body: string; [key: string]: unknown }[]): Promise<{ id: string }[]> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/${project}/queues/${queue}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
  });
  const answer = (await response.json()) as { messages: { id: string }[] };
  assert.equal(response.status, 202, JSON.stringify(answer));
  return answer.messages;
}

test('messages of a queue reach a function that has no fetch', async () => {
  const deployed = await virga.deploy({
    'virga.yaml': `
project: shop
functions:
  ship:
    source: ship.ts
    instances: { max: 1 }
    triggers: [{ queue: orders }]
queues:
  orders: {}
`,
    'ship.ts': `
export default {
  event(event: { data: { messages: { body: string }[] } }) {
    console.log('got ' + event.data.messages.map(({ body }) => body).join(','));
  },
};
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  await send('shop', 'orders', [{ body: 'a' }, { body: 'b' }]);
  const line = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'ship', '--project', 'shop', '--json']);
    return /got ([a-z,]+)/.exec(stdout)?.[1];
  });
  assert.equal(line, 'a,b');
});
