// What a project has on the bus, compiled from what its deployment says: specs of its queues and streams, who is subscribed to its topics,
// what triggers its functions have. Invariant: pure, and the same in every role, so that all mean the same queue by a name.
// Callers: events/publish.ts, events/deliver/, events/streams/, schedules, control/.
import { durationMs, sizeBytes } from '../lib/units.ts';
import type { FilterPattern } from '../protocol/sources/filter.ts';
import type { AsyncRules } from '../protocol/sources/async.ts';
import type { QueueRules } from '../protocol/sources/queues.ts';
import type { Recording } from '../protocol/sources/recording.ts';
import type { RetryRules } from '../protocol/sources/retry.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { StreamRules } from '../protocol/sources/streams.ts';
import { webhookName } from '../protocol/sources/webhook-name.ts';
import type { Subscription } from '../protocol/sources/topics.ts';
import type { Trigger } from '../protocol/sources/triggers.ts';
import type { WorkflowRules } from '../protocol/sources/workflows.ts';
import type { QueueSpec, StreamSpec } from './bus.ts';
import { deadKey, queueKey, streamKey } from './queue-keys.ts';
import { INTERNAL_BOUNDS, deadLetterQueue } from './queue-specs.ts';

/** A queue with a function (or a webhook) behind it. */
export interface Consumer {
  queue: QueueSpec;
  /** What the function is called with; absent: it is not a function that is called (webhooks). */
  function: string | undefined;
  kind: 'queue' | 'topic' | 'event' | 'schedule' | 'async' | 'workflow' | 'wait' | 'webhook' | 'stream';
  /** Name of the queue, topic, schedule or stream; of an event trigger, an invocation or a workflow that of the function; of waits `events`. */
  source: string;
  batch: number;
  /** How long a batch that is not full waits, ms. */
  waitMs: number;
  /** Calls at the same time; undefined: as the function's instances allow, at most 10. */
  concurrency: number | undefined;
  retry: Retry;
  /** Checked at delivery: what does not fit is done. Undefined: it was checked when it was sent, or there is none. */
  filter: FilterPattern | undefined;
}

export interface Retry {
  attempts: number;
  delayMs: number;
  maxDelayMs: number;
}

export interface TopicSubscription {
  /** Where its messages go. */
  queue: QueueSpec;
  filter: FilterPattern | undefined;
  to: { function: string } | { queue: string } | { webhook: Subscription; name: string } | { runs: true };
}

export interface StreamTrigger {
  stream: string;
  function: string;
  trigger: Trigger;
  retry: Retry;
  /** Whose dead letters the records that it gave up are; redriven ones come from it, each alone. */
  queue: QueueSpec;
  /** Where those dead letters go. */
  dead: QueueSpec;
}

export interface Topology {
  project: string;
  queues: Map<string, { spec: QueueSpec; rules: QueueRules; visibilityMs: number; delayMs: number }>;
  topics: Map<string, { subscriptions: TopicSubscription[]; record: Recording | undefined }>;
  /** Of events that are published to the project itself. */
  eventSubscriptions: TopicSubscription[];
  streams: Map<string, { spec: StreamSpec; triggers: StreamTrigger[] }>;
  /** Schedule → queues that get a message when it is due. */
  scheduled: Map<string, { queue: QueueSpec; function: string; trigger: Trigger }[]>;
  consumers: Consumer[];
  async: ReadonlyMap<string, AsyncRules>;
  workflows: ReadonlyMap<string, WorkflowRules>;
  /** Where events go that runs of its workflows may wait for; undefined: no workflow has said that it does. */
  waits: QueueSpec | undefined;
}

