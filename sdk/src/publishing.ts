// What a function sends to its own project: events, messages of queues and topics, records of streams. The runtime (src/runtimes/node)
// does it; inside a function these and `context.publish`, `context.queue`, … are the same.
// Invariant: importing this does nothing; outside of a function each method rejects; a promise that resolves means that it is stored.

/** Of an event nothing but `type` must be given: the rest is filled in. */
export interface EventToPublish {
  type: string;
  /** Default: a new one. */
  id?: string;
  /** Default: `/projects/<project>`. */
  source?: string;
  subject?: string;
  /** RFC 3339. Default: now. */
  time?: string;
  datacontenttype?: string;
  dataschema?: string;
  /** JSON; bytes go as `data_base64`. */
  data?: unknown;
  data_base64?: string;
  /** Extension attributes: lower-case letters and digits. */
  [extension: string]: unknown;
}

export interface PublishedTo {
  id: string;
  /** Subscriptions whose filter it fits. */
  deliveries: number;
}

export interface MessageOptions {
  attributes?: Record<string, string>;
  /** Default: a new one. */
  id?: string;
  /** Of a fifo queue: delivered in order within the group. */
  group?: string;
  /** Another message with the same is dropped for as long as the queue remembers. */
  deduplicationId?: string;
}

export interface QueueMessageOptions extends MessageOptions {
  /** Default: the queue's `delay`. */
  delayMs?: number;
}

export interface TopicMessageOptions extends MessageOptions {
  subject?: string;
}

export interface RecordOptions {
  /** Records of one key are read in order. Without it any partition. */
  key?: string;
  attributes?: Record<string, string>;
  id?: string;
}

/** `duplicate`: one with its deduplicationId was sent before; the id is that one's. */
export type SentMessage = { result: 'sent'; id: string; sequence: string } | { result: 'duplicate'; id: string };

export interface AppendedRecord {
  id: string;
  partition: number;
  position: number;
}

/** A body that is no string is sent as JSON. At most 256 KiB each, less than 1 MiB at once. */
export interface Queue {
  send(body: unknown, options?: QueueMessageOptions): Promise<SentMessage>;
  /** All or none. */
  sendBatch(messages: readonly ({ body: unknown } & QueueMessageOptions)[]): Promise<SentMessage[]>;
}

export interface Topic {
  publish(body: unknown, options?: TopicMessageOptions): Promise<PublishedTo>;
  publishBatch(messages: readonly ({ body: unknown } & TopicMessageOptions)[]): Promise<PublishedTo[]>;
}

export interface Stream {
  append(data: unknown, options?: RecordOptions): Promise<AppendedRecord>;
  appendBatch(records: readonly ({ data: unknown } & RecordOptions)[]): Promise<AppendedRecord[]>;
}

/** Every method rejects with an Error whose `code` is of the error table, e.g. `queue_not_found`, `queue_full`. */
export interface Publishing {
  publish(event: EventToPublish): Promise<PublishedTo>;
  publish(events: readonly EventToPublish[]): Promise<PublishedTo[]>;
  queue(name: string): Queue;
  topic(name: string): Topic;
  stream(name: string): Stream;
}

const PUBLISHING = Symbol.for('virga.publishing');

async function held(): Promise<Publishing> {
  const found = Reflect.get(globalThis, PUBLISHING) as Publishing | undefined;
  if (found === undefined) throw new Error('nothing can be published here: this code does not run as a function of Virga');
  return found;
}

export const publish: Publishing['publish'] = async (events: EventToPublish | readonly EventToPublish[]) =>
  (await held()).publish(events as EventToPublish) as Promise<never>;

export function queue(name: string): Queue {
  return {
    send: async (...args) => (await held()).queue(name).send(...args),
    sendBatch: async (...args) => (await held()).queue(name).sendBatch(...args),
  };
}

export function topic(name: string): Topic {
  return {
    publish: async (...args) => (await held()).topic(name).publish(...args),
    publishBatch: async (...args) => (await held()).topic(name).publishBatch(...args),
  };
}

export function stream(name: string): Stream {
  return {
    append: async (...args) => (await held()).stream(name).append(...args),
    appendBatch: async (...args) => (await held()).stream(name).appendBatch(...args),
  };
}
