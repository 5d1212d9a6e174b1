// Functions send to their own project: events, queues, topics and streams, in Node and Python, by the SDK, the context and the module
// `virga`; without a network, and in whatever form the code is.
import assert from 'node:assert/strict';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

const MANIFEST = `
project: shop
queues:
  orders: {}
  lined: {fifo: true}
  full: {maxMessages: 1}
  seen: {}
streams: {clicks: {partitions: 2}}
topics:
  prices: {subscriptions: [{queue: orders, filter: {attributes: {region: [eu]}}}]}
functions:
  node: {source: node.ts, egress: none, http: /node}
  sdk: {source: sdk.ts, egress: none, http: /sdk}
  lambda: {source: lambda.mjs, form: lambda, egress: none, http: /lambda}
  python: {source: main.py, runtime: python3, egress: none, http: /python}
  listens: {source: listens.ts, egress: none, triggers: [{event: {type: [{prefix: order.}], data: {total: [{numeric: [">", 10]}]}}}]}
`;

const FILES = {
  'virga.yaml': MANIFEST,
  'node.ts': `
export default {
  async fetch(request: Request, { publish, queue, topic, stream }: any) {
    try {
      return Response.json(await new Function('publish', 'queue', 'topic', 'stream', 'return (async () => ' + (await request.text()) + ')()')(publish, queue, topic, stream));
    } catch (error: any) {
      return Response.json({ code: error.code ?? error.name, message: error.message });
    }
  },
};`,
  'sdk.ts': `
import { publish, queue, topic } from '@virga/sdk';
export default {
  async fetch() {
    return Response.json([
      await queue('orders').send({ from: 'sdk' }, { attributes: { kind: 'x' } }),
      await topic('prices').publish('a text', { subject: 's', attributes: { region: 'eu' } }),
      await publish([{ type: 'order.placed', data: { total: 11 } }, { type: 'mail.sent' }]),
    ]);
  },
};`,
  'lambda.mjs': `
import { queue } from '@virga/sdk';
export const handler = async () => ({ statusCode: 200, body: JSON.stringify(await queue('orders').send('from lambda')) });`,
  'main.py': `
import json
from virga import VirgaError, publish, queue, topic

def handler(event, context):
    try:
        return {"statusCode": 200, "body": json.dumps(eval(event["body"], {"publish": publish, "queue": queue, "topic": topic, "context": context}))}
    except VirgaError as error:
        return {"statusCode": 200, "body": json.dumps({"code": error.code, "message": str(error)})}
`,
  'listens.ts': `
import { queue } from '@virga/sdk';
export default { event: async (event: object) => void (await queue('seen').send(event)) };`,
};

