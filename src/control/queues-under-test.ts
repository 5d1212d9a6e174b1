// Cases of control.integration.test.ts. Queues and topics as operators see them: what is in them, who takes it, pulling and settling.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { topologyOf } from '../events/topology.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { request, until } from './fixture.ts';
import type { Json, StartControl, TestControl } from './fixture.ts';

const EVENTS: EventsSection = {
  queues: {
    orders: { visibility: '5s', retry: { attempts: 2 } },
    taken: {},
    lines: { fifo: true },
    failed: {},
    strict: { deadLetters: 'failed' },
  },
  topics: {
    prices: {
      subscriptions: [
        { queue: 'failed', filter: { attributes: { kind: ['x'] } } },
        { url: 'https://example.com/hook', name: 'hook', secret: 'HOOK' },
      ],
    },
  },
  triggers: { hello: [{ queue: 'taken' }, { topic: 'prices' }] },
};

export interface WithQueues {
  control: TestControl;
  call: TestControl['call'];
  send(queue: string, ...messages: { id: string; body?: string; delayMs?: number; group?: string }[]): Promise<void>;
}

export async function withQueues(start: StartControl, events: EventsSection = EVENTS): Promise<WithQueues> {
  const control = await start();
  await control.call('PUT', '/v1/projects/shop/secrets/HOOK', { json: { value: 'long-enough-for-a-secret' } });
  const artifact = await control.upload('export const handler = () => 1');
  const { status, body } = await control.call('POST', '/v1/projects/shop/deployments', { json: { ...request(artifact), events } });
  assert.equal(status, 201, JSON.stringify(body));
  const topology = topologyOf('shop', events, ['hello']);
  return {
    control,
    call: (method, path, options) => control.call(method, `/v1/projects/shop${path}`, options),
    async send(queue, ...messages) {
      const { spec } = topology.queues.get(queue)!;
      await control.needs.bus.send([
        { queue: spec, messages: messages.map((one) => ({ body: `body of ${one.id}`, attributes: {}, ...one })) },
      ]);
    },
  };
}

