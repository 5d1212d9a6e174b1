// What is published by HTTP: the fan-out of a topic to queues and functions of both languages by their filters, events in all modes of
// CloudEvents, what is refused, and that what was answered is there after a kill.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

const FILES = {
  'virga.yaml': `
project: shop
queues: {eu: {}, dear: {}, all: {}, seen: {}, events: {}}
topics:
  prices:
    subscriptions:
      - {queue: eu, filter: {attributes: {region: [{prefix: eu}]}}}
      - {queue: dear, filter: {body: {price: [{numeric: [">", 100]}]}, subject: [{exists: false}, {anything-but: test}]}}
      - {queue: all}
functions:
  node: {source: node.js, triggers: [{topic: prices, filter: {$or: [{body: {sku: [tea]}}, {attributes: {loud: [{exists: true}]}}]}}]}
  python: {source: main.py, runtime: python3, triggers: [{topic: prices, filter: {body: {sku: [{suffix: coffee}]}}}]}
  orders: {source: events.js, triggers: [{event: {type: [{prefix: order.}], source: [{wildcard: "/shop/*/orders"}]}}]}
  vip: {source: events.js, triggers: [{event: {tenant: [{equals-ignore-case: VIP}]}}, {event: {data: {vip: [true]}}}]}
`,
  'node.js': 'export default { event: async (event, { queue }) => void (await queue("seen").send({ by: "node", data: event.data })) };',
  'main.py': `
from virga import queue
def handler(event, context):
    queue("seen").send({"by": "python", "data": event["data"]})
`,
  'events.js':
    'export default { event: async (event, context) => void (await context.queue("events").send({ by: context.function, event })) };',
};

interface Answer {
  published: { id: string; deliveries: number }[];
  error?: { code: string; message: string };
}

