// Cases of control.integration.test.ts. Deliveries and dead letters: what is on its way, what was given up, and sending it back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from './fixture.ts';
import type { Json, StartControl } from './fixture.ts';
import { withQueues } from './queues-under-test.ts';
import type { WithQueues } from './queues-under-test.ts';

export function deliveryCases(start: StartControl): void {
  describe('deliveries and dead letters', () => {
    let shop: WithQueues;
    before(async () => {
      shop = await withQueues(start, {
        queues: { orders: {}, taken: {}, failed: {}, strict: { deadLetters: 'failed' } },
        topics: { prices: {} },
        triggers: { hello: [{ queue: 'taken' }, { topic: 'prices' }] },
      });
    });
    after(async () => {
      await shop.control[Symbol.asyncDispose]();
    });

    const die = async (queue: string, ...ids: string[]): Promise<void> => {
      await shop.send(queue, ...ids.map((id) => ({ id })));
      const { body } = await shop.call('POST', `/queues/${queue}/receive`, { json: { max: 100 } });
      const settlements = body.messages.map(({ receipt, id }: Json) =>
        ids.includes(id) ? { receipt, as: 'dead', error: `no ${id}` } : { receipt, as: 'retry' },
      );
      await shop.call('POST', `/queues/${queue}/settle`, { json: { settlements } });
    };
    const deliveries = async (query = ''): Promise<string[]> =>
      (await shop.call('GET', `/deliveries${query}`)).body.items.map((one: Json) => `${one.id} ${one.source} ${one.state}`);
    const deadLetters = async (query = ''): Promise<string[]> =>
      (await shop.call('GET', `/dead-letters${query}`)).body.items.map((one: Json) => `${one.id} ${one.in} ${one.died.from}`);
    const ended = async (id: string): Promise<Json> => {
      let item: Json;
      await until(`the redrive ${id} to end`, async () => {
        item = (await shop.call('GET', `/redrives/${id}`)).body;
        return item.state !== 'running';
      });
      return item;
    };

    test('what is on its way is listed with its state, function and source, and so is what died', async () => {
      await shop.control.needs.publisher.publish('shop', 'prices', [{ id: 'msg_price', body: 'up' }]);
      await shop.send('taken', { id: 'msg_a' }, { id: 'msg_b', delayMs: 60_000 });
      await die('orders', 'msg_dead');
      const { items } = (await shop.call('GET', '/deliveries')).body;
      assert.deepEqual(
        items.map((one: Json) => [
          one.id.slice(0, 4),
          one.source,
          one.state,
          one.function,
          one.attempt,
          one.nextAt === null,
          one.lastError,
        ]),
        [
          ['msg_', 'queue/orders', 'dead', null, 1, true, 'no msg_dead'],
          ['msg_', 'queue/taken', 'pending', 'hello', 0, true, null],
          ['msg_', 'queue/taken', 'delayed', 'hello', 0, false, null],
          ['evt_', 'topic/prices/hello', 'pending', 'hello', 0, true, null],
        ],
      );
      assert.deepEqual(items[0].died.reason, 'rejected');
      assert.equal('body' in items[0], false);
      assert.deepEqual(await deliveries('?state=delayed'), ['msg_b queue/taken delayed']);
      assert.deepEqual(await deliveries('?state=dead'), ['msg_dead queue/orders dead']);
      assert.deepEqual(await deliveries('?source=orders'), ['msg_dead queue/orders dead']);
      assert.equal((await deliveries('?function=hello')).length, 3);
      assert.equal((await deliveries('?source=topic')).length, 1);
      const paged: string[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const { body } = await shop.call('GET', `/deliveries?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
        paged.push(...body.items.map((one: Json) => one.id));
        cursor = body.next;
      }
      assert.deepEqual(
        paged,
        items.map((one: Json) => one.id),
      );
      const one = await shop.call('GET', '/deliveries/msg_a?body=true');
      assert.deepEqual([one.body.items.length, one.body.items[0].body], [1, 'body of msg_a']);
    });

    test('a message that waits can be taken back, one that is held cannot', async () => {
      await shop.send('orders', { id: 'msg_back' });
      assert.deepEqual((await shop.call('POST', '/deliveries/msg_back/cancel', { json: {} })).body, { cancelled: 1 });
      assert.equal((await shop.call('POST', '/deliveries/msg_back/cancel', { json: {} })).body.error.code, 'message_not_found');
      await shop.send('orders', { id: 'msg_held' });
      const { body } = await shop.call('POST', '/queues/orders/receive', { json: {} });
      assert.equal((await shop.call('POST', '/deliveries/msg_held/cancel', { json: {} })).body.error.code, 'message_held');
      assert.equal((await shop.call('DELETE', '/queues/orders/messages?id=msg_held')).body.error.code, 'message_held');
      await shop.call('POST', '/queues/orders/settle', { json: { settlements: [{ receipt: body.messages[0].receipt, as: 'done' }] } });
    });

    test('dead letters are listed of all places, with their bodies only if asked for', async () => {
      await die('strict', 'msg_s1');
      assert.deepEqual(await deadLetters(), ['msg_dead dead/queue/orders queue/orders', 'msg_s1 queue/failed queue/strict']);
      assert.deepEqual(await deadLetters('?source=strict'), ['msg_s1 queue/failed queue/strict']);
      const [item] = (await shop.call('GET', '/dead-letters?source=orders&body=true')).body.items;
      assert.deepEqual([item.body, item.attempts, item.lastError, item.redrivable], ['body of msg_dead', 1, 'no msg_dead', true]);
      assert.equal('body' in (await shop.call('GET', '/dead-letters/msg_dead')).body.items[0], false);
    });

    test('one dead letter goes back at once, all of a source in the background, and no more than were dead', async () => {
      const one = await shop.call('POST', '/dead-letters/redrive', { json: { id: 'msg_dead' } });
      assert.deepEqual([one.status, one.body.state, one.body.moved], [200, 'done', 1]);
      const back = (await shop.call('GET', '/queues/orders/messages/msg_dead')).body;
      assert.deepEqual([back.attempt, back.died, back.state], [0, null, 'pending']);
      await die('orders', 'msg_1', 'msg_2', 'msg_3');
      const all = await shop.call('POST', '/dead-letters/redrive', { json: { source: 'orders' } });
      assert.deepEqual([all.status, all.body.state, all.body.total], [202, 'running', 3]);
      const item = await ended(all.body.id);
      assert.deepEqual([item.state, item.moved, item.error], ['done', 3, null]);
      assert.deepEqual(await deadLetters('?source=orders'), []);
      // Of a queue that is named for dead letters, those alone that died in the source.
      await shop.send('failed', { id: 'msg_plain' });
      const strict = await shop.call('POST', '/dead-letters/redrive', { json: { source: 'strict', to: 'orders' } });
      await ended(strict.body.id);
      assert.equal((await shop.call('GET', '/queues/orders/messages/msg_s1')).status, 200);
      assert.equal((await shop.call('GET', '/queues/failed/messages/msg_plain')).status, 200);
    });

    test('a redrive with a rate takes its time, is one at a time, and can be cancelled', async () => {
      await shop.call('DELETE', '/queues/orders/messages');
      await die('orders', ...Array.from({ length: 30 }, (_, index) => `msg_r${index}`));
      const slow = await shop.call('POST', '/dead-letters/redrive', { json: { all: true, rate: 20 } });
      assert.equal(slow.status, 202);
      const second = await shop.call('POST', '/dead-letters/redrive', { json: { source: 'orders' } });
      assert.deepEqual([second.status, second.body.error.code, second.body.error.detail.redrive], [409, 'redrive_running', slow.body.id]);
      await until('some to be moved', async () => (await shop.call('GET', `/redrives/${slow.body.id}`)).body.moved >= 2);
      const cancelled = await shop.call('POST', `/redrives/${slow.body.id}/cancel`, { json: {} });
      assert.equal(cancelled.body.state, 'cancelled');
      const left = (await deadLetters('?source=orders')).length;
      assert.ok(left > 0 && left < 30, String(left));
      assert.equal(left, 30 - cancelled.body.moved);
      assert.deepEqual((await shop.call('GET', '/redrives')).body.items.map((one: Json) => one.state)[0], 'cancelled');
    });

    test('dead letters are dropped by source, by id, or all, and never without a word which', async () => {
      const answer = await shop.call('DELETE', '/dead-letters');
      assert.deepEqual(
        [answer.status, answer.body.error.message],
        [400, "'?source' is missing: give exactly one of source, id and all=true"],
      );
      const [first] = (await shop.call('GET', '/dead-letters?source=orders')).body.items;
      assert.deepEqual((await shop.call('DELETE', `/dead-letters?id=${first.id}`)).body, { purged: 1 });
      assert.equal((await shop.call('DELETE', `/dead-letters?id=${first.id}`)).body.error.code, 'message_not_found');
      await die('strict', 'msg_s2');
      assert.deepEqual((await shop.call('DELETE', '/dead-letters?source=strict')).body, { purged: 1 });
      assert.equal((await shop.call('GET', '/queues/failed/messages/msg_plain')).status, 200);
      assert.ok((await shop.call('DELETE', '/dead-letters?all=true')).body.purged > 0);
      assert.deepEqual(await deadLetters(), []);
    });

    test('what does not exist is refused with what does', async () => {
      const cases: [string, string, Json, number, string, RegExp][] = [
        ['GET', '/deliveries?source=order', undefined, 404, 'source_not_found', /did you mean 'orders'\?/],
        ['GET', '/deliveries?source=topic/price', undefined, 404, 'source_not_found', /it has |did you mean/],
        ['GET', '/deliveries?function=helo', undefined, 404, 'function_not_found', /did you mean 'hello'\?/],
        ['GET', '/deliveries?state=gone', undefined, 400, 'invalid_request', /pending, delayed, held, dead/],
        ['GET', '/deliveries/msg_none', undefined, 404, 'message_not_found', /msg_none/],
        ['GET', '/dead-letters?source=nowhere-at-all', undefined, 404, 'source_not_found', /nothing of project 'shop'/],
        ['GET', '/dead-letters/msg_none', undefined, 404, 'message_not_found', /dead letters of project 'shop'/],
        ['POST', '/dead-letters/redrive', {}, 400, 'invalid_request', /exactly one of source, id and all/],
        ['POST', '/dead-letters/redrive', { all: true, source: 'orders' }, 400, 'invalid_request', /exactly one/],
        ['POST', '/dead-letters/redrive', { id: 'msg_x', rate: 5 }, 400, 'invalid_request', /with an id it is one message/],
        ['POST', '/dead-letters/redrive', { all: true, rate: 0 }, 400, 'invalid_request', /at least 1/],
        ['POST', '/dead-letters/redrive', { all: true, to: 'order' }, 404, 'queue_not_found', /did you mean 'orders'\?/],
        ['POST', '/dead-letters/redrive', { id: 'msg_none' }, 404, 'message_not_found', /msg_none/],
        ['GET', '/redrives/rdr_01k9z3e5g7h2j4k6m8n0p2q4r6', undefined, 404, 'redrive_not_found', /since the last restart/],
        ['POST', '/redrives/nope/cancel', {}, 400, 'invalid_request', /rdr_ and 26 characters/],
      ];
      for (const [method, path, json, status, code, message] of cases) {
        const answer = await shop.call(method, path, json === undefined ? {} : { json });
        assert.deepEqual([answer.status, answer.body.error.code], [status, code], `${method} ${path}: ${JSON.stringify(answer.body)}`);
        assert.match(answer.body.error.message, message);
      }
    });
  });
}