const DAY_MS = 86_400_000;
const RETRY: Retry = { attempts: 5, delayMs: 1_000, maxDelayMs: 300_000 };
/** Somebody else's server: it may be away for a night, which Standard Webhooks asks senders to sit out; 7 to 11 hours. */
const WEBHOOK_RETRY: Retry = { attempts: 16, delayMs: 5_000, maxDelayMs: 7_200_000 };
export const ASYNC_RETRY: Retry = { ...RETRY, attempts: 3 };
/**
 * Where functions and webhooks take the messages, the delivery that fails at the last attempt makes them dead. What a killed process had
 * received, perhaps ahead of any call, is no attempt; but a message that kills whatever receives it ends after so many.
 */
const KILLS_MAX = 20;
const WAIT_ATTEMPTS = 20;
const ASYNC_RECEIVES_MAX = 1_000_000;
const ASYNC_GRACE_MS = 3_600_000;

/** `functions`: all of the project; each may be invoked asynchronously. */
export function topologyOf(project: string, events: EventsSection = {}, functions: Iterable<string> = []): Topology {
  const names = [...functions];
  const topology: Topology = {
    project,
    queues: new Map(Object.entries(events.queues ?? {}).map(([name, rules]) => [name, queueOf(project, name, rules)])),
    topics: new Map(),
    eventSubscriptions: [],
    streams: new Map(
      Object.entries(events.streams ?? {}).map(([name, rules]) => [name, { spec: streamSpec(project, name, rules), triggers: [] }]),
    ),
    scheduled: new Map(Object.keys(events.schedules ?? {}).map((name) => [name, []])),
    consumers: [],
    async: new Map(Object.entries(events.async ?? {})),
    workflows: new Map(Object.entries(events.workflows ?? {})),
    waits: undefined,
  };
  for (const [name, { subscriptions = [], record }] of Object.entries(events.topics ?? {})) {
    const declared = subscriptions.map((one) => declaredSubscription(topology, { topic: name, one }));
    topology.topics.set(name, { subscriptions: declared, record });
  }
  for (const [fn, triggers] of Object.entries(events.triggers ?? {})) {
    // Counted among its like: a trigger of another kind before it leaves it where it was.
    let eventTriggers = 0;
    for (const trigger of triggers) addTrigger(topology, { fn, trigger, index: trigger.event === undefined ? 0 : eventTriggers++ });
  }
  for (const fn of names) topology.consumers.push(asyncConsumer(project, fn, events.async?.[fn] ?? {}));
  for (const [fn, rules] of topology.workflows) topology.consumers.push(workflowConsumer(project, fn, rules));
  addWaits(topology);
  return topology;
}

export function retryOf({ attempts, delay, maxDelay }: RetryRules = {}, otherwise: Retry = RETRY): Retry {
  return {
    attempts: attempts ?? otherwise.attempts,
    delayMs: ms(delay, otherwise.delayMs),
    maxDelayMs: ms(maxDelay, otherwise.maxDelayMs),
  };
}

function queueOf(project: string, name: string, rules: QueueRules) {
  const key = queueKey(project, 'queue', name);
  const spec: QueueSpec = {
    key,
    fifo: rules.fifo ?? false,
    retentionMs: ms(rules.retention, 14 * DAY_MS),
    deduplicationMs: ms(rules.deduplication, 300_000),
    receivesMax: retryOf(rules.retry).attempts,
    messagesMax: rules.maxMessages ?? 1_000_000,
    bytesMax: sizeBytes(rules.maxBytes ?? '') ?? 1_024 ** 3,
    dead: deadOf(project, rules.deadLetters, key),
  };
  return { spec, rules, visibilityMs: ms(rules.visibility, 30_000), delayMs: ms(rules.delay, 0) };
}

/** A queue of the project where it names one, else the one that each queue has. */
function deadOf(project: string, named: string | undefined, key: string): string {
  return named === undefined ? deadKey(key) : queueKey(project, 'queue', named);
}

function streamSpec(project: string, name: string, rules: StreamRules): StreamSpec {
  return {
    key: streamKey(project, name),
    partitions: rules.partitions ?? 4,
    retentionMs: ms(rules.retention, 7 * DAY_MS),
    bytesMax: sizeBytes(rules.maxBytes ?? '') ?? 10 * 1_024 ** 3,
  };
}