export function queueCases(start: StartControl): void {
  describe('queues', () => {
    let shop: WithQueues;
    before(async () => {
      shop = await withQueues(start);
    });
    after(async () => {
      await shop.control[Symbol.asyncDispose]();
    });
    const queue = async (name: string): Promise<Json> => (await shop.call('GET', `/queues/${name}`)).body;
    const receive = async (name: string, json: Json = {}): Promise<Json[]> => {
      const { status, body } = await shop.call('POST', `/queues/${name}/receive`, { json });
      assert.equal(status, 200, JSON.stringify(body));
      return body.messages;
    };

    test('the queues of a project are listed by name, with what is in them and who takes it', async () => {
      await shop.send('taken', { id: 'msg_t1' }, { id: 'msg_t2', delayMs: 60_000 });
      const { status, body } = await shop.call('GET', '/queues');
      assert.equal(status, 200);
      assert.deepEqual(
        body.items.map((one: Json) => one.name),
        ['failed', 'lines', 'orders', 'strict', 'taken'],
      );
      const taken = body.items.at(-1);
      assert.deepEqual(
        [taken.state, taken.fifo, taken.function, taken.pending, taken.delayed, taken.held, taken.totals.sent, taken.deadLetters],
        ['active', false, 'hello', 1, 1, 0, 2, 0],
      );
      assert.equal(Date.parse(taken.oldestAt) <= Date.now(), true);
      assert.deepEqual([body.items[3].deadLetters, body.items[3].deadLettersTo], [null, 'failed']);
      const first = await shop.call('GET', '/queues?limit=2');
      const second = await shop.call('GET', `/queues?limit=2&cursor=${first.body.next}`);
      assert.deepEqual(
        [...first.body.items, ...second.body.items].map((one: Json) => one.name),
        ['failed', 'lines', 'orders', 'strict'],
      );
    });

    test('peeking shows messages in order without receiving them, long bodies cut; one message comes whole', async () => {
      await shop.send('failed', { id: 'msg_p1' }, { id: 'msg_p2', body: 'x'.repeat(5_000) }, { id: 'msg_p3', delayMs: 60_000 });
      const { body } = await shop.call('GET', '/queues/failed/messages');
      assert.deepEqual(
        body.items.map((one: Json) => [one.id, one.state, one.attempt, one.body.length, one.bodyCut ?? false, one.bytes]),
        [
          ['msg_p1', 'pending', 0, 14, false, 14],
          ['msg_p2', 'pending', 0, 1_024, true, 5_000],
          ['msg_p3', 'delayed', 0, 14, false, 14],
        ],
      );
      const one = await shop.call('GET', '/queues/failed/messages/msg_p2');
      assert.equal(one.body.body.length, 5_000);
      const bare = await shop.call('GET', '/queues/failed/messages?body=false&limit=1');
      assert.equal('body' in bare.body.items[0], false);
      const next = await shop.call('GET', `/queues/failed/messages?limit=1&cursor=${bare.body.next}`);
      assert.equal(next.body.items[0].id, 'msg_p2');
      assert.equal((await queue('failed')).totals.retried, 0);
    });

    test('what is received is held until it is settled: done, again, dead', async () => {
      await shop.send('orders', { id: 'msg_1' }, { id: 'msg_2' }, { id: 'msg_3' });
      const messages = await receive('orders', { max: 10, visibility: '1h' });
      assert.deepEqual(
        messages.map(({ id, attempt, body }) => [id, attempt, body]),
        [
          ['msg_1', 1, 'body of msg_1'],
          ['msg_2', 1, 'body of msg_2'],
          ['msg_3', 1, 'body of msg_3'],
        ],
      );
      assert.ok(Date.parse(messages[0].heldUntil) > Date.now() + 3_500_000);
      assert.deepEqual(await receive('orders'), []);
      const settle = (settlements: Json[]) => shop.call('POST', '/queues/orders/settle', { json: { settlements } });
      const [one, two, three] = messages.map(({ receipt }) => receipt);
      const { body } = await settle([
        { receipt: one, as: 'done' },
        { receipt: two, as: 'retry', delay: '0s', error: 'not yet' },
        { receipt: three, as: 'dead', error: 'no such article' },
        { receipt: 'nothing', as: 'done' },
      ]);
      assert.deepEqual(
        body.results.map((result: Json) => result.settled),
        [true, true, true, false],
      );
      const again = await receive('orders', { max: 10 });
      assert.deepEqual(
        again.map(({ id, attempt }) => [id, attempt]),
        [['msg_2', 2]],
      );
      assert.equal((await settle([{ receipt: one, as: 'done' }])).body.results[0].settled, false);
      assert.equal((await settle([{ receipt: again[0].receipt, as: 'extend', visibility: '10m' }])).body.results[0].settled, true);
      assert.equal((await settle([{ receipt: again[0].receipt, as: 'done' }])).body.results[0].settled, true);
      const { totals, deadLetters } = await queue('orders');
      assert.deepEqual([totals, deadLetters], [{ sent: 3, done: 2, retried: 1, dead: 1 }, 1]);
    });

    test('who waits gets a message when it is sent, and none at the end of the wait', async () => {
      const waiting = receive('orders', { waitMs: 20_000 });
      await shop.send('orders', { id: 'msg_w' });
      const [message] = await waiting;
      assert.equal(message.id, 'msg_w');
      assert.deepEqual(await receive('orders', { waitMs: 30 }), []);
      const due = receive('orders', { waitMs: 20_000 });
      await shop.call('POST', '/queues/orders/settle', {
        json: { settlements: [{ receipt: message.receipt, as: 'retry', delay: '60ms' }] },
      });
      assert.deepEqual(
        (await due).map(({ id, attempt }) => [id, attempt]),
        [['msg_w', 2]],
      );
    });

    test('as many wait as may, and the next is told', async () => {
      const waiting = Array.from({ length: 4 }, () => receive('lines', { waitMs: 20_000 }));
      await until('four to wait', () => Promise.resolve(shop.control.needs.receivers.size === 4));
      const { status, body } = await shop.call('POST', '/queues/lines/receive', { json: { waitMs: 1_000 } });
      assert.deepEqual([status, body.error.code], [503, 'unavailable']);
      assert.match(body.error.message, /4 receivers wait already.*VIRGA_LIMIT_RECEIVERS/);
      for (const group of ['a', 'b', 'c', 'd']) await shop.send('lines', { id: `msg_${group}`, group });
      const groups = (await Promise.all(waiting)).flat().map(({ group }) => String(group));
      assert.deepEqual(new Set(groups), new Set(['a', 'b', 'c', 'd']));
    });

    test('nobody receives what goes to a function, and names lead to what was meant', async () => {
      const cases: [string, string, Json, number, string, RegExp][] = [
        ['POST', '/queues/taken/receive', {}, 409, 'queue_has_function', /go to function 'hello'.*peek taken/],
        ['POST', '/queues/order/receive', {}, 404, 'queue_not_found', /no queue 'order'; did you mean 'orders'\?/],
        ['GET', '/queues/zebra', undefined, 404, 'queue_not_found', /it has failed, lines, orders, strict, taken/],
        ['GET', '/topics/price', undefined, 404, 'topic_not_found', /did you mean 'prices'\?/],
        ['GET', '/queues/orders/messages/msg_none', undefined, 404, 'message_not_found', /no message msg_none in the queue 'orders'/],
        ['GET', '/queues/orders/messages?limit=101', undefined, 400, 'invalid_request', /from 1 to 100/],
        ['GET', '/queues/orders/messages?cursor=abc', undefined, 400, 'invalid_request', /not a cursor of this list/],
        ['GET', '/queues/Orders', undefined, 400, 'invalid_request', /must be a name/],
        ['POST', '/queues/orders/receive', { max: 0 }, 400, 'invalid_request', /at least 1/],
        ['POST', '/queues/orders/receive', { waitMs: 20_001 }, 400, 'invalid_request', /at most 20000/],
        ['POST', '/queues/orders/receive', { visibility: '30' }, 400, 'invalid_request', /a duration with its unit/],
        ['POST', '/queues/orders/receive', { vis: '30s' }, 400, 'invalid_request', /'vis' is not known/],
        ['POST', '/queues/orders/settle', { settlements: [] }, 400, 'invalid_request', /at least 1 items/],
        ['POST', '/queues/orders/settle', { settlements: [{ receipt: 'a', as: 'gone' }] }, 400, 'invalid_request', /settlements.0.as/],
        ['POST', '/queues/orders/settle', { settlements: [{ receipt: 'a', as: 'extend' }] }, 400, 'invalid_request', /visibility/],
        ['DELETE', '/queues/orders/messages?id=', undefined, 400, 'invalid_request', /must be the id of a message/],
      ];
      for (const [method, path, json, status, code, message] of cases) {
        const answer = await shop.call(method, path, json === undefined ? {} : { json });
        assert.deepEqual([answer.status, answer.body.error.code], [status, code], `${method} ${path}: ${JSON.stringify(answer.body)}`);
        assert.match(answer.body.error.message, message);
      }
      assert.equal((await shop.control.call('GET', '/v1/projects/nope/queues')).body.error.code, 'project_not_found');
    });

    test('topics show who is subscribed, with the filter and what waits for each', async () => {
      const { body } = await shop.call('GET', '/topics/prices');
      assert.deepEqual(
        body.subscriptions.map(({ function: fn, queue: to, webhook, state, filter }: Json) => ({ fn, to, webhook, state, filter })),
        [
          { fn: null, to: 'failed', webhook: null, state: 'active', filter: { attributes: { kind: ['x'] } } },
          { fn: null, to: null, webhook: { name: 'hook', url: 'https://example.com/hook' }, state: 'active', filter: null },
          { fn: 'hello', to: null, webhook: null, state: 'active', filter: null },
        ],
      );
      assert.deepEqual((await shop.call('GET', '/topics')).body.items, [body]);
    });
  });
}
