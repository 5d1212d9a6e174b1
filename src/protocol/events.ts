// The events that reach functions: CloudEvents 1.0 in their JSON form (`application/cloudevents+json`), and what the `data` of
// Virga's own types is. One vocabulary for all sources: the forms (runtimes/*/forms) translate it into what AWS, Cloudflare,
// Azure and Google give their functions. Invariant: `id` stays the same when an event is delivered again.
// Used by the guests' forms and by whoever makes events.

export const CLOUD_EVENT_TYPE = 'application/cloudevents+json';

export interface CloudEvent<Data = unknown> {
  specversion: '1.0';
  id: string;
  /** e.g. `/projects/shop/queues/orders`. */
  source: string;
  type: string;
  /** RFC 3339. */
  time?: string;
  /** The queue, topic, schedule, table, or the key of the object. */
  subject?: string;
  datacontenttype?: string;
  data?: Data;
  /** Bytes, where `data` cannot hold them. */
  data_base64?: string;
  /** Extension attributes. */
  [extension: string]: unknown;
}

export const EventType = {
  /** Data: `QueueBatch`. Its handler may answer `QueueOutcome`. */
  queue: 'virga.queue.batch',
  /** Data: `TopicMessage`. */
  topic: 'virga.topic.message',
  /** Data: `ObjectChange`. */
  objectCreated: 'virga.storage.object.created',
  objectRemoved: 'virga.storage.object.removed',
  /** Data: `ScheduleDue`. */
  schedule: 'virga.schedule.due',
  /** Data: `TableChanges`. */
  table: 'virga.table.changed',
} as const;

export interface QueueMessage {
  id: string;
  body: string;
  /** Of the sender. */
  attributes: Record<string, string>;
  /** 1 the first time. */
  attempt: number;
  /** Unix ms. */
  sentAt: number;
  firstReceivedAt: number;
  /** Messages of a group are delivered in order. */
  group?: string;
  deduplicationId?: string;
  sequence?: string;
}

export interface QueueBatch {
  queue: string;
  messages: QueueMessage[];
}

/** What has to come again; without it, or when it is empty, all is done. A handler that fails as a whole: all. */
export interface QueueOutcome {
  failed: string[];
}

export interface TopicMessage {
  topic: string;
  id: string;
  subject?: string;
  body: string;
  attributes: Record<string, string>;
  /** Unix ms. */
  sentAt: number;
}

export interface ObjectChange {
  bucket: string;
  key: string;
  bytes: number;
  etag: string;
  contentType?: string;
  version?: string;
  /** Orders the changes of one key. */
  sequence?: string;
}

export interface ScheduleDue {
  schedule: string;
  cron: string;
  timezone: string;
  /** When it was due, unix ms. */
  dueAt: number;
  /** When it will be next, unix ms. */
  nextAt?: number;
  previousAt?: number;
}

export interface TableChanges {
  table: string;
  changes: TableChange[];
}

export interface TableChange {
  id: string;
  operation: 'insert' | 'update' | 'delete';
  keys: Record<string, unknown>;
  before?: Record<string, unknown>;
  after?: Record<string, unknown>;
  /** Unix ms. */
  at: number;
  sequence: string;
}

export function isCloudEvent(value: unknown): value is CloudEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { specversion, id, source, type } = value as Partial<CloudEvent>;
  return specversion === '1.0' && typeof id === 'string' && typeof source === 'string' && typeof type === 'string';
}