/** The queue of one trigger or subscription, which is nobody's but its own. */
function ownQueue(
  project: string,
  {
    kind,
    name,
    maxAge,
    retry,
    deadLetters,
  }: {
    kind: 'topic' | 'event' | 'schedule' | 'webhook' | 'stream';
    name: string;
    maxAge: string | undefined;
    retry: Retry;
    deadLetters: string | undefined;
  },
): QueueSpec {
  const key = queueKey(project, kind, name);
  return {
    key,
    fifo: false,
    retentionMs: ms(maxAge, DAY_MS),
    // A schedule's times are told apart by it, and events of Virga itself.
    deduplicationMs: kind === 'schedule' || kind === 'event' ? DAY_MS : 0,
    receivesMax: retry.attempts + KILLS_MAX,
    ...INTERNAL_BOUNDS,
    dead: deadOf(project, deadLetters, key),
  };
}

function declaredSubscription(topology: Topology, { topic, one }: { topic: string; one: Subscription }): TopicSubscription {
  const { filter } = one;
  if (one.queue !== undefined) return { queue: topology.queues.get(one.queue)!.spec, filter, to: { queue: one.queue } };
  const name = webhookName(one);
  const { maxAge, deadLetters } = one;
  const retry = retryOf(one.retry, WEBHOOK_RETRY);
  const queue = ownQueue(topology.project, { kind: 'webhook', name: `${topic}/${name}`, maxAge, retry, deadLetters });
  topology.consumers.push({
    queue,
    function: undefined,
    kind: 'webhook',
    source: topic,
    batch: 1,
    waitMs: 0,
    concurrency: one.concurrency ?? 4,
    retry,
    filter: undefined,
  });
  return { queue, filter, to: { webhook: one, name } };
}

function addTrigger(topology: Topology, { fn, trigger, index }: { fn: string; trigger: Trigger; index: number }): void {
  const { project } = topology;
  const { queue, topic, event, stream, schedule, maxAge, deadLetters, filter } = trigger;
  const retry = retryOf(trigger.retry);
  const consumer = { function: fn, waitMs: ms(trigger.wait, 0), concurrency: trigger.concurrency };
  if (queue !== undefined) {
    const { spec, rules } = topology.queues.get(queue)!;
    // From now on the deliveries count its attempts.
    spec.receivesMax = retryOf(rules.retry).attempts + KILLS_MAX;
    topology.consumers.push({
      ...consumer,
      queue: spec,
      kind: 'queue',
      source: queue,
      batch: trigger.batch ?? 10,
      retry: retryOf(rules.retry),
      filter,
    });
  } else if (topic !== undefined) {
    const own = ownQueue(project, { kind: 'topic', name: `${topic}/${fn}`, maxAge, retry, deadLetters });
    topology.topics.get(topic)!.subscriptions.push({ queue: own, filter, to: { function: fn } });
    topology.consumers.push({ ...consumer, queue: own, kind: 'topic', source: topic, batch: 1, retry, filter: undefined });
  } else if (event !== undefined) {
    const own = ownQueue(project, { kind: 'event', name: index === 0 ? fn : `${fn}/${index}`, maxAge, retry, deadLetters });
    topology.eventSubscriptions.push({ queue: own, filter: event, to: { function: fn } });
    topology.consumers.push({ ...consumer, queue: own, kind: 'event', source: fn, batch: 1, retry, filter: undefined });
  } else if (schedule !== undefined) {
    const own = ownQueue(project, { kind: 'schedule', name: `${schedule}/${fn}`, maxAge, retry, deadLetters });
    topology.scheduled.get(schedule)!.push({ queue: own, function: fn, trigger });
    topology.consumers.push({
      ...consumer,
      queue: own,
      kind: 'schedule',
      source: schedule,
      batch: 1,
      retry,
      filter: undefined,
    });
  } else if (stream !== undefined) {
    const own = ownQueue(project, { kind: 'stream', name: `${stream}/${fn}`, maxAge, retry, deadLetters });
    // A record that was given up just before a crash is given up again after it.
    const kept = { ...deadLetterQueue(own.dead!), deduplicationMs: DAY_MS };
    const dead = deadLetters === undefined ? kept : topology.queues.get(deadLetters)!.spec;
    topology.streams.get(stream)!.triggers.push({ stream, function: fn, trigger, retry, queue: own, dead });
    topology.consumers.push({
      queue: own,
      function: fn,
      kind: 'stream',
      source: stream,
      batch: 1,
      waitMs: 0,
      concurrency: 1,
      retry,
      filter: undefined,
    });
  }
}

