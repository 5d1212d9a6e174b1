// examples/order-pipeline, deployed as it is: orders go through a topic, two queues and four functions, and end in the warehouse or, where the
// card is declined, as a dead letter that somebody apologises for.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const ORDERS = 30;
let virga: Virga;
before(async () => {
  virga = await startVirga();
  const { code, stderr } = await virga.cli(['deploy', join(ROOT, 'examples', 'order-pipeline')]);
  assert.equal(code, 0, stderr);
});
after(() => virga[Symbol.asyncDispose]());

async function order(fields: object): Promise<Response> {
  return await virga.fetch('order-pipeline', '/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });
}

async function ask<T>(path: string, body: object): Promise<T> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/order-pipeline/queues/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, path);
  return (await response.json()) as T;
}

interface Parcel {
  order?: string;
  customer: string;
  items: string[];
}

/** As the warehouse does: takes what is there, packs it, and says so. */
async function pack(): Promise<Parcel[]> {
  const { messages } = await ask<{ messages: { receipt: string; body: string }[] }>('packing/receive', { max: 100, waitMs: 5_000 });
  if (messages.length > 0) await ask('packing/settle', { settlements: messages.map(({ receipt }) => ({ receipt, as: 'done' })) });
  return messages.map(({ body }) => JSON.parse(body) as Parcel);
}

test('an order that is not one is refused, and says why', async () => {
  const response = await order({ customer: 'Ada', items: [] });
  assert.equal(response.status, 400);
  assert.deepEqual(await response.json(), { problem: 'items is empty' });
});

test('each paid order is packed once, a first one with a welcome, and a declined one is apologised for', async () => {
  const ids: string[] = [];
  for (let n = 0; n < ORDERS; n++) {
    const response = await order({
      customer: `customer-${n % 5}`,
      items: [`item-${n}`],
      total: 100 + n,
      card: '5500 0000 0000 0004',
      first: n === 0,
    });
    assert.equal(response.status, 202);
    ids.push(((await response.json()) as { id: string }).id);
  }
  const declined = (await (await order({ customer: 'Eve', items: ['a ring'], total: 1, card: '4000 0000 0000 0002' })).json()) as {
    id: string;
  };

  const parcels: Parcel[] = [];
  while (parcels.length < ORDERS + 1) {
    const more = await pack();
    assert.ok(more.length > 0, `${parcels.length} of ${ORDERS + 1} parcels came`);
    parcels.push(...more);
  }
  assert.deepEqual(parcels.flatMap(({ order: id }) => id ?? []).sort(), ids.toSorted());
  assert.deepEqual(
    parcels.filter(({ order: id }) => id === undefined),
    [{ customer: 'customer-0', items: ['a bag of tea, with our thanks'] }],
  );

  const apology = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'apologise', '--project', 'order-pipeline']);
    return /dear Eve, .*/.exec(stdout)?.[0];
  });
  assert.equal(apology, `dear Eve, your card was declined three times: order ${declined.id} is cancelled`);
  const attempts = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'charge', '--project', 'order-pipeline']);
    const all = [...stdout.matchAll(/was declined, attempt (\d)/g)].map(([, attempt]) => attempt);
    return all.length >= 3 ? all : undefined;
  });
  assert.deepEqual(attempts, ['1', '2', '3']);
});
