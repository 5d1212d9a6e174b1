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
  /** Data: `StreamBatch`. Its handler may answer `StreamOutcome`. */
  stream: 'virga.stream.batch',
  /** Data: `SocketConnect`. Its handler may answer `SocketReply`, as to the next. */
  socketConnect: 'virga.websocket.connect',
  /** Data: `SocketMessage`. */
  socketMessage: 'virga.websocket.message',
  /** Data: `SocketDisconnect`. What is answered to it is dropped. */
  socketDisconnect: 'virga.websocket.disconnect',
  /** Data: `InvocationOutcome`. To the destinations `onSuccess` and `onFailure` of asynchronous invocations. */
  invocationSucceeded: 'virga.invocation.succeeded',
  invocationFailed: 'virga.invocation.failed',
  /** Data: `DeploymentCreated`. */
  deployment: 'virga.deployment.created',
} as const;

export interface DeploymentCreated {
  deployment: number;
  kind: 'deploy' | 'rollback';
  /** Name of the token that made it. */
  by: string;
  changes: { kind: string; name: string; change: string }[];
  /** Changes that are not among them, which are the first 500. */
  more?: number;
}

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

export interface StreamBatch {
  stream: string;
  partition: number;
  records: StreamItem[];
  /** Of a trigger with `window`: the records are of this window; `final`: it has ended, and there are none. Unix ms. */
  window?: { start: number; end: number; final: boolean };
  /** What the last call of this window gave back; the first time it is missing. */
  state?: unknown;
}

export interface StreamItem {
  id: string;
  /** Records of one key come in order. */
  key: string;
  data: string;
  attributes: Record<string, string>;
  position: number;
  /** Unix ms. */
  at: number;
}

export interface StreamOutcome {
  /** Ids of records: the delivery goes on from the first of them. */
  failed?: string[];
  /** Of a window: kept for its next call. */
  state?: unknown;
}

export interface ScheduleDue {
  schedule: string;
  /** Empty for one of a rate, or of one time. */
  cron: string;
  timezone: string;
  /** As in virga.yaml. */
  input?: unknown;
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

/** What every event of a WebSocket tells of its connection. */
export interface SocketFacts {
  /** e.g. `con_01k9…`. */
  connectionId: string;
  /** As the client named this place, e.g. `shop.localhost:8080`. */
  host: string;
  /** e.g. `/rooms/{room}`, and its parameters. */
  route: string;
  params: Record<string, string>;
  /** Address of the client. */
  client: string;
  /** Unix ms. */
  connectedAt: number;
  /** What was agreed on. */
  subprotocol?: string;
  /** Who connected, where the route asks. */
  principal?: { kind: string; id: string; scopes: string[]; claims: Record<string, unknown> };
  /** Groups that it is in. */
  groups: string[];
  /** What the function last gave to be kept with it. */
  state?: unknown;
  /** As in virga.yaml. */
  routeSelection?: string;
}

export interface SocketConnect extends SocketFacts {
  url: string;
  /** Of the handshake; names in lower case. */
  headers: Record<string, string>;
  query: Record<string, string>;
  /** What the client offers. */
  subprotocols: string[];
}

export interface SocketMessage extends SocketFacts {
  isBinary: boolean;
  /** Of a text message. */
  text?: string;
  /** Of a binary one. */
  base64?: string;
}

export interface SocketDisconnect extends SocketFacts {
  /** 1005: closed without a code; 1006: the connection was lost. */
  code: number;
  reason: string;
}

/** What a function may answer, beside nothing and the text or bytes to send. */
export interface SocketReply {
  /** To the client; bytes go as `{base64}` where the answer is JSON. */
  send?: string | Uint8Array | { base64: string };
  /** The groups that it is in from now on. */
  groups?: string[];
  /** Kept with the connection, at most 4 KiB of JSON; null: none any more. */
  state?: unknown;
  close?: boolean | { code?: number; reason?: string };
  /** To connect: from 400 on the handshake is refused with it, and `body`. */
  status?: number;
  body?: string;
  /** To connect: one of those that the client offers. */
  subprotocol?: string;
}

/** What became of an asynchronous invocation. */
export interface InvocationOutcome {
  /** `inv_…`. */
  invocation: string;
  function: string;
  /** Of the last attempt; null: none began. */
  version: number | null;
  attempts: number;
  /** Unix ms. */
  createdAt: number;
  endedAt: number;
  request: Payload & { method?: string; url?: string };
  /** Missing where the function gave none. */
  response?: Payload & { status: number };
  /** Of one that failed. */
  error?: { code: string; message: string };
}

/** Bytes by their type: as a JSON value, as text, or in base64. */
export interface Payload {
  contentType: string;
  json?: unknown;
  text?: string;
  base64?: string;
  /** They are too many for an event: none of them are here. */
  truncated?: true;
}

export function isCloudEvent(value: unknown): value is CloudEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { specversion, id, source, type } = value as Partial<CloudEvent>;
  return specversion === '1.0' && typeof id === 'string' && typeof source === 'string' && typeof type === 'string';
}
