// What the control API says of queues, topics, deliveries and dead letters, as types: the server (src/control, whose schemas are
// checked against it) and the client (sdk/src/control.ts) share them. Times are ISO 8601 in UTC, sizes are bytes.
import type { FilterPattern } from './sources/filter.ts';

/** What waits in a queue on the bus. */
export interface Backlog {
  /** May be received now. */
  pending: number;
  /** Not before their time: sent with a delay, or tried again later. */
  delayed: number;
  /** With a receiver. */
  held: number;
  bytes: number;
  /** When the oldest of those that may be received was sent; null: there is none. */
  oldestAt: string | null;
}

/** Messages since the queue exists. */
export interface QueueTotals {
  sent: number;
  done: number;
  retried: number;
  dead: number;
}

/** Messages in a second, over the last so many ms. */
export interface QueueRates extends QueueTotals {
  overMs: number;
}

export interface QueueItem extends Backlog {
  name: string;
  /** removed: virga.yaml does not name it any more; it goes when nothing is left in it. */
  state: 'active' | 'removed';
  /** null: it is removed, and with it what was said of it. */
  fifo: boolean | null;
  /** Which takes its messages; null: whoever receives them. */
  function: string | null;
  /** Messages that died in it; null: they go to `deadLettersTo`. */
  deadLetters: number | null;
  /** The queue of the project where its dead letters go; null: they are kept with all others. */
  deadLettersTo: string | null;
  limits: { messages: number; bytes: number } | null;
  totals: QueueTotals;
  /** null: nobody has asked for a while, so there is nothing to compare with. */
  rates: QueueRates | null;
}

export type MessageState = 'pending' | 'delayed' | 'held';

export interface Died {
  /** Kind and name of where it died, e.g. `queue/orders`, `topic/prices/ship`, `async/resize`. */
  from: string;
  /**
   * rejected: whoever got it gave it up, a function at its last attempt; receives: it was received as often as may be, and never settled;
   * expired: it was too old.
   */
  reason: 'receives' | 'expired' | 'rejected';
  at: string;
}

/** A message as it lies in its queue. */
export interface QueuedMessage {
  id: string;
  /** Orders the messages of a queue. */
  sequence: string;
  state: MessageState;
  /** How often it was received. */
  attempt: number;
  lastError: string | null;
  sentAt: string;
  firstReceivedAt: string | null;
  /** Of a delayed one: when it may be received; of a held one: until when it is held at most. */
  dueAt: string;
  group: string | null;
  deduplicationId: string | null;
  attributes: Record<string, string>;
  /** Of the body. */
  bytes: number;
  /** In lists its first 1,024 characters; absent where it was not asked for. */
  body?: string;
  /** The body goes on. */
  bodyCut?: true;
  died: Died | null;
}

export interface ReceiveRequest {
  /** Messages at most, 1 to 100. Default 1. */
  max?: number | undefined;
  /** How long they are held, e.g. `30s`. Default: `visibility` of the queue. */
  visibility?: string | undefined;
  /** How long to wait for the first message, ms, at most 20,000. Default 0. */
  waitMs?: number | undefined;
}

export interface ReceivedItem {
  /** Names this holding of the message, for settling it. */
  receipt: string;
  id: string;
  body: string;
  attributes: Record<string, string>;
  attempt: number;
  sentAt: string;
  firstReceivedAt: string;
  /** Unless it is settled or extended. */
  heldUntil: string;
  group: string | null;
  deduplicationId: string | null;
  sequence: string;
}

export type SettleItem =
  | { receipt: string; as: 'done' }
  | { receipt: string; as: 'retry'; delay?: string | undefined; error?: string | undefined }
  | { receipt: string; as: 'dead'; error?: string | undefined }
  | { receipt: string; as: 'extend'; visibility: string };

export interface SettleAnswer {
  /** In the order of the request. */
  results: { receipt: string; settled: boolean }[];
}

export interface TopicSubscriptionItem extends Backlog {
  /** Exactly one of them is not null. */
  function: string | null;
  queue: string | null;
  webhook: { name: string; url: string | null } | null;
  /** removed: virga.yaml does not name it any more, and there is something left. */
  state: 'active' | 'removed';
  filter: FilterPattern | null;
  /** null: they go to a queue, which has its own. */
  deadLetters: number | null;
  deadLettersTo: string | null;
}

export interface TopicItem {
  name: string;
  state: 'active' | 'removed';
  recorded: boolean;
  subscriptions: TopicSubscriptionItem[];
}

export type DeliveryState = MessageState | 'dead';

/** A message on its way to one place. */
export interface DeliveryItem {
  /** Of the message: what is delivered to several places has one id. */
  id: string;
  /** Kind and name of the queue on the bus, e.g. `queue/orders`, `topic/prices/ship`, `schedule/nightly/report`, `async/resize`. */
  source: string;
  state: DeliveryState;
  /** null: no function takes it. */
  function: string | null;
  attempt: number;
  /** Of a delayed one: when it is tried; of a held one: until when it is held at most; else null. */
  nextAt: string | null;
  sentAt: string;
  lastError: string | null;
  bytes: number;
  died: Died | null;
}

export interface DeliveryDetail {
  id: string;
  items: (DeliveryItem & { attributes: Record<string, string>; body?: string })[];
}

export interface DeliveryFilter {
  state?: DeliveryState | undefined;
  function?: string | undefined;
  source?: string | undefined;
}

export interface DeadLetterItem {
  id: string;
  /** Where it lies: `dead/queue/orders`, or `queue/failed` of the project's own. */
  in: string;
  died: Died;
  attempts: number;
  lastError: string | null;
  sentAt: string;
  bytes: number;
  attributes: Record<string, string>;
  /** Whether `redrive` has a place to move it to; what it died in may be gone. */
  redrivable: boolean;
  /** Absent where it was not asked for. */
  body?: string;
  bodyCut?: true;
}

/** Exactly one of `source`, `id` and `all`. */
export interface DeadLetterChoice {
  source?: string | undefined;
  id?: string | undefined;
  all?: true | undefined;
}

export interface RedriveRequest extends DeadLetterChoice {
  /** Queue of the project that they go to, instead of where they came from. */
  to?: string | undefined;
  /** Messages in a second; without it as fast as the disk takes them. */
  rate?: number | undefined;
}

export interface RedriveItem {
  /** e.g. `rdr_01k9…`. */
  id: string;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  /** null: all of the project. */
  source: string | null;
  to: string | null;
  rate: number | null;
  /** Dead letters that were there when it began: more than these it does not move, so that what dies again stays dead. */
  total: number;
  moved: number;
  startedAt: string;
  endedAt: string | null;
  error: string | null;
}

/** Of all projects of a node. */
export interface EventsStatus {
  queues: number;
  pending: number;
  delayed: number;
  held: number;
  deadLetters: number;
  /** Since when the oldest message waits that may be received. */
  oldestAt: string | null;
}
