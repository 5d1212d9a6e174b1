// The port of the bus: durable queues and streams, known by a key. All that is delivered goes through it: messages of queues,
// what subscriptions of topics, schedules and asynchronous invocations have to deliver, dead letters, records of streams.
// Invariants: what send() or append() resolved for survives kill -9 and power loss; a message is held by one receiver at a time,
// and comes again until it is settled as done or dead; messages of one group are received in the order of their sending, and none
// while an earlier one of its group is held or waits for its next attempt; a call never holds more in memory than its bounds say.
// Adapters: postgres/; each passes conformance.ts. Callers: events/publish.ts, events/deliver/, events/streams/, control/.

export interface QueueSpec {
  /** `<project>/<kind>/<name>`, e.g. `shop/queue/orders`; see queue-keys.ts. */
  key: string;
  /** Messages have groups, and are received in order within them. Never changes for a key. */
  fifo: boolean;
  /** A message that is older, or has been dead for longer, is dead with the reason `expired`, or dropped where `dead` is null. ms. */
  retentionMs: number;
  /** For how long a deduplicationId is remembered, ms; 0: never. */
  deduplicationMs: number;
  /** Times that a message is received at most, those that recover() ended included; a further one makes it dead with the reason `receives`. */
  receivesMax: number;
  /** Messages that are not dead, and the bytes of their bodies and attributes; more are refused as a whole. About: two senders may pass it together. */
  messagesMax: number;
  bytesMax: number;
  /** Key of the queue where its dead messages go; null: they are dropped (that is so for queues of dead letters). */
  dead: string | null;
}

export interface NewMessage {
  /** `msg_…` or `evt_…`; the same for each delivery. */
  id: string;
  body: string;
  /** Of the sender. */
  attributes: Record<string, string>;
  /** Not received before; default 0. */
  delayMs?: number;
  /** Of a fifo queue; without one it is a group of its own. */
  group?: string;
  /** A message with one that was sent within deduplicationMs is not stored again: its `result` is `duplicate`. */
  deduplicationId?: string;
  /** It is a dead letter of another queue from the beginning: whoever sends it gave up what was never a message there. */
  died?: { from: string; reason: DeadReason; error: string };
}

export interface StoredMessage {
  id: string;
  body: string;
  attributes: Record<string, string>;
  group: string | null;
  deduplicationId: string | null;
  /** Orders the messages of a queue: decimal digits, ever larger. */
  sequence: string;
  /** Unix ms. */
  sentAt: number;
  /** Unix ms; null: never. */
  firstReceivedAt: number | null;
  /**
   * How often it was received, this time included. What recover() ended is none, and a dead letter begins anew when it is received where it
   * went; until then it shows those that it had.
   */
  attempt: number;
  /** What the last failed attempt, or whoever made it dead, said of it. */
  lastError: string | null;
  /** pending: may be received; delayed: not yet, `dueAt`; held: by a receiver, until `dueAt` at most. */
  state: 'pending' | 'delayed' | 'held';
  /** Unix ms. */
  dueAt: number;
  /** Of a dead letter: where it comes from, why, and when it died. */
  died: { from: string; reason: DeadReason; at: number } | null;
}

export type DeadReason = 'receives' | 'expired' | 'rejected';

export interface ReceivedMessage extends StoredMessage {
  /** Names this holding of the message; opaque. */
  receipt: string;
}

export type SendResult = { result: 'sent'; id: string; sequence: string } | { result: 'duplicate'; /** Of the earlier one. */ id: string };

/** One queue's part of a send. Either all its messages are stored or none. */
export interface SendBatch {
  queue: QueueSpec;
  messages: NewMessage[];
}

export interface ReceiveOptions {
  /** Messages at most. */
  max: number;
  /** Bytes of bodies and attributes at most, but always one message. */
  bytesMax: number;
  /** How long they are held without being settled or extended, ms. */
  leaseMs: number;
}

export interface ReceiveAnswer {
  /** In the order of their sending within each group. */
  messages: ReceivedMessage[];
  /** When the next of this queue is due, Unix ms: now or in the past where there are more; undefined: nothing waits. */
  nextAt: number | undefined;
}

export type Settlement =
  /** `error` of any of them may be any text; what is too long is cut. A number that is no time is 0. */
  | { receipt: string; as: 'done' }
  /** It is due again after `delayMs`. In a fifo queue the rest of its group waits for it, and is released with it. */
  | {
      receipt: string;
      as: 'retry';
      delayMs: number;
      error?: string;
      /** It was not looked at: the receiving does not count. */ unseen?: true;
    }
  /** Goes to the queue of dead letters. */
  | { receipt: string; as: 'dead'; error?: string }
  /** Held for `leaseMs` from now. */
  | { receipt: string; as: 'extend'; leaseMs: number };

export interface QueueStats {
  key: string;
  pending: number;
  delayed: number;
  held: number;
  bytes: number;
  /** Unix ms of the oldest message that may be received; null: there is none. */
  oldestAt: number | null;
  /** Since it exists. */
  sent: number;
  done: number;
  retried: number;
  dead: number;
}

