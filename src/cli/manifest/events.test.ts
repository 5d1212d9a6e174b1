// What virga.yaml says of events: what is accepted, and what each mistake is told as, with its place and what was meant.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { VirgaError } from '../../protocol/errors.ts';
import {
  ASYNC_EXAMPLE,
  EVENTS_EXAMPLE,
  QUEUE_EXAMPLE,
  SCHEDULE_EXAMPLE,
  STREAM_EXAMPLE,
  TOPIC_EXAMPLE,
  TRIGGER_EXAMPLE,
  WORKFLOW_EXAMPLE,
} from './event-reference.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest, ManifestProblems } from './manifest.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'virga-manifest-'));
  mkdirSync(join(folder, 'functions'));
  for (const name of ['ship.ts', 'count.ts', 'onboard.ts']) writeFileSync(join(folder, 'functions', name), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

function parse(text: string): Manifest {
  return parseManifest(text, join(folder, 'virga.yaml'));
}

/** Each problem as `line:column: message`. */
function problems(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    assert.equal((error as VirgaError).code, 'invalid_manifest', String(error));
    return ((error as VirgaError).detail as ManifestProblems).problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, '    ');
/** Line 4 is the first of `sources`. */
const withSources = (sources: string): string => `project: shop\nfunctions:\n  ship: {source: functions/ship.ts}\n${sources}`;
/** Line 8 is the first of `consumer`. */
const withConsumer = (consumer: string): string =>
  `project: shop\nqueues: {orders: {}, failed: {}, reports: {fifo: true}}\ntopics: {prices: {}}\nstreams: {clicks: {}}\nschedules: {nightly: {rate: 1h}}\nfunctions:\n  ship:\n    source: functions/ship.ts\n${indented(consumer)}`;

test('the sections of a manifest become those of a deployment, with what functions do with them beside them', () => {
  const { events } = parse(EVENTS_EXAMPLE);
  assert.deepEqual(Object.keys(events!), ['queues', 'topics', 'streams', 'schedules', 'triggers', 'async', 'workflows']);
  assert.deepEqual(events!.queues!['failed'], { retention: '30d' });
  assert.deepEqual(Object.keys(events!.triggers!), ['ship', 'count']);
  assert.deepEqual(events!.triggers!['ship']![3], { schedule: 'nightly', input: { report: 'sales' } });
  assert.deepEqual(events!.workflows, { onboard: { keep: '30d' } });
  assert.equal(parse('project: shop\nfunctions:\n  ship: {source: functions/ship.ts}\n').events, undefined);
});

test('the examples of the reference are as the schema wants them', () => {
  const declared = 'queues: {orders: {}, failed: {}}\n';
  for (const example of [QUEUE_EXAMPLE, STREAM_EXAMPLE, SCHEDULE_EXAMPLE]) assert.deepEqual(problems(withSources(example)), [], example);
  assert.deepEqual(problems(withSources(`${declared}${TOPIC_EXAMPLE}`)), []);
  for (const example of [TRIGGER_EXAMPLE, WORKFLOW_EXAMPLE]) assert.deepEqual(problems(withConsumer(example)), [], example);
  assert.deepEqual(problems(withConsumer(ASYNC_EXAMPLE.replace('results', 'prices'))), []);
});

test('a queue with a wrong value is refused where it stands, with what is expected', () => {
  const cases: [string, string][] = [
    ['queues: [orders]', '4:9: queues is a list; expected queues by name'],
    ['queues:\n  orders:', '5:3: queues.orders is empty; expected rules such as {visibility: 30s, retry: {attempts: 5}}, or {}'],
    [
      'queues:\n  Orders: {}',
      '5:3: queues: "Orders" is not valid; expected a name: lower-case letters, digits and inner hyphens, at most 40, beginning with a letter',
    ],
    ['queues:\n  orders: {visibilty: 30s}', "5:12: queues.orders has no key 'visibilty'; did you mean 'visibility'?"],
    ['queues:\n  orders: {visibilityTimeout: 30s}', "5:12: queues.orders has no key 'visibilityTimeout'; did you mean 'visibility'?"],
    ['queues:\n  orders: {dlq: failed}', "5:12: queues.orders has no key 'dlq'; did you mean 'deadLetters'?"],
    ['queues:\n  orders: {maxReceiveCount: 3}', "5:12: queues.orders has no key 'maxReceiveCount'; did you mean 'retry'?"],
    [
      'queues:\n  orders: {visibility: 30}',
      '5:24: queues.orders.visibility is 30; expected a duration with its unit from 1s to 12h, such as "30s", "500ms" or "5m"',
    ],
    [
      'queues:\n  orders: {visibility: 13h}',
      '5:24: queues.orders.visibility is "13h"; expected a duration with its unit from 1s to 12h, such as "30s", "500ms" or "5m"',
    ],
    [
      'queues:\n  orders: {delay: 1h, retention: 1h}',
      '5:19: queues.orders.delay is "1h": each message would be too old, after 1h, before it is delivered; make `retention` longer',
    ],
    [
      'queues:\n  orders: {delay: 20d}',
      '5:19: queues.orders.delay is "20d": each message would be too old, after 14d, before it is delivered; make `retention` longer',
    ],
    ['queues:\n  orders: {fifo: "yes"}', '5:18: queues.orders.fifo is "yes"; expected true or false'],
    ['queues:\n  orders: {retry: 3}', '5:19: queues.orders.retry is 3; expected rules such as {attempts: 5, delay: 1s, maxDelay: 5m}'],
    ['queues:\n  orders: {retry: {attempts: 0}}', '5:30: queues.orders.retry.attempts is 0; expected a whole number from 1 to 1000'],
    ['queues:\n  orders: {maxMessages: many}', '5:25: queues.orders.maxMessages is "many"; expected a whole number from 1 to 1000000000'],
    [
      'queues:\n  orders: {maxBytes: 1 TB}',
      '5:22: queues.orders.maxBytes is "1 TB"; expected a size with its unit from 1.0 KiB to 1.0 TiB, such as "64 KiB" or "1 MiB"',
    ],
    [
      'queues:\n  orders: {deadLetters: faild}\n  failed: {}',
      "5:25: queues.orders.deadLetters: there is no queue 'faild'; did you mean 'failed'?",
    ],
    [
      'queues:\n  orders: {deadLetters: orders}',
      "5:25: queues.orders.deadLetters: the dead letters of 'orders' would come back to it (it is the queue itself)",
    ],
    [
      'queues:\n  a: {}\n  b: {deadLetters: c}\n  c: {deadLetters: b}',
      "6:20: queues.b.deadLetters: the dead letters of 'b' would come back to it (b → c → b)",
    ],
    [
      'queues:\n  orders: {record: {redact: [cookie]}}',
      '5:30: queues.orders.record.redact[0] is "cookie"; expected a list such as [header.cookie, query.token, body.card.number]',
    ],
    ['queue:\n  orders: {}', "4:1: there is no key 'queue'; did you mean 'queues'?"],
  ];
  for (const [text, problem] of cases) assert.equal(problems(withSources(`${text}\n`))[0], problem, text);
});

test('topics, streams and schedules are held to the same', () => {
  const cases: [string, string][] = [
    [
      'topics:\n  prices: {subscriptions: {queue: orders}}',
      '5:27: topics.prices.subscriptions is a mapping; expected a list of subscriptions',
    ],
    [
      'queues: {orders: {}}\ntopics:\n  prices: {subscriptions: [{queue: ordrs}]}',
      "6:36: topics.prices.subscriptions[0].queue: there is no queue 'ordrs'; did you mean 'orders'?",
    ],
    [
      'queues: {orders: {}}\ntopics:\n  prices: {subscriptions: [{queue: orders, secret: X}]}',
      '6:52: topics.prices.subscriptions[0].secret is "X": that is for a `url`; the queue has its own rules',
    ],
    [
      'topics:\n  prices: {subscriptions: [{filter: {attributes: {kind: [a]}}}]}',
      '5:28: topics.prices.subscriptions[0] is a mapping: give it one of queue and url; functions subscribe by their own `triggers`',
    ],
    [
      'topics:\n  prices: {subscriptions: [{function: ship}]}',
      '5:28: topics.prices.subscriptions[0] is a mapping: give it one of queue and url; functions subscribe by their own `triggers`',
    ],
    [
      'topics:\n  prices: {subscriptions: [{url: "https://:secret@example.com/"}]}',
      '5:34: topics.prices.subscriptions[0].url is "https://:secret@example.com/"; expected an https:// URL without credentials (http:// for addresses of this machine and private networks, where the node allows them)',
    ],
    [
      'topics:\n  prices: {subscriptions: [{url: "https://a.example/", name: erp}, {url: "https://b.example/", name: erp}]}',
      "5:102: topics.prices.subscriptions[1].name: the topic has a subscription with the name 'erp' already; give this one a `name` of its own",
    ],
    [
      'topics:\n  prices: {subscriptions: [{url: "https://a.example/"}, {url: "https://a.example/"}]}',
      '5:63: topics.prices.subscriptions[1].url: the topic has a subscription with this `url` already; give this one a `name` of its own',
    ],
    ['topics:\n  prices: {subscribers: []}', "5:12: topics.prices has no key 'subscribers'; did you mean 'subscriptions'?"],
    ['streams:\n  clicks: {partitions: 0}', '5:24: streams.clicks.partitions is 0; expected a whole number from 1 to 256'],
    ['streams:\n  clicks: {shards: 4}', "5:12: streams.clicks has no key 'shards'; did you mean 'partitions'?"],
    [
      'schedules:\n  nightly: "0 3 * * *"',
      '5:12: schedules.nightly is "0 3 * * *"; expected a schedule such as {cron: "0 3 * * *", timezone: Europe/Madrid}',
    ],
    [
      'schedules:\n  nightly: {cron: "99 3 * * *"}',
      '5:19: schedules.nightly.cron is "99 3 * * *"; expected a cron expression (Invalid value for minute: 99)',
    ],
    ['schedules:\n  nightly: {}', '5:12: schedules.nightly is a mapping: give it one of cron, rate and at'],
    ['schedules:\n  nightly: {every: 5m}', "5:13: schedules.nightly has no key 'every'; did you mean 'rate'?"],
    [
      'schedules:\n  nightly: {cron: "0 3 * * *", timezone: Madrid}',
      '5:42: schedules.nightly.timezone is "Madrid"; expected a time zone such as Europe/Madrid or UTC',
    ],
    [
      'schedules:\n  nightly: {at: tomorrow}',
      '5:17: schedules.nightly.at is "tomorrow"; expected a time with its offset, such as "2026-12-24T18:00:00+01:00"',
    ],
    ['crons:\n  nightly: {}', "4:1: there is no key 'crons'; did you mean 'schedules'?"],
    [
      'queues: {orders: {}}\ntopics:\n  prices: {subscriptions: [{queue: orders}, {queue: orders, filter: {subject: [a]}}]}',
      "6:53: topics.prices.subscriptions[1].queue: the topic has a subscription of the queue 'orders' already; write both filters as one, with `$or`",
    ],
    [
      'topics:\n  prices: {subscriptions: [{url: "https://a.example", name: hook}, {url: "https://b.example", name: hook}]}',
      "5:101: topics.prices.subscriptions[1].name: the topic has a subscription with the name 'hook' already; give this one a `name` of its own",
    ],
    [
      'topics:\n  prices: {subscriptions: [{url: "https://a.example"}, {url: "https://a.example"}]}',
      '5:62: topics.prices.subscriptions[1].url: the topic has a subscription with this `url` already; give this one a `name` of its own',
    ],
  ];
  for (const [text, problem] of cases)
    assert.ok(problems(withSources(`${text}\n`)).includes(problem), `${text}\n${problems(withSources(text)).join('\n')}`);
});

test('a trigger names one source that is there, and takes what its kind takes', () => {
  const cases: [string, string][] = [
    ['on: [{queue: orders}]', "9:5: functions.ship has no key 'on'; did you mean 'triggers' or 'http'?"],
    ['events: [{queue: orders}]', "9:5: functions.ship has no key 'events'; did you mean 'triggers' or 'http'?"],
    ['trigger: [{queue: orders}]', "9:5: functions.ship has no key 'trigger'; did you mean 'triggers'?"],
    ['schedule: nightly', "9:5: functions.ship has no key 'schedule'; did you mean 'triggers'?"],
    [
      'queue: orders',
      '9:12: functions.ship.queue is "orders"; expected a whole number from 0 to 100000: how many calls may wait; messages of a queue come by `triggers: [{queue: …}]`',
    ],
    ['triggers: {queue: orders}', '9:15: functions.ship.triggers is a mapping; expected a list of triggers'],
    [
      'triggers: [orders]',
      '9:16: functions.ship.triggers[0] is "orders"; expected a trigger such as {queue: orders, batch: 10}, {topic: prices}, {event: {type: [order.placed]}}, {stream: clicks} or {schedule: nightly}',
    ],
    ['triggers: [{}]', '9:16: functions.ship.triggers[0] is a mapping: give it one of queue, topic, event, stream, schedule'],
    [
      'triggers: [{queue: orders, topic: prices}]',
      '9:16: functions.ship.triggers[0] is a mapping: it has queue and topic; give each a trigger of its own',
    ],
    ['triggers: [{queue: ordrs}]', "9:24: functions.ship.triggers[0].queue: there is no queue 'ordrs'; did you mean 'orders'?"],
    ['triggers: [{topic: price}]', "9:24: functions.ship.triggers[0].topic: there is no topic 'price'; did you mean 'prices'?"],
    ['triggers: [{stream: views}]', "9:25: functions.ship.triggers[0].stream: there is no stream 'views'; there are clicks"],
    [
      'triggers: [{stream: clicks, window: {size: 10s, every: 1m}}]',
      '9:60: functions.ship.triggers[0].window.every is "1m": `every` is 1m, longer than `size`, 10s: records in between would be in no window; make it 10s at most',
    ],
    [
      'triggers: [{stream: clicks, window: {size: 10m, every: 1s}}]',
      '9:60: functions.ship.triggers[0].window.every is "1s": 600 windows would be open at a time, and 64 may be; make `every` longer, or `late` shorter',
    ],
    [
      'triggers: [{stream: clicks, maxAge: 1h}]',
      '9:41: functions.ship.triggers[0].maxAge is "1h": a trigger of a stream takes batch, wait, filter, from, window, retry, onFailure, deadLetters',
    ],
    ['triggers: [{schedule: nightl}]', "9:27: functions.ship.triggers[0].schedule: there is no schedule 'nightl'; did you mean 'nightly'?"],
    ['triggers: [{sqs: orders}]', "9:17: functions.ship.triggers[0] has no key 'sqs'; did you mean 'queue'?"],
    ['triggers: [{queues: orders}]', "9:17: functions.ship.triggers[0] has no key 'queues'; did you mean 'queue'?"],
    ['triggers: [{cron: "0 3 * * *"}]', "9:17: functions.ship.triggers[0] has no key 'cron'; did you mean 'schedule'?"],
    [
      'triggers: [{queue: orders, max_batch_size: 5}]',
      "9:32: functions.ship.triggers[0] has no key 'max_batch_size'; did you mean 'batch'?",
    ],
    [
      'triggers: [{topic: prices, dead-letter-queue: x}]',
      "9:32: functions.ship.triggers[0] has no key 'dead-letter-queue'; did you mean 'deadLetters'?",
    ],
    ['triggers: [{queue: orders, batchSize: 5}]', "9:32: functions.ship.triggers[0] has no key 'batchSize'; did you mean 'batch'?"],
    ['triggers: [{queue: orders, batch: 0}]', '9:39: functions.ship.triggers[0].batch is 0; expected a number of messages from 1 to 10000'],
    [
      'triggers: [{queue: orders, retry: {attempts: 3}}]',
      '9:39: functions.ship.triggers[0].retry is a mapping: a trigger of a queue takes batch, wait, concurrency, filter',
    ],
    [
      'triggers: [{topic: prices, batch: 3}]',
      '9:39: functions.ship.triggers[0].batch is 3: a trigger of a topic takes filter, concurrency, retry, maxAge, deadLetters',
    ],
    [
      'triggers: [{event: order.placed}]',
      '9:24: functions.ship.triggers[0].event is "order.placed"; expected a pattern such as {type: [order.placed]}',
    ],
    [
      'triggers: [{event: {detail-type: [order.placed]}}]',
      "9:38: functions.ship.triggers[0].event.detail-type is a list: events have no 'detail-type'; what EventBridge calls so is 'type' here",
    ],
    [
      'triggers: [{event: {$or: [{type: [a]}, {detail: {total: [1]}}]}}]',
      "9:53: functions.ship.triggers[0].event.$or[1].detail is a mapping: events have no 'detail'; what EventBridge calls so is 'data' here",
    ],
    [
      'triggers: [{event: {order: {total: [1]}}}]',
      "9:32: functions.ship.triggers[0].event.order is a mapping: events have no 'order' with something below it: they have attributes such as type, source and subject, and data",
    ],
    [
      'triggers: [{queue: orders}, {queue: orders}]',
      "9:41: functions.ship.triggers[1].queue: the function has a trigger of the queue 'orders' already",
    ],
    ['async: {onFailure: {queue: faild}}', "9:32: functions.ship.async.onFailure.queue: there is no queue 'faild'; did you mean 'failed'?"],
    [
      'async: {onFailure: {queue: failed, topic: prices}}',
      '9:24: functions.ship.async.onFailure is a mapping: give it one of queue, topic and function',
    ],
    [
      'async: {onFailure: {function: ship}}',
      "9:35: functions.ship.async.onFailure.function: each outcome of 'ship' would call it again, without an end (it is the function itself)",
    ],
    ['async: {retries: 3}', "9:13: functions.ship.async has no key 'retries'; did you mean 'retry'?"],
    [
      'workflow: {keep: forever}',
      '9:22: functions.ship.workflow.keep is "forever"; expected a duration with its unit from 1m to 365d, such as "30s", "500ms" or "5m"',
    ],
  ];
  for (const [text, problem] of cases) assert.deepEqual(problems(withConsumer(`${text}\n`)), [problem], text);
});

test('what cannot be a workflow, or is none with what stands beside it, is refused', () => {
  const cases = [
    [
      'workflow: true\nform: lambda',
      "a function of the form 'lambda' cannot be a workflow; write its handler for Virga: handler(input, context)",
    ],
    ['workflow: true\nruntime: bun', "a function of the runtime 'bun' cannot be a workflow; those of nodejs26, nodejs24 and python3 can"],
    ['workflow: true\nasync: {}', 'each call of a workflow is a run, which retries its steps by itself: leave `async` out'],
    [
      'workflow: true\ntriggers: [{stream: clicks}]',
      'batches of a stream start no runs; let a function read the stream, and start runs by `startWorkflow`',
    ],
  ] as const;
  for (const [text, expected] of cases) {
    const found = problems(withConsumer(`${text}\n`));
    assert.equal(found.length, 1, found.join('\n'));
    assert.ok(found[0]!.endsWith(expected), found[0]!);
  }
});

test('a queue has one function, and the second is told who the first is', () => {
  const text = `${withConsumer('triggers: [{queue: orders}]\n')}  count:\n    source: functions/count.ts\n    triggers: [{queue: orders}]\n`;
  assert.deepEqual(problems(text), [
    "12:24: functions.count.triggers[0].queue: the messages of the queue 'orders' go to function 'ship' already; for both, publish to a topic with a queue for each",
  ]);
});

test('many mistakes are told at once, each once, in the order of the file', () => {
  const found = problems(
    withConsumer(
      'triggers:\n  - {queue: ordrs}\n  - {queue: orders, filter: {body: {price: [{numeric: [">"]}]}}}\n  - {topic: prices, batch: 3}\n',
    ),
  );
  assert.deepEqual(
    found.map((one) => one.split(':')[0]),
    ['11', '12'],
  );
});

test('functions that would call each other for ever are told of the round; one that succeeds and one that fails make none', () => {
  const text = (back: string): string =>
    `${withConsumer('async: {onSuccess: {function: count}}\n')}  count:\n    source: functions/count.ts\n    async: {${back}: {function: ship}}\n`;
  assert.deepEqual(problems(text('onFailure')), []);
  assert.deepEqual(problems(text('onSuccess')), [
    "9:35: functions.ship.async.onSuccess.function: each outcome of 'ship' would call it again, without an end (ship → count → ship)",
    "12:35: functions.count.async.onSuccess.function: each outcome of 'count' would call it again, without an end (count → ship → count)",
  ]);
});
