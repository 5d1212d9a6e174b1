// The one way onto the bus for what a project sends itself: messages for its queues and topics, events, records of its streams. It looks
// up who is to get what, checks it against the bounds, and hands it over. Invariants: a request is stored whole or not at all, a fan-out
// too, since it is one bus.send; what is resolved for is durable; nothing leaves the project. Callers: the edge (functions, routes),
// control (HTTP), schedules, destinations of asynchronous invocations, platform events.
import { setImmediate } from 'node:timers/promises';
import { closestWord } from '../lib/closest-word.ts';
import { mayHaveLongNumbers } from '../lib/exact-json.ts';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { EventType } from '../protocol/events.ts';
import type { CloudEvent, TopicMessage } from '../protocol/events.ts';
import type { Recording } from '../protocol/sources/recording.ts';
import type { Bus, NewMessage, SendResult } from './bus.ts';
import { messageDocument, passes } from './filters.ts';
import { MessageBounds } from './message-bounds.ts';
import type { EventRecorder, PassedMessage } from './replay/record-events.ts';
import type { Topology, TopicSubscription } from './topology.ts';

export interface SendMessage {
  body: string;
  attributes?: Record<string, string>;
  /** Default: the queue's. */
  delayMs?: number;
  /** Of a fifo queue. */
  group?: string;
  deduplicationId?: string;
  /** Default: a new one. */
  id?: string;
}

export interface TopicPublication {
  body: string;
  subject?: string;
  attributes?: Record<string, string>;
  id?: string;
  /** For subscribed queues, as in SendMessage. */
  group?: string;
  deduplicationId?: string;
}

export interface AppendRecord {
  partitionKey: string;
  data: string;
  attributes?: Record<string, string>;
  id?: string;
}

/** How many subscriptions got it; 0: none whose filter fits. */
export interface Published {
  id: string;
  deliveries: number;
}

export interface Appended {
  id: string;
  partition: number;
  position: number;
}

export interface PublisherParts {
  bus: Pick<Bus, 'send' | 'append'>;
  /** undefined: there is no such project. */
  topologyOf: (project: string) => Topology | undefined | Promise<Topology | undefined>;
  limits: { messageBytesMax: number };
  /** Unix ms. */
  now: () => number;
  /** Hears what was sent to queues and topics with `record`. */
  recorder?: Pick<EventRecorder, 'passed'>;
}

/** Of one request, over all subscriptions. */
const DELIVERIES_MAX = 20_000;
const DELIVERED_BYTES_MAX = 64 * 1_024 ** 2;

