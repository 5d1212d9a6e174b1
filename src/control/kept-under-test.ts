// Cases of control.integration.test.ts. Messages outlive what a deploy does, and go with their project.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { topologyOf } from '../events/topology.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { request } from './fixture.ts';
import type { Json, StartControl, TestControl } from './fixture.ts';
import { sweep } from './housekeeping.ts';

const TAKES: EventsSection = {
  queues: { orders: {} },
  topics: { prices: {} },
  triggers: { hello: [{ queue: 'orders' }, { topic: 'prices' }] },
};

export function keptCases(start: StartControl): void {
  describe('messages and deploys', () => {
    let control: TestControl;
    let artifact: string;
    before(async () => {
      control = await start();
      artifact = await control.upload('export const handler = () => 1');
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });
    const deploy = (project: string, events: EventsSection | undefined, query = ''): ReturnType<TestControl['call']> =>
      control.call('POST', `/v1/projects/${project}/deployments${query}`, { json: { ...request(artifact), ...(events && { events }) } });
    const send = (project: string, queue: string, id: string) =>
      control.call('POST', `/v1/projects/${project}/queues/${queue}/messages`, { json: { id, body: 'x' } });
    const keys = async (project: string): Promise<string[]> => (await control.needs.bus.keys(`${project}/`)).toSorted();

    test('what a deploy removes keeps its messages, which it says, also on a dry run; they come back with it', async () => {
      await deploy('kept', TAKES);
      await send('kept', 'orders', 'msg_1');
      await control.needs.publisher.publish('kept', 'prices', [{ body: 'up' }]);
      const dry = await deploy('kept', undefined, '?dryRun=true');
      const warning =
        /messages are kept that nothing takes any more: queue\/orders \(1 message\), topic\/prices\/hello \(1 message\); .*virga queues purge orders/;
      assert.match(dry.body.warning, warning);
      const { body } = await deploy('kept', undefined);
      assert.match(body.warning, warning);
      const [queue] = (await control.call('GET', '/v1/projects/kept/queues')).body.items;
      assert.deepEqual([queue.name, queue.state, queue.pending, queue.fifo, queue.limits], ['orders', 'removed', 1, null, null]);
      const [topic] = (await control.call('GET', '/v1/projects/kept/topics')).body.items;
      assert.deepEqual([topic.state, topic.subscriptions[0].state, topic.subscriptions[0].function], ['removed', 'removed', 'hello']);
      assert.equal((await send('kept', 'orders', 'msg_2')).body.error.code, 'queue_not_found');
      assert.equal((await deploy('kept', TAKES)).body.warning, undefined);
      assert.deepEqual(
        (await control.call('GET', '/v1/projects/kept/deliveries')).body.items.map((one: Json) => `${one.source} ${one.function}`),
        ['queue/orders hello', 'topic/prices/hello hello'],
      );
    });

    test('the order of a queue changes only while it is empty, also when it was gone in between', async () => {
      const plain: EventsSection = { queues: { lines: {} } };
      const fifo: EventsSection = { queues: { lines: { fifo: true } } };
      await deploy('order', plain);
      await send('order', 'lines', 'msg_1');
      const refused = await deploy('order', fifo);
      assert.deepEqual(
        [refused.status, refused.body.error.code, refused.body.error.detail],
        [409, 'queue_not_empty', { queue: 'lines', messages: 1 }],
      );
      assert.match(refused.body.error.message, /the queue 'lines' has 1 message, sent without an order, so `fifo` cannot become true/);
      await deploy('order', undefined);
      assert.equal((await deploy('order', fifo)).body.error.code, 'queue_not_empty');
      await deploy('order', plain);
      await control.call('DELETE', '/v1/projects/order/queues/lines/messages');
      assert.equal((await deploy('order', fifo)).status, 201);
      assert.equal((await control.call('GET', '/v1/projects/order/queues/lines')).body.fifo, true);
    });

    test('a removed queue goes with its last message, and empty ones by housekeeping', async () => {
      await deploy('left', { queues: { a: {}, b: {}, c: {} } });
      for (const queue of ['a', 'b', 'c']) await send('left', queue, `msg_${queue}`);
      await deploy('left', { queues: { c: {} } });
      assert.deepEqual((await control.call('DELETE', '/v1/projects/left/queues/a/messages')).body, { purged: 1 });
      assert.deepEqual(await keys('left'), ['left/queue/b', 'left/queue/c']);
      await control.needs.bus.purge('left/queue/b');
      await control.needs.bus.purge('left/queue/c');
      const later = { ...control.needs, now: () => Date.now() + 3_600_000 };
      await sweep(control.needs, new AbortController().signal);
      assert.deepEqual(await keys('left'), ['left/queue/b', 'left/queue/c'], 'an edge may not have heard of the deploy yet');
      await sweep(later, new AbortController().signal);
      assert.deepEqual(await keys('left'), ['left/queue/c']);
    });

    test('whatever id a sender gives, its message is found by it, and dropped', async () => {
      await deploy('named', { queues: { orders: {} } });
      for (const id of ['Bestellung 7/ä', '注文%2F?#', 'a b']) {
        assert.equal((await send('named', 'orders', id)).status, 202);
        const path = `/v1/projects/named/queues/orders/messages`;
        const found = await control.call('GET', `${path}/${encodeURIComponent(id)}`);
        assert.deepEqual([found.status, found.body.id], [200, id], JSON.stringify(found.body));
        assert.equal((await control.call('GET', `/v1/projects/named/deliveries/${encodeURIComponent(id)}`)).status, 200);
        assert.deepEqual((await control.call('DELETE', `${path}?id=${encodeURIComponent(id)}`)).body, { purged: 1 });
      }
    });

    test('a removed stream goes when its last record is gone, and what its triggers had given up with its last message', async () => {
      const streams = { full: {}, old: {}, used: {} };
      await deploy('logs', { streams, triggers: { hello: [{ stream: 'old' }] } });
      for (const stream of Object.keys(streams))
        await control.call('POST', `/v1/projects/logs/streams/${stream}/records`, { json: { data: 'x' } });
      const letter = { id: 'rec_1', body: '{}', attributes: {} };
      const queue = topologyOf('logs', { streams, triggers: { hello: [{ stream: 'old' }] } }, ['hello']).streams.get('old')!.triggers[0]!
        .queue;
      await control.needs.bus.send([{ queue, messages: [letter] }]);
      const listed = await control.call('GET', '/v1/projects/logs/deliveries');
      assert.deepEqual(
        listed.body.items.map((one: Json) => `${one.id} ${one.source} ${one.function}`),
        ['rec_1 stream/old/hello hello'],
      );
      await control.needs.bus.purge(queue.key);
      await deploy('logs', { streams: { used: {} } });
      // What retention does to two of them.
      await control.records.query(
        `update event_partitions set oldest = newest + 1 where stream in (select id from event_streams where key in ('logs/stream/old', 'logs/stream/used'))`,
      );
      const later = { ...control.needs, now: () => Date.now() + 3_600_000 };
      await sweep(later, new AbortController().signal);
      assert.deepEqual(await keys('logs'), ['logs/stream/full', 'logs/stream/used']);
    });

    test('a project that is removed takes its messages along, and so does housekeeping with what came after', async () => {
      await deploy('gone', TAKES);
      await send('gone', 'orders', 'msg_1');
      assert.equal((await control.call('DELETE', '/v1/projects/gone')).status, 204);
      assert.deepEqual(await keys('gone'), []);
      await deploy('gone', TAKES);
      assert.equal((await control.call('GET', '/v1/projects/gone/queues/orders')).body.pending, 0);
      await send('gone', 'orders', 'msg_2');
      await control.records.query(`delete from projects where name = 'gone'`);
      await sweep(control.needs, new AbortController().signal);
      assert.deepEqual(await keys('gone'), []);
    });

    test('the status of the node counts what waits and what died', async () => {
      await deploy('counted', { queues: { some: {} } });
      const earlier = (await control.call('GET', '/v1/status')).body.events;
      await send('counted', 'some', 'msg_1');
      await send('counted', 'some', 'msg_2');
      const { body } = await control.call('POST', '/v1/projects/counted/queues/some/receive', { json: {} });
      await control.call('POST', '/v1/projects/counted/queues/some/settle', {
        json: { settlements: [{ receipt: body.messages[0].receipt, as: 'dead' }] },
      });
      const later = (await control.call('GET', '/v1/status')).body.events;
      assert.deepEqual([later.pending - earlier.pending, later.deadLetters - earlier.deadLetters], [1, 1]);
    });
  });
}