describe('publishing from functions', () => {
  let virga: Virga;
  let folder: string;
  let shop: ControlClient;
  before(async () => {
    virga = await startVirga();
    folder = await temporaryFolder('virga-publish-');
    await writeFiles(folder, FILES);
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const { code, stderr } = await virga.cli(['deploy', folder, '--json']);
    assert.equal(code, 0, stderr);
    shop = new ControlClient(virga, 'shop');
  });
  after(async () => {
    await virga[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  // oxlint-disable-next-line typescript/no-explicit-any
  const ask = async (path: string, code: string): Promise<any> => {
    const response = await virga.fetch('shop', path, { method: 'POST', body: code });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as unknown;
  };

  for (const [name, path, send, sent] of [
    ['Node', '/node', `queue('orders').send({ n: 1 }, { attributes: { a: 'ü' } })`, '{"n":1}'],
    ['Python', '/python', `queue("orders").send({"n": 1}, attributes={"a": "ü"})`, '{"n": 1}'],
    ['Python, of the context', '/python', `context.queue("orders").send({"n": 1}, attributes={"a": "ü"})`, '{"n": 1}'],
  ] as const) {
    test(`${name}: a message of a queue`, async () => {
      const { result, id } = await ask(path, send);
      assert.equal(result, 'sent');
      const [came] = await shop.take('orders', 1);
      assert.deepEqual([came!.id, came!.body, came!.attributes], [id, sent, { a: 'ü' }]);
    });
  }

  test('by the SDK: to a queue, through the filter of a topic, and as events to whoever listens', async () => {
    const [message, published, events] = await ask('/sdk', '');
    assert.equal(message.result, 'sent');
    assert.equal(published.deliveries, 1);
    assert.deepEqual(
      events.map(({ deliveries }: { deliveries: number }) => deliveries),
      [1, 0],
    );
    const came = await shop.take('orders', 2);
    assert.deepEqual(
      came.map(({ body, attributes }) => [body, attributes]),
      [
        ['{"from":"sdk"}', { kind: 'x' }],
        ['a text', { region: 'eu', subject: 's' }],
      ],
    );
    const [seen] = await shop.take('seen', 1);
    const { time, id, traceparent, ...event } = JSON.parse(seen!.body) as Record<string, unknown>;
    assert.equal(id, events[0].id);
    assert.match(traceparent as string, /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
    assert.ok(Math.abs(Date.parse(time as string) - Date.now()) < 60_000);
    assert.deepEqual(event, { specversion: '1.0', source: '/projects/shop', type: 'order.placed', data: { total: 11 } });
  });

  test("functions of AWS Lambda's form", async () => {
    assert.equal((await ask('/lambda', '')).result, 'sent');
    assert.equal((await shop.take('orders', 1))[0]!.body, 'from lambda');
  });

  test('batches keep their order, and groups of fifo queues theirs', async () => {
    const sent = await ask('/node', `queue('lined').sendBatch([1, 2, 3].map((n) => ({ body: n, group: 'g', deduplicationId: 'd' + n })))`);
    const again = await ask('/python', `queue("lined").send_batch([{"body": 1, "group": "g", "deduplication_id": "d1"}])`);
    assert.deepEqual(again, [{ result: 'duplicate', id: sent[0].id }]);
    assert.deepEqual(
      (await shop.peek('lined')).map(({ id, body, group }) => [id, body, group]),
      sent.map(({ id }: { id: string }, index: number) => [id, String(index + 1), 'g']),
    );
  });

  test('records of one key are in one partition, in order', async () => {
    const first = await ask('/node', `stream('clicks').appendBatch([{ key: 'u-7', data: { n: 1 } }, { key: 'u-7', data: { n: 2 } }])`);
    const next = await ask('/python', `context.stream("clicks").append({"n": 3}, key="u-7")`);
    const { partition } = next;
    assert.deepEqual(
      [...first, next].map((one) => [one.partition, one.position]),
      [1, 2, 3].map((position) => [partition, position]),
    );
    const headers = { authorization: `Bearer ${virga.token}` };
    const listed = await fetch(`${virga.controlUrl}/v1/projects/shop/streams/clicks/records?partition=${partition}`, { headers });
    assert.deepEqual(
      ((await listed.json()) as { items: { id: string; data: string }[] }).items.map(({ id, data }) => [
        id,
        (JSON.parse(data) as { n: number }).n,
      ]),
      [
        [first[0].id, 1],
        [first[1].id, 2],
        [next.id, 3],
      ],
    );
  });

  test('what is wrong is said by the error', async () => {
    for (const [path, code, expected, message] of [
      ['/node', `queue('order').send(1)`, 'queue_not_found', /did you mean 'orders'/],
      ['/python', `queue("order").send(1)`, 'queue_not_found', /did you mean 'orders'/],
      ['/node', `topic('pricez').publish(1)`, 'topic_not_found', /did you mean 'prices'/],
      ['/node', `stream('clicsk').append(1)`, 'stream_not_found', /did you mean 'clicks'/],
      ['/node', `queue('full').sendBatch([{ body: 1 }, { body: 2 }])`, 'queue_full', /./],
      ['/node', `queue('orders').send('x'.repeat(300_000))`, 'request_too_large', /262144.*VIRGA_LIMIT_MESSAGE_BYTES/],
      ['/node', `queue('orders').send('x'.repeat(1_100_000))`, 'request_too_large', /less than 1 MiB/],
      ['/python', `queue("orders").send("x" * 1100000)`, 'request_too_large', /less than 1 MiB/],
      ['/node', `queue('orders').send(undefined)`, 'TypeError', /a text or JSON, not undefined/],
      ['/node', `queue('orders').send(new Uint8Array(3))`, 'TypeError', /base64/],
      ['/node', `queue('orders').send(1, { delay: 3 })`, 'invalid_request', /did you mean 'delayMs'/],
      ['/node', `queue('orders').send(1, { attributes: { a: 1 } })`, 'invalid_request', /attributes are texts alone/],
      ['/node', `queue('orders').send(1, { group: 'g' })`, 'invalid_request', /`fifo: true`/],
      ['/node', `queue('orders').send('a\\0b')`, 'invalid_request', /NUL/],
      ['/node', `publish({ data: 1 })`, 'invalid_request', /'events\.0\.type': is missing/],
      ['/node', `publish({ type: 'x', 'not-ok': 1 })`, 'invalid_request', /lower-case letters and digits/],
      ['/python', `publish([{"type": "x", "time": "yesterday"}])`, 'invalid_request', /RFC 3339/],
    ] as const) {
      const answer = await ask(path, code);
      assert.equal(answer.code, expected, `${code}: ${JSON.stringify(answer)}`);
      assert.match(answer.message, message, code);
    }
    await shop.empty('orders');
    await shop.empty('full');
  });
});