export class Publisher {
  readonly #parts: PublisherParts;
  readonly #bounds: MessageBounds;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#bounds = new MessageBounds(parts.limits.messageBytesMax);
  }

  /** To a queue, in this order. */
  async send(project: string, queue: string, messages: SendMessage[]): Promise<SendResult[]> {
    const { queues } = await this.#topology(project);
    const found = queues.get(queue) ?? missing('queue', { project, name: queue, known: queues.keys() });
    const bounds = this.#bounds.of('messages', messages.length);
    const batch = messages.map((message, index): NewMessage => {
      const { id = newId('msg'), body, attributes = {}, delayMs = found.delayMs, group, deduplicationId } = message;
      bounds.add(index, { id, body, attributes, delayMs, group, deduplicationId });
      if (group !== undefined && !found.spec.fifo)
        throw bounds.refusal(index, 'group', `the queue '${queue}' has no groups; \`fifo: true\` in virga.yaml makes a queue that has`);
      if (delayMs >= found.spec.retentionMs)
        throw bounds.refusal(
          index,
          'delayMs',
          `it is ${delayMs}, and the queue '${queue}' keeps messages for ${found.spec.retentionMs} ms: it would be dead before it is delivered; \`retention\` in virga.yaml makes that longer`,
        );
      return {
        id,
        body,
        attributes,
        ...(delayMs > 0 ? { delayMs } : {}),
        ...(group === undefined ? {} : { group }),
        ...(deduplicationId === undefined ? {} : { deduplicationId }),
      };
    });
    const [results] = await this.#parts.bus.send([{ queue: found.spec, messages: batch }]);
    this.#record(project, `queue/${queue}`, found.rules.record, batch);
    return results!;
  }

  /** To all subscriptions of a topic whose filter fits. */
  async publish(
    project: string,
    topic: string,
    publications: TopicPublication[],
    /** W3C, of what caused it. */
    { traceparent }: { traceparent?: string } = {},
  ): Promise<Published[]> {
    const { topics, queues } = await this.#topology(project);
    const found = topics.get(topic) ?? missing('topic', { project, name: topic, known: topics.keys() });
    const bounds = this.#bounds.of('messages', publications.length);
    const fanOut = new FanOut(queues);
    const published: Published[] = [];
    for (const [index, publication] of publications.entries()) {
      const { id = newId('msg'), body, subject, attributes = {}, group, deduplicationId } = publication;
      bounds.add(index, { id, body, subject, attributes, group, deduplicationId });
      const sentAt = this.#parts.now();
      const data: TopicMessage = { topic, id, ...(subject === undefined ? {} : { subject }), body, attributes, sentAt };
      const event: CloudEvent<TopicMessage> = {
        specversion: '1.0',
        id: newId('evt'),
        source: `/projects/${project}/topics/${topic}`,
        type: EventType.topic,
        time: new Date(sentAt).toISOString(),
        subject: topic,
        datacontenttype: 'application/json',
        ...(traceparent === undefined ? {} : { traceparent }),
        data,
      };
      let text: string | undefined;
      const message: Fanned = {
        document: () => messageDocument(publication),
        event: () => ({ id: event.id, body: (text ??= JSON.stringify(event)), attributes: {} }),
        own: ({ spec, delayMs }) => ({
          id,
          body,
          // A queue's message has no subject of its own.
          attributes: subject === undefined || Object.hasOwn(attributes, 'subject') ? attributes : { ...attributes, subject },
          ...(delayMs > 0 ? { delayMs } : {}),
          ...(group === undefined || !spec.fifo ? {} : { group }),
          ...(deduplicationId === undefined ? {} : { deduplicationId }),
        }),
      };
      const before = fanOut.deliveries;
      for (const subscription of found.subscriptions) {
        if (fanOut.isTurnOver()) await fanOut.nextTurn();
        fanOut.add(subscription, message);
      }
      published.push({ id, deliveries: fanOut.deliveries - before });
    }
    await fanOut.send(this.#parts.bus);
    if (found.record !== undefined) {
      const passed = publications.map(({ body, subject, attributes = {} }, index) => ({
        id: published[index]!.id,
        body,
        subject,
        attributes,
      }));
      this.#record(project, `topic/${topic}`, found.record, passed);
    }
    return published;
  }

  /** To all functions of the project with an `event` trigger whose pattern fits. */
  async publishEvents(
    project: string,
    events: CloudEvent[],
    /** An event with an id that was published within a day is not stored again. */
    { once = false }: { once?: boolean } = {},
  ): Promise<Published[]> {
    const { eventSubscriptions, queues } = await this.#topology(project);
    const bounds = this.#bounds.of('events', events.length);
    const fanOut = new FanOut(queues);
    const published: Published[] = [];
    for (const [index, event] of events.entries()) {
      const body = JSON.stringify(event);
      bounds.add(index, { id: event.id, body });
      const own = (): NewMessage => ({ id: event.id, body, attributes: {}, ...(once ? { deduplicationId: event.id } : {}) });
      // Filters compare numbers as numbers.
      const message: Fanned = { document: () => (mayHaveLongNumbers(body) ? JSON.parse(body) : event) as unknown, event: own, own };
      const before = fanOut.deliveries;
      for (const subscription of eventSubscriptions) {
        if (fanOut.isTurnOver()) await fanOut.nextTurn();
        fanOut.add(subscription, message);
      }
      published.push({ id: event.id, deliveries: fanOut.deliveries - before });
    }
    await fanOut.send(this.#parts.bus);
    return published;
  }

  /** To a stream, in this order within each key. */
  async append(project: string, stream: string, records: AppendRecord[]): Promise<Appended[]> {
    const { streams } = await this.#topology(project);
    const found = streams.get(stream) ?? missing('stream', { project, name: stream, known: streams.keys() });
    const bounds = this.#bounds.of('records', records.length);
    const batch = records.map(({ id = newId('rec'), partitionKey, data, attributes = {} }, index) => {
      bounds.add(index, { id, body: data, attributes, key: partitionKey });
      return { id, partitionKey, data, attributes };
    });
    const places = await this.#parts.bus.append(found.spec, batch);
    return places.map((place, index) => ({ id: batch[index]!.id, ...place }));
  }

  #record(project: string, source: string, rules: Recording | undefined, messages: readonly Omit<PassedMessage, 'sentAt'>[]): void {
    if (rules === undefined) return;
    const sentAt = this.#parts.now();
    for (const message of messages) this.#parts.recorder?.passed({ project, source, rules }, { ...message, sentAt });
  }

  async #topology(project: string): Promise<Topology> {
    const topology = await this.#parts.topologyOf(project);
    if (topology !== undefined) return topology;
    throw new VirgaError('project_not_found', `there is no project '${project}', or nothing was deployed to it`);
  }
}