export interface StreamSpec {
  /** `<project>/stream/<name>`. */
  key: string;
  /** May grow; keys of records then move to other partitions. */
  partitions: number;
  retentionMs: number;
  /** Of all its partitions; the oldest records make room. */
  bytesMax: number;
}

export interface NewRecord {
  /** `rec_…` or `evt_…`. */
  id: string;
  /** Records of one key are in one partition, in the order of their appending. */
  partitionKey: string;
  data: string;
  attributes: Record<string, string>;
}

export interface StreamRecord extends NewRecord {
  partition: number;
  /** 1, 2, 3… within the partition, without gaps. */
  position: number;
  /** Unix ms; never goes back within a partition. */
  at: number;
}

/** What a consumer has of one partition. */
export interface PartitionHold {
  partition: number;
  /** The last position that was handled; 0: none. */
  position: number;
  /** What was committed with it; JSON. */
  state: string | null;
  /** Names this holding; opaque. */
  receipt: string;
}

export interface PartitionStats {
  partition: number;
  /** Of the oldest record that is kept, and of the newest; newest < oldest: it is empty. */
  oldest: number;
  newest: number;
  bytes: number;
  /** Unix ms of the newest record, or the time of a later advance(); null: neither. */
  newestAt: number | null;
}

export interface Bus extends AsyncDisposable {
  /** Durable when it resolves, all queues in one step. Rejects with VirgaError `queue_full` (nothing is stored), `request_too_large`, `unavailable`. */
  send(batches: SendBatch[]): Promise<SendResult[][]>;
  /** Where it rejects, what it may have taken unheard comes with the next receive, and that was no attempt. */
  receive(queue: QueueSpec, options: ReceiveOptions): Promise<ReceiveAnswer>;
  /** For each, in order: whether the message was still held under this receipt. Calls of one tick go together. */
  settle(queue: QueueSpec, settlements: Settlement[]): Promise<boolean[]>;
  /** Ends the holdings of an earlier process of the same holder (this adapter's `holder`) at once; they were no attempts. Called once, at start. */
  recover(): Promise<void>;
  /** Hears the keys of queues and streams that may have something new to receive or read, from whatever process; at most some ms late. Also after a reconnect, for all. */
  onReady(listener: (key: string) => void): void;
  /** Queues that have something due, now or later, and when. For start, and against lost notifications. */
  due(): Promise<{ key: string; at: number }[]>;

  /** In the order of sequence, after `after`; also those that are held or delayed. Does not count as receiving. */
  peek(key: string, options: { after?: string; limit: number }): Promise<StoredMessage[]>;
  find(key: string, id: string): Promise<StoredMessage | undefined>;
  /** Removes what is not held; of one id where it is given. Answers how many. */
  purge(key: string, options?: { id?: string }): Promise<number>;
  /** Moves dead letters back to where they came from (or to `to`), oldest first, with attempt 0: at most `max` in this step. Answers how many. */
  redrive(
    key: string,
    options: { to?: QueueSpec; targetOf: (from: string) => QueueSpec | undefined; max: number; id?: string },
  ): Promise<number>;
  stats(keys: string[]): Promise<QueueStats[]>;
  /** Keys that exist and begin with it, e.g. `shop/`. */
  keys(prefix: string): Promise<string[]>;
  /** Takes a queue or stream away with all that is in it. */
  drop(key: string): Promise<void>;

  append(stream: StreamSpec, records: NewRecord[]): Promise<{ partition: number; position: number }[]>;
  /** Records after a position, in order. */
  read(key: string, partition: number, options: { after: number; max: number; bytesMax: number }): Promise<StreamRecord[]>;
  /** The position before the first record at or after a time. */
  positionAt(key: string, partition: number, unixMs: number): Promise<number>;
  partitions(key: string): Promise<PartitionStats[]>;
  /** Records that are appended from now on have an `at` of at least this. Answers the newest position: what comes after it is from now on. */
  advance(key: string, partition: number, unixMs: number): Promise<number>;
  /** Takes the partitions that no other holder has, at most `max`; a new consumer begins at `from`. Holdings last `leaseMs` and are renewed by commit() or another hold(). */
  hold(
    stream: StreamSpec,
    consumer: string,
    options: { max: number; leaseMs: number; from: 'oldest' | 'newest' },
  ): Promise<PartitionHold[]>;
  /** Moves on, with the state. false: the holding was lost to another. */
  commit(
    key: string,
    consumer: string,
    hold: PartitionHold,
    to: { position: number; state: string | null; leaseMs: number },
  ): Promise<boolean>;
  /** Gives holdings back. */
  release(key: string, consumer: string): Promise<void>;
  /** Sets where a consumer goes on; whoever holds the partition loses it. */
  seek(key: string, consumer: string, partition: number, position: number): Promise<void>;
  consumers(key: string): Promise<{ consumer: string; partition: number; position: number; heldUntil: number | null }[]>;

  /** What is due of upkeep: messages and records beyond their retention, forgotten deduplication ids. Called every minute by one role. */
  upkeep(): Promise<void>;
}