describe('topics and events', () => {
  let virga: Virga;
  let shop: ControlClient;
  before(async () => {
    virga = await startVirga();
    const { code, stderr } = await virga.deploy(FILES);
    assert.equal(code, 0, stderr);
    shop = new ControlClient(virga, 'shop');
  });
  after(() => virga[Symbol.asyncDispose]());

  test('each subscriber gets what its filter lets through', async () => {
    const messages = [
      { body: { sku: 'tea', price: 4 }, attributes: { region: 'eu-1' } },
      { body: { sku: 'gold', price: 900 }, attributes: { region: 'us' } },
      { body: { sku: 'gold', price: 901 }, subject: 'test' },
      { body: { sku: 'black coffee', price: 2 }, subject: 'x', attributes: { region: 'eu' } },
      { body: 'no JSON', attributes: { loud: '' } },
    ];
    const { status, body } = await shop.post<Answer>('/topics/prices/messages', { messages });
    assert.equal(status, 202, JSON.stringify(body));
    assert.deepEqual(
      body.published.map(({ deliveries }) => deliveries),
      [3, 2, 1, 3, 2],
    );
    const ids = body.published.map(({ id }) => id);
    const idsIn = async (queue: string, count: number) => (await shop.take(queue, count)).map(({ id }) => ids.indexOf(id));
    assert.deepEqual(await idsIn('eu', 2), [0, 3]);
    assert.deepEqual(await idsIn('all', 5), [0, 1, 2, 3, 4]);
    assert.deepEqual(await idsIn('dear', 1), [1]);
    const seen = (await shop.take('seen', 3)).map(
      ({ body: text }) => JSON.parse(text) as { by: string; data: { id: string; body: string } },
    );
    const byPlace = seen.map(({ by, data }) => [by, ids.indexOf(data.id), data.body] as const).toSorted(([, a], [, b]) => a - b);
    assert.deepEqual(byPlace, [
      ['node', 0, '{"sku":"tea","price":4}'],
      ['python', 3, '{"sku":"black coffee","price":2}'],
      ['node', 4, 'no JSON'],
    ]);
  });

  test('events come in each mode of CloudEvents, with what their senders said', async () => {
    const event = new CloudEvent({
      id: 'o-1',
      source: '/shop/eu/orders',
      type: 'order.placed',
      time: '2026-01-02T03:04:05.678Z',
      data: { total: 12 },
    });
    const whole = HTTP.structured(event);
    const parts = HTTP.binary(event);
    const batch = [event, { ...event.toJSON(), id: 'o-2', source: '/elsewhere' }];
    for (const [headers, body, deliveries] of [
      [whole.headers, whole.body, [1]],
      [parts.headers, parts.body, [1]],
      [{ 'content-type': 'application/cloudevents-batch+json' }, JSON.stringify(batch), [1, 0]],
    ] as const) {
      const answer = await shop.post<Answer>('/events', body, headers as Record<string, string>);
      assert.equal(answer.status, 202, JSON.stringify(answer.body));
      assert.deepEqual(
        answer.body.published.map((one) => one.deliveries),
        deliveries,
      );
    }
    for (const { body } of await shop.take('events', 3)) {
      const { by, event: came } = JSON.parse(body) as { by: string; event: Record<string, unknown> };
      delete came['datacontenttype'];
      assert.deepEqual(
        [by, came],
        [
          'orders',
          {
            specversion: '1.0',
            id: 'o-1',
            source: '/shop/eu/orders',
            type: 'order.placed',
            time: '2026-01-02T03:04:05.678Z',
            data: { total: 12 },
          },
        ],
      );
    }
  });

  test('a function with two patterns gets an event that fits both for each of them', async () => {
    const { body } = await shop.post<Answer>('/events', { type: 'x', tenant: 'vip', data: { vip: true } });
    assert.equal(body.published[0]!.deliveries, 2);
    await shop.take('events', 2);
  });

  test('a CloudEvent for a topic: its data is the body, its attributes are ce- attributes', async () => {
    const headers = {
      'content-type': 'application/json',
      'ce-id': 'p-7',
      'ce-source': '/erp',
      'ce-specversion': '1.0',
      'ce-type': 'price.changed',
    };
    const { body } = await shop.post<Answer>('/topics/prices/messages', { sku: 'cup' }, headers);
    assert.deepEqual(body.published, [{ id: 'p-7', deliveries: 1 }]);
    const [message] = await shop.take('all', 1);
    assert.deepEqual(
      [message!.id, message!.body, message!.attributes],
      [
        'p-7',
        '{"sku":"cup"}',
        { 'ce-specversion': '1.0', 'ce-id': 'p-7', 'ce-source': '/erp', 'ce-type': 'price.changed', 'content-type': 'application/json' },
      ],
    );
  });

  test('what is wrong is refused as a whole, and says what to do', async () => {
    for (const [path, body, headers, status, message] of [
      ['/topics/price/messages', { body: 1 }, {}, 404, /did you mean 'prices'/],
      ['/queues/none/messages', { body: 1 }, {}, 404, /it has eu, all, dear, seen, events/],
      ['/streams/clicks/records', { data: 1 }, {}, 404, /it has no streams/],
      ['/topics/prices/messages', { messages: [{ body: 1 }, { bod: 1 }] }, {}, 400, /'messages\.1\.bod'.*did you mean 'body'/],
      ['/topics/prices/messages', { messages: [] }, {}, 400, /at least one/],
      ['/topics/prices/messages', { messages: Array.from({ length: 1_001 }, () => ({ body: 1 })) }, {}, 413, /at most 1000/],
      ['/topics/prices/messages', { body: 'x'.repeat(262_145) }, {}, 413, /262145 bytes; at most 262144.*VIRGA_LIMIT_MESSAGE_BYTES/],
      ['/topics/prices/messages', '{', {}, 400, /not valid JSON/],
      ['/topics/prices/messages', '{"body":{"__proto__":1}}', {}, 400, /not allowed as a key/],
      ['/topics/prices/messages', 'x', { 'content-type': 'text/plain' }, 415, /application\/json, or that of a CloudEvent/],
      ['/queues/all/messages', { body: 1, group: 'g' }, {}, 400, /`fifo: true`/],
      ['/queues/all/messages', { body: 1, delayMs: 3e9 }, {}, 400, /'delayMs'/],
      [
        '/events',
        { specversion: '1.0', id: '1', type: 't' },
        { 'content-type': 'application/cloudevents+json' },
        400,
        /'source': is missing/,
      ],
      ['/events', 'x', { 'content-type': 'text/plain' }, 415, /this is no event/],
      ['/events?x=1', { type: 'x' }, {}, 400, /'\?x' is not known/],
      ['/events', { type: 'x' }, { authorization: 'Bearer x' }, 401, /./],
    ] as const) {
      const answer = await shop.post<Answer>(path, body, headers);
      assert.equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.error!.message, message, path);
    }
    for (const queue of ['eu', 'dear', 'all', 'seen', 'events']) await shop.empty(queue);
  });

  test('filters that could never fit, and names that lead nowhere, are refused at deploy with their place', async () => {
    const { code, stderr } = await virga.deploy({
      ...FILES,
      'virga.yaml': `
project: shop
topics: {prices: {subscriptions: [{queue: eu, filter: {region: [eu]}}, {url: "https://example.com/", filter: {body: {a: [{prefx: x}]}}}]}}
functions:
  node: {source: node.js, triggers: [{topic: price}, {event: {type: order}}]}
`,
    });
    assert.equal(code, 1);
    assert.match(stderr, /virga\.yaml:3:.*subscriptions\[0\]\.filter\.region.*has no 'region'; there are attributes, body, subject/);
    assert.match(stderr, /virga\.yaml:3:.*subscriptions\[1\]\.filter\.body\.a\[0\]\.prefx.*did you mean 'prefix'/);
    assert.match(stderr, /virga\.yaml:5:.*triggers\[1\]\.event\.type.*expected a list of what may stand there/);
  });

  test('what was answered is there after a kill of the role that answered, and of the database', async () => {
    const sent: string[] = [];
    for (let round = 0; round < 20; round++) {
      const { body } = await shop.post<Answer>('/topics/prices/messages', { body: round });
      sent.push(body.published[0]!.id);
    }
    for (const role of ['control', 'postgres']) for (const pid of virga.pids()[role] ?? []) process.kill(pid, 'SIGKILL');
    // Both are started again, which takes a loaded machine some seconds.
    const until = Date.now() + 25_000;
    let came: { id: string }[] = [];
    while (came.length < 20 && Date.now() < until) {
      came = await shop.peek('all').catch(() => []);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.deepEqual(
      came.map(({ id }) => id),
      sent,
    );
  });
});
