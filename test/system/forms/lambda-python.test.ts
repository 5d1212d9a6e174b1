// examples/lambda-python: AWS Lambda code in Python, deployed as it is and called over HTTP in each of AWS's shapes, and by every
// kind of event; and what goes wrong in such code.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { goldenEvent, invoke } from './lambda-events.ts';

const PROJECT = 'lambda-python';
const FAILING = {
  'virga.yaml': `
project: failing
defaults: { runtime: python3, form: lambda }
functions:
  init: { source: src, handler: init.handler, http: /init }
  missing: { source: src, handler: missing.handler, http: /missing }
  raises: { source: src, handler: calls.raises, http: /raises }
  exits: { source: src, handler: calls.exits, http: /exits }
  hangs: { source: src, handler: calls.hangs, timeout: 1s, http: /hangs }
  wrong: { source: src, handler: calls.wrong, http: /wrong }
`,
  'src/init.py': 'raise RuntimeError("no database here")\n',
  'src/missing.py': 'import boto3\n',
  'src/calls.py': `
import sys, time
def raises(event, context):
    print("about to")
    raise KeyError("no such order")
def exits(event, context):
    sys.exit(3)
def hangs(event, context):
    time.sleep(60)
def wrong(event, context):
    return {"statusCode": 1000}
`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', PROJECT)]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

const order = (lines: object[]): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ lines }),
});

test('an HTTP API: an order is made, found, and has a label', async () => {
  const made = await virga.fetch(PROJECT, '/orders', order([{ item: 'tea', count: 2 }, { item: 'cake' }]));
  assert.equal(made.status, 201);
  const { id, total, currency } = (await made.json()) as { id: string; total: number; currency: string };
  assert.deepEqual([total, currency], [1180, 'EUR']);
  assert.match(id, /^[0-9a-f-]{36}$/);
  // The path as the function sees it is that of the client.
  assert.equal(made.headers.get('location')?.endsWith(`/orders/${id}`), true);
  assert.match(made.headers.getSetCookie()[0]!, new RegExp(`^last-order=${id}; Path=/`));
  const found = (await (await virga.fetch(PROJECT, '/orders?item=tea', { headers: { cookie: `last-order=${id}` } })).json()) as {
    orders: { id: string }[];
    seen: string[];
  };
  assert.deepEqual([found.orders.map((one) => one.id), found.seen], [[id], [`last-order=${id}`]]);
  assert.equal((await virga.fetch(PROJECT, `/orders/${id}`)).status, 200);
  const label = await virga.fetch(PROJECT, `/orders/${id}/label`);
  assert.equal(label.headers.get('content-type'), 'image/x-portable-graymap');
  const picture = Buffer.from(await label.arrayBuffer());
  assert.equal(picture.toString('latin1', 0, 12), 'P5 255 1 255');
  assert.equal(picture.at(-1), 254);
  assert.equal((await virga.fetch(PROJECT, '/orders/none')).status, 404);
  const refused = await virga.fetch(PROJECT, '/orders', order([{ item: 'gold' }]));
  assert.deepEqual([refused.status, await refused.json()], [422, { message: 'not for sale: gold' }]);
});

test('a REST API: everything is said twice', async () => {
  const answer = await virga.fetch(PROJECT, '/v1/a/b?tag=x&tag=y', {
    method: 'PUT',
    body: 'text',
    headers: { 'content-type': 'text/plain' },
  });
  assert.equal(answer.status, 200);
  assert.deepEqual([answer.headers.get('x-version'), answer.headers.getSetCookie()], ['1', ['a=1', 'b=2']]);
  const { host, path, ...seen } = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual(seen, { method: 'PUT', proxy: 'a/b', tags: ['x', 'y'], stage: '$default', body: 'text' });
  assert.ok((path as string).endsWith('/v1/a/b') && host !== '');
});

test('a function URL: the result is the JSON', async () => {
  const answer = await virga.fetch(PROJECT, '/link?name=Ada');
  const { requestId, ...seen } = (await answer.json()) as Record<string, string>;
  assert.deepEqual(seen, { greeting: 'Hello, Ada', routeKey: '$default' });
  assert.match(requestId!, /^[0-9a-f-]{36}$/);
});

