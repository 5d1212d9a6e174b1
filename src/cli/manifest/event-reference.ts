// The part of docs/reference/manifest.md that is about events: queues, topics, streams, schedules, triggers, asynchronous invocations and
// workflows, each with an example and its keys. A test holds each example to the schema. Used by reference.ts.
import { keys, objectOf } from './reference-tables.ts';
import type { Schema } from './reference-tables.ts';

export const EVENTS_EXAMPLE = `project: shop
queues:
  orders: {visibility: 1m, retry: {attempts: 5, delay: 2s}, deadLetters: failed}
  failed: {retention: 30d}
topics:
  prices:
    subscriptions:
      - {queue: orders, filter: {attributes: {kind: [book]}}}
      - {url: https://example.com/hooks/prices, secret: HOOK_SECRET}
streams:
  clicks: {partitions: 8, retention: 3d}
schedules:
  nightly: {cron: "0 3 * * *", timezone: Europe/Madrid}
functions:
  ship:
    source: functions/ship.ts
    triggers:
      - {queue: orders, batch: 10, wait: 200ms}
      - {topic: prices, filter: {attributes: {kind: [book, record]}}}
      - event: {type: [order.placed], data: {total: [{numeric: [">", 100]}]}}
      - {schedule: nightly, input: {report: sales}}
  count:
    source: functions/count.ts
    triggers:
      - {stream: clicks, batch: 500, window: {size: 1m, every: 10s, late: 5s}}
    async: {retry: {attempts: 3}, onFailure: {queue: failed}}
  onboard:
    source: functions/onboard.ts
    workflow: {keep: 30d}
`;

export const QUEUE_EXAMPLE = `queues:
  orders: {visibility: 1m, retry: {attempts: 5, delay: 2s, maxDelay: 1m}, deadLetters: failed}
  failed: {retention: 30d}
  payments: {fifo: true, deduplication: 10m}
`;

export const TOPIC_EXAMPLE = `topics:
  prices:
    subscriptions:
      - {queue: orders, filter: {attributes: {kind: [book]}}}
      - url: https://example.com/hooks/prices
        secret: HOOK_SECRET
        retry: {attempts: 8, delay: 1s}
`;

export const STREAM_EXAMPLE = `streams:
  clicks: {partitions: 8, retention: 3d, maxBytes: 5 GiB}
`;

export const SCHEDULE_EXAMPLE = `schedules:
  nightly: {cron: "0 3 * * *", timezone: Europe/Madrid, jitter: 5m}
  often: {rate: 90s}
  launch: {at: "2027-01-01T00:00:00+01:00"}
`;

export const TRIGGER_EXAMPLE = `triggers:
  - {queue: orders, batch: 10, wait: 200ms, concurrency: 4}
  - {topic: prices, filter: {attributes: {kind: [book]}}}
  - event: {type: [{prefix: order.}]}
  - {stream: clicks, batch: 500, from: oldest}
  - {schedule: nightly, input: {report: sales}}
`;

export const ASYNC_EXAMPLE = `async:
  retry: {attempts: 3, delay: 10s}
  maxAge: 2h
  onSuccess: {topic: results}
  onFailure: {queue: failed}
`;

export const WORKFLOW_EXAMPLE = `workflow: {retry: {attempts: 10}, keep: 30d, maxRuns: 1000}
`;

export function eventSections(root: Schema, fn: Schema): string[] {
  const named = (key: string): Schema => root.properties![key]!.additionalProperties as Schema;
  const [queue, topic] = [named('queues'), named('topics')];
  const trigger = fn.properties!['triggers']!.items!;
  const [rules, workflow] = [fn.properties!['async']!, objectOf(fn.properties!['workflow']!)!];
  return [
    '## Events\n',
    'What functions are called for beside requests: messages of queues, what is published to topics and to the project, records of streams, times of schedules. Sources are declared beside the functions, and a function says in its `triggers` which it takes; names that lead nowhere are refused. [events.md](events.md) has what a function gets of each.\n',
    block(EVENTS_EXAMPLE),
    '## A queue\n',
    'A message waits in a queue for one function, or, if no function has a trigger of it, for whoever receives it over the API. It is there until it is done, dead or too old; what fails comes again as `retry` says.\n',
    block(QUEUE_EXAMPLE),
    keys(queue, true),
    'A queue that is not declared any more keeps its messages: it is listed as removed (`virga queues`) until they are dropped with `virga queues purge`, or it is declared again. `fifo` can only change while the queue is empty.\n',
    '## `retry`\n',
    'Of a queue, a trigger, a subscription with a `url`, asynchronous invocations and the steps of workflows.\n',
    keys(queue.properties!['retry']!, true),
    '## `record`\n',
    '`true`, or:\n',
    keys(objectOf(queue.properties!['record']!)!, true),
    '## A topic\n',
    'What is published to a topic goes to all that are subscribed to it: functions by their `triggers`, queues and webhooks by its `subscriptions`.\n',
    block(TOPIC_EXAMPLE),
    keys(topic, true),
    '## A subscription of a topic\n',
    'Of a `queue` or of a `url`; functions subscribe by their `triggers`.\n',
    keys(topic.properties!['subscriptions']!.items!, true),
    '## A stream\n',
    'Records stay in a stream for their time, whoever has read them, in the order of their appending for each key.\n',
    block(STREAM_EXAMPLE),
    keys(named('streams'), true),
    '## A schedule\n',
    'One of `cron`, `rate` and `at`.\n',
    block(SCHEDULE_EXAMPLE),
    keys(named('schedules'), true),
    '## A trigger of a function\n',
    'Each names one source. A queue has one function; topics, streams, schedules and events may have several.\n',
    block(TRIGGER_EXAMPLE),
    keys(trigger, true),
    '## `window` of a trigger\n',
    keys(trigger.properties!['window']!, true),
    '## `async` of a function\n',
    'For calls that nobody waits for: `virga invoke --async`, `Prefer: respond-async`.\n',
    block(ASYNC_EXAMPLE),
    keys(rules, true),
    'A place is one of `queue`, `topic` and `function`.\n',
    '## `workflow` of a function\n',
    '`true`, or:\n',
    block(WORKFLOW_EXAMPLE),
    keys(workflow, true),
  ];
}

/** As the reference shows code: indented. */
function block(text: string): string {
  return `${text.trimEnd().replaceAll(/^/gm, '    ')}\n`;
}
