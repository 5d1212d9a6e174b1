// Routes that lead to a queue, a topic or the events of the project: behind auth, throttle and validation as any route, answered when the
// message is on disk.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

const MANIFEST = `
project: shop
queues: {orders: {}, lined: {fifo: true}, seen: {}}
topics: {prices: {subscriptions: [{queue: orders, filter: {subject: [tea]}}]}}
functions:
  listens: {source: listens.js, triggers: [{event: {type: [order.placed, own.type]}}]}
gateway:
  routes:
    - {path: "/orders/{shop}", methods: [POST], queue: orders}
    - {path: /lined, methods: [POST], queue: {name: lined, group: "header:x-customer"}}
    - {path: /prices, methods: [POST], topic: {name: prices, subject: "query:subject"}}
    - {path: /placed, methods: [POST], event: {type: order.placed}}
    - {path: /events, methods: [POST], event: true}
    - path: /checked
      methods: [POST]
      queue: orders
      auth: {keys: {}}
      throttle: {rate: 3/d, burst: 3}
      validate: {body: {contentTypes: [application/json], schema: {type: object, required: [sku], properties: {sku: {type: string}}}}}
`;

describe('routes that publish', () => {
  let virga: Virga;
  let shop: ControlClient;
  before(async () => {
    virga = await startVirga();
    const { code, stderr } = await virga.deploy({
      'virga.yaml': MANIFEST,
      'listens.js': 'export default { event: async (event, { queue }) => void (await queue("seen").send(event)) };',
    });
    assert.equal(code, 0, stderr);
    shop = new ControlClient(virga, 'shop');
  });
  after(() => virga[Symbol.asyncDispose]());

  const post = async (
    path: string,
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = {},
    // oxlint-disable-next-line typescript/no-explicit-any
  ): Promise<{ status: number; body: any }> => {
    const response = await virga.fetch('shop', path, { method: 'POST', body, headers });
    return { status: response.status, body: await response.json() };
  };

  test('to a queue, with what the gateway knows of the request', async () => {
    const { status, body } = await post('/orders/7?token=secret', '{"sku":"tea"}', { 'content-type': 'application/json' });
    assert.equal(status, 202, JSON.stringify(body));
    const [came] = await shop.take('orders', 1);
    assert.equal(came!.id, body.messages[0].id);
    assert.deepEqual(
      [came!.body, came!.attributes],
      [
        '{"sku":"tea"}',
        { 'content-type': 'application/json', route: '/orders/{shop}', method: 'POST', path: '/orders/7', 'param.shop': '7' },
      ],
    );
  });

  test('a CloudEvent becomes a message, an Idempotency-Key makes it one, a header its group', async () => {
    const { headers, body } = HTTP.binary(new CloudEvent({ id: 'e-1', source: '/x', type: 'y', data: { a: 1 } }));
    const send = () =>
      post('/lined', body as string, { ...(headers as Record<string, string>), 'x-customer': 'c-7', 'idempotency-key': 'k-1' });
    assert.equal((await send()).body.messages[0].result, 'sent');
    assert.deepEqual((await send()).body.messages, [{ result: 'duplicate', id: 'e-1' }]);
    const [came, ...more] = await shop.peek('lined');
    assert.deepEqual([came!.id, came!.body, came!.group, came!.attributes['ce-type'], more], ['e-1', '{"a":1}', 'c-7', 'y', []]);
  });

  test('to a topic, through its filters', async () => {
    assert.equal((await post('/prices?subject=tea', '4.2')).body.published[0].deliveries, 1);
    assert.equal((await post('/prices', '4.2')).body.published[0].deliveries, 0);
    assert.equal((await shop.take('orders', 1))[0]!.attributes['subject'], 'tea');
  });

  test('as events: of the type that the route says, or as the client says', async () => {
    assert.equal((await post('/placed', '{"total":1}', { 'content-type': 'application/json' })).status, 202);
    const own = HTTP.structured(new CloudEvent({ id: 'e-2', source: '/x', type: 'own.type' }));
    assert.deepEqual((await post('/events', own.body as string, own.headers as Record<string, string>)).body.published, [
      { id: 'e-2', deliveries: 1 },
    ]);
    const seen = (await shop.take('seen', 2)).map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    const placed = seen.find(({ type }) => type === 'order.placed')!;
    assert.deepEqual([placed['data'], placed['source'], placed['subject']], [{ total: 1 }, '/projects/shop', '/placed']);
    assert.equal(seen.find(({ type }) => type === 'own.type')!['source'], '/x');
  });

  test('what stands before the target stands before it', async () => {
    assert.equal((await post('/checked', '{"sku":"tea"}')).status, 401);
    const made = await virga.cli(['keys', 'create', '--project', 'shop', '--json']);
    const headers = { 'x-api-key': made.json<{ key: string; id: string }>().key, 'content-type': 'application/json' };
    const invalid = await post('/checked', '{"sku":7}', headers);
    assert.equal(invalid.status, 400, JSON.stringify(invalid.body));
    assert.equal((await post('/checked', '{"sku":"tea"}', headers)).status, 202);
    const [came] = await shop.take('orders', 1);
    assert.match(came!.attributes['principal']!, /^vk_/);
    assert.equal((await post('/checked', '{"sku":"tea"}', headers)).status, 202);
    assert.equal((await post('/checked', '{"sku":"tea"}', headers)).status, 429);
    await shop.take('orders', 1);
  });

  test('what cannot be stored is refused', async () => {
    for (const [path, body, headers, status, message] of [
      ['/events', '{"type":"virga.deployment.created"}', { 'content-type': 'application/json' }, 400, /only Virga's own events/],
      ['/events', 'x', { 'content-type': 'text/plain' }, 415, /no event/],
      ['/placed', '{', { 'content-type': 'application/json' }, 400, /not valid JSON/],
      ['/orders/7', Buffer.from([0xff]), {}, 400, /not valid UTF-8/],
      ['/orders/7', 'x'.repeat(262_145), {}, 413, /262144/],
      ['/orders/7', 'x'.repeat(400_000), {}, 413, /./],
    ] as const) {
      const answer = await post(path, body, headers);
      assert.equal(answer.status, status, `${path}: ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.error.message, message);
    }
    assert.equal((await virga.fetch('shop', '/placed')).status, 405);
    await shop.empty('orders');
  });

  test('names that lead nowhere are refused at deploy', async () => {
    const { code, stderr } = await virga.deploy({
      'virga.yaml': MANIFEST.replace('methods: [POST], queue: orders}', 'methods: [POST], queue: order}'),
      'listens.js': 'export const handler = () => 1;',
    });
    assert.equal(code, 1);
    assert.match(stderr, /names a queue that is not in the request; did you mean 'orders'/);
  });
});