type Queued = TopicSubscription['queue'];

/** What one publication is for each kind of subscription. */
interface Fanned {
  /** What filters look at. */
  document(): unknown;
  /** What functions and webhooks get. */
  event(): NewMessage;
  /** What a queue of the project gets. */
  own(to: { spec: Queued; delayMs: number }): NewMessage;
}

/** Of filters, at once; then others have the event loop. Whoever awaits nothing has its order kept as long as all of it is within a turn. */
const TURN_MS = 20;

/** What goes to which queue, gathered for one send. */
class FanOut {
  readonly #queues: Topology['queues'];
  readonly #batches = new Map<string, { queue: Queued; messages: NewMessage[] }>();
  #looked: { of: Fanned; document: unknown } | undefined;
  #turnEnds = performance.now() + TURN_MS;
  #bytes = 0;
  deliveries = 0;

  constructor(queues: Topology['queues']) {
    this.#queues = queues;
  }

  /** Where its filter fits. */
  add({ queue, filter, to }: TopicSubscription, message: Fanned): void {
    if (filter !== undefined && !passes(filter, this.#documentOf(message))) return;
    const one = 'queue' in to ? message.own({ spec: queue, delayMs: this.#queues.get(to.queue)?.delayMs ?? 0 }) : message.event();
    let batch = this.#batches.get(queue.key);
    if (batch === undefined) this.#batches.set(queue.key, (batch = { queue, messages: [] }));
    batch.messages.push(one);
    this.#bytes += one.body.length;
    this.deliveries++;
    if (this.deliveries > DELIVERIES_MAX || this.#bytes > DELIVERED_BYTES_MAX)
      throw new VirgaError(
        'request_too_large',
        `this would be more than ${DELIVERIES_MAX} deliveries, or ${DELIVERED_BYTES_MAX} bytes of them, over all subscriptions; publish fewer at once`,
      );
  }

  isTurnOver(): boolean {
    return performance.now() > this.#turnEnds;
  }

  async nextTurn(): Promise<void> {
    await setImmediate();
    this.#turnEnds = performance.now() + TURN_MS;
  }

  #documentOf(message: Fanned): unknown {
    if (this.#looked?.of !== message) this.#looked = { of: message, document: message.document() };
    return this.#looked.document;
  }

  async send(bus: Pick<Bus, 'send'>): Promise<void> {
    if (this.#batches.size > 0) await bus.send([...this.#batches.values()]);
  }
}

const NOT_FOUND = { queue: 'queue_not_found', topic: 'topic_not_found', stream: 'stream_not_found' } as const satisfies Record<
  string,
  ErrorCode
>;

function missing(
  kind: keyof typeof NOT_FOUND,
  { project, name, known }: { project: string; name: string; known: Iterable<string> },
): never {
  const names = [...known];
  const meant = closestWord(name, names);
  const there = names.length === 0 ? `it has no ${kind}s` : `it has ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
  const remedy = meant === undefined ? there : `did you mean '${meant}'?`;
  throw new VirgaError(NOT_FOUND[kind], `project '${project}' has no ${kind} '${name.slice(0, 100)}'; ${remedy}`);
}
