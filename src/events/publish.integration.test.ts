// Publishing over the bus on Postgres: what is stored where, for whom, and that a request is stored whole or not at all.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { PostgresBus } from './postgres/postgres.ts';
import { Publisher } from './publish.ts';
import { topologyOf } from './topology.ts';

const TOPOLOGY = topologyOf(
  'shop',
  {
    queues: { orders: {}, small: { maxMessages: 1 }, lined: { fifo: true }, late: { delay: '1h' } },
    topics: {
      prices: { subscriptions: [{ queue: 'orders', filter: { attributes: { region: ['eu'] } } }, { queue: 'lined' }] },
      later: { subscriptions: [{ queue: 'late' }] },
      tight: { subscriptions: [{ queue: 'orders' }, { queue: 'small' }] },
    },
    triggers: { ship: [{ topic: 'prices' }, { event: { type: [{ prefix: 'order.' }] } }] },
  },
  ['ship'],
);

describe('publishing', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: PostgresBus;
  let publisher: Publisher;

  before(async () => {
    postgres = await startTestPostgres();
    database = await postgres.database();
    bus = new PostgresBus({ connection: database.connection, holder: 'test', log: () => {} });
    publisher = new Publisher({
      bus,
      topologyOf: (project) => (project === 'shop' ? TOPOLOGY : undefined),
      limits: { messageBytesMax: 1_000 },
      now: () => 1_767_323_045_678,
    });
  });
  after(async () => {
    await bus[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
    await postgres[Symbol.asyncDispose]();
  });

  const stored = async (key: string) =>
    (await bus.peek(`shop/${key}`, { limit: 100 })).map(({ id, body, attributes, group }) => ({ id, body, attributes, group }));

  test('a topic gives each subscriber whose filter fits its own message', async () => {
    const published = await publisher.publish('shop', 'prices', [
      { id: 'p-1', body: '{"sku":"tea"}', subject: 'a price', attributes: { region: 'eu' }, group: 'tea' },
      { id: 'p-2', body: 'plain', attributes: { region: 'us' } },
    ]);
    assert.deepEqual(published, [
      { id: 'p-1', deliveries: 3 },
      { id: 'p-2', deliveries: 2 },
    ]);
    const attributes = { region: 'eu', subject: 'a price' };
    assert.deepEqual(await stored('queue/orders'), [{ id: 'p-1', body: '{"sku":"tea"}', attributes, group: null }]);
    assert.deepEqual(await stored('queue/lined'), [
      { id: 'p-1', body: '{"sku":"tea"}', attributes, group: 'tea' },
      { id: 'p-2', body: 'plain', attributes: { region: 'us' }, group: null },
    ]);
    const [first, second] = await stored('topic/prices/ship');
    assert.deepEqual(JSON.parse(first!.body), {
      specversion: '1.0',
      id: first!.id,
      source: '/projects/shop/topics/prices',
      type: 'virga.topic.message',
      time: '2026-01-02T03:04:05.678Z',
      subject: 'prices',
      datacontenttype: 'application/json',
      data: {
        topic: 'prices',
        id: 'p-1',
        subject: 'a price',
        body: '{"sku":"tea"}',
        attributes: { region: 'eu' },
        sentAt: 1_767_323_045_678,
      },
    });
    assert.equal((JSON.parse(second!.body) as { data: { id: string } }).data.id, 'p-2');
  });

  test('where one subscriber has no room, none gets it', async () => {
    await publisher.publish('shop', 'tight', [{ body: 'one' }]);
    const held = await stored('queue/orders');
    await assert.rejects(publisher.publish('shop', 'tight', [{ body: 'two' }]), { code: 'queue_full' });
    assert.deepEqual(await stored('queue/orders'), held);
    assert.equal((await stored('queue/small')).length, 1);
  });

  test('a queue with a delay has it for what comes from a topic too; a message may say otherwise', async () => {
    await publisher.publish('shop', 'later', [{ id: 'a', body: 'x' }]);
    await publisher.send('shop', 'late', [
      { id: 'b', body: 'x' },
      { id: 'c', body: 'x', delayMs: 0 },
    ]);
    assert.deepEqual(
      (await bus.peek('shop/queue/late', { limit: 10 })).map(({ id, state }) => [id, state]),
      [
        ['a', 'delayed'],
        ['b', 'delayed'],
        ['c', 'pending'],
      ],
    );
  });

  test('events go to the functions whose pattern fits', async () => {
    const event = (id: string, type: string) => ({ specversion: '1.0' as const, id, source: '/x', type, data: { n: 1 } });
    assert.deepEqual(await publisher.publishEvents('shop', [event('e-1', 'order.placed'), event('e-2', 'mail.sent')]), [
      { id: 'e-1', deliveries: 1 },
      { id: 'e-2', deliveries: 0 },
    ]);
    assert.deepEqual(
      (await stored('event/ship')).map(({ id, body }) => [id, JSON.parse(body)]),
      [['e-1', event('e-1', 'order.placed')]],
    );
  });

  test('names that lead nowhere are refused, with what was meant', async () => {
    await assert.rejects(publisher.send('shop', 'order', [{ body: '' }]), { code: 'queue_not_found', message: /did you mean 'orders'\?/ });
    await assert.rejects(publisher.publish('shop', 'weather', [{ body: '' }]), {
      code: 'topic_not_found',
      message: /it has prices, later, tight/,
    });
    await assert.rejects(publisher.append('shop', 'clicks', [{ partitionKey: 'a', data: '' }]), {
      code: 'stream_not_found',
      message: /it has no streams/,
    });
    await assert.rejects(publisher.send('shed', 'orders', [{ body: '' }]), { code: 'project_not_found' });
  });
});