function asyncConsumer(project: string, fn: string, rules: AsyncRules): Consumer {
  return {
    queue: asyncQueue(project, fn, rules),
    function: fn,
    kind: 'async',
    source: fn,
    batch: 1,
    waitMs: 0,
    concurrency: rules.concurrency,
    // Its attempts are counted in its row (events/async/), where those that a crash cut off do not count.
    retry: { ...retryOf(rules.retry, ASYNC_RETRY), attempts: ASYNC_RECEIVES_MAX },
    filter: undefined,
  };
}

export function asyncQueue(project: string, fn: string, rules: AsyncRules): QueueSpec {
  const key = queueKey(project, 'async', fn);
  return {
    key,
    fifo: false,
    // What is too old is said to have failed when it comes, or by the sweep; the bus would only drop it.
    retentionMs: ms(rules.maxAge, 6 * 3_600_000) + ASYNC_GRACE_MS,
    deduplicationMs: 0,
    receivesMax: ASYNC_RECEIVES_MAX,
    ...INTERNAL_BOUNDS,
    dead: deadKey(key),
  };
}

export function workflowConsumer(project: string, fn: string, rules: WorkflowRules): Consumer {
  const { concurrency } = rules === true ? {} : rules;
  return {
    queue: workflowQueue(project, fn),
    function: fn,
    kind: 'workflow',
    source: fn,
    batch: 1,
    waitMs: 0,
    concurrency: concurrency ?? 10,
    retry: { attempts: 1_000_000, delayMs: 1_000, maxDelayMs: 60_000 },
    filter: undefined,
  };
}

/** Events of the project that runs may wait for: one subscription for all workflows, in the order of publishing. */
function addWaits(topology: Topology): void {
  const types = [...topology.workflows.values()].flatMap((rules) => (rules === true ? [] : (rules.events ?? [])));
  if (types.length === 0) return;
  const key = queueKey(topology.project, 'wait', 'events');
  const queue: QueueSpec = {
    key,
    fifo: false,
    retentionMs: 14 * DAY_MS,
    deduplicationMs: 0,
    receivesMax: WAIT_ATTEMPTS + KILLS_MAX,
    ...INTERNAL_BOUNDS,
    dead: deadKey(key),
  };
  topology.waits = queue;
  topology.eventSubscriptions.push({ queue, filter: { type: types }, to: { runs: true } });
  topology.consumers.push({
    queue,
    function: undefined,
    kind: 'wait',
    source: 'events',
    batch: 100,
    waitMs: 0,
    concurrency: 1,
    retry: { attempts: WAIT_ATTEMPTS, delayMs: 1_000, maxDelayMs: 60_000 },
    filter: undefined,
  });
}

/** Wake-ups of runs. Whether a run goes on or has failed is the run's own matter, so its wake-ups never die. */
export function workflowQueue(project: string, fn: string): QueueSpec {
  const key = queueKey(project, 'workflow', fn);
  return {
    key,
    fifo: false,
    retentionMs: 3_650 * DAY_MS,
    deduplicationMs: 0,
    receivesMax: 1_000_000,
    ...INTERNAL_BOUNDS,
    dead: deadLetterQueue(deadKey(key)).key,
  };
}

function ms(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : (durationMs(text) ?? otherwise);
}