test('a queue: what cannot be used comes again, by itself', async () => {
  const message = (id: string, body: string) => ({ id, body, attributes: {}, attempt: 2, sentAt: 1, firstReceivedAt: 1 });
  const batch = {
    specversion: '1.0',
    id: 'evt-1',
    source: '/projects/shop/queues/orders',
    type: 'virga.queue.batch',
    data: {
      queue: 'orders',
      messages: [message('m-1', '{"lines":[{"item":"cup"}]}'), message('m-2', 'no JSON'), message('m-3', '{"lines":[{"item":"gold"}]}')],
    },
  };
  const told = await invoke(virga, [PROJECT, 'worker'], { contentType: 'application/cloudevents+json', body: JSON.stringify(batch) });
  assert.equal(told.error, null);
  assert.deepEqual(told.value, { failed: ['m-2', 'm-3'] });
  assert.deepEqual(
    told.logs.map(({ level, text }) => `${level} ${text.split(':')[0]}`),
    ['info order of 1290 cents, attempt 2', 'error message m-2 cannot be used', 'error message m-3 cannot be used'],
  );
  // In AWS's own shape it is answered in AWS's.
  const own = await invoke(virga, [PROJECT, 'worker'], { Records: [{ eventSource: 'aws:sqs', messageId: 'x', body: 'no JSON' }] });
  assert.deepEqual(own.value, { batchItemFailures: [{ itemIdentifier: 'x' }] });
});

for (const [name, lines] of [
  ['a message of a topic, as SNS gives it', ['topic news: hello']],
  ['an object that was made, as S3 tells it', ["object photos/a b/Happy ü(1)~*!'.jpg: ObjectCreated:Put"]],
  ['an object that is gone', ['object photos/x: ObjectRemoved:Delete']],
  ['a schedule that is due, as EventBridge tells it', ['schedule nightly: due at 2026-03-12T19:00:00Z']],
  ['any other CloudEvent is one of EventBridge', ["com.example.paid from /projects/shop: ['order', 'tags']"]],
  [
    'changes of a table, as a DynamoDB stream gives them',
    ['table orders: INSERT o-1', 'table orders: MODIFY o-1', 'table orders: REMOVE o-1'],
  ],
] as const) {
  test(`${name}: it is audited`, async () => {
    const told = await invoke(virga, [PROJECT, 'audit'], goldenEvent(name));
    assert.equal(told.error, null);
    assert.deepEqual(told.value, lines);
    assert.deepEqual(
      told.logs.map(({ text }) => text),
      lines,
    );
  });
}

test('what goes wrong says what and where', async () => {
  const deployed = await virga.deploy(FAILING);
  assert.equal(deployed.code, 0, deployed.stderr);
  const tried = async (fn: string) => {
    const { status } = await virga.fetch('failing', `/${fn}`);
    const { error, logs } = await invoke(virga, ['failing', fn], {});
    return { status, code: error!.code, message: error!.message, logs: logs.map(({ text }) => text).join('\n') };
  };
  const init = await tried('init');
  assert.deepEqual([init.status, init.code], [502, 'function_load_failed']);
  assert.match(init.message, /RuntimeError: no database here/);
  const missing = await tried('missing');
  assert.match(
    missing.message,
    /'boto3' comes with AWS Lambda's runtime but is not in the function's code: add boto3 to its requirements\.txt/,
  );
  const raises = await tried('raises');
  assert.deepEqual([raises.status, raises.code], [502, 'function_error']);
  assert.match(raises.logs, /^about to\n[\s\S]*KeyError: 'no such order'/);
  assert.match(raises.logs, /calls\.py", line 5, in raises/);
  const exits = await tried('exits');
  assert.deepEqual([exits.status, exits.code], [502, 'function_crashed']);
  assert.match(exits.message, /exited with code 3 during the call/);
  const hangs = await tried('hangs');
  assert.deepEqual([hangs.status, hangs.code], [504, 'function_timeout']);
  const wrong = await virga.fetch('failing', '/wrong');
  assert.equal(wrong.status, 502);
  assert.match(await wrong.text(), /statusCode is 1000; it must be a whole number from 200 to 599/);
});
