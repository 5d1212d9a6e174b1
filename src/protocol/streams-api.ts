// What the control API says of streams, as types: the server (src/control, whose schemas are checked against it) and the client
// (sdk/src) share them. Times are ISO 8601 in UTC, sizes are bytes.

/** What a function has read of a stream. */
export interface StreamConsumer {
  function: string;
  /** removed: virga.yaml does not name its trigger any more; its position stays. */
  state: 'active' | 'removed';
  /** Records that it has not handled. */
  lag: number;
  /** Age of the oldest of them, ms; 0: there are none. */
  lagMs: number;
  /** Records after its position that retention took before it came to them. */
  missed: number;
  partitions: StreamConsumerPartition[];
}

export interface StreamConsumerPartition {
  partition: number;
  /** The last one that was handled; 0: none. */
  position: number;
  lag: number;
  missed: number;
  /** Until when an edge has it to read, unless it goes on; null: none has. */
  heldUntil: string | null;
}

export interface StreamPartition {
  partition: number;
  /** Position of the oldest record that is kept, and of the newest; newest < oldest: it is empty. */
  oldest: number;
  newest: number;
  bytes: number;
}

export interface StreamFacts {
  name: string;
  /** removed: virga.yaml does not name it any more. */
  state: 'active' | 'removed';
  /** Records that are kept. */
  records: number;
  bytes: number;
  /** Records in a second, over the last minute. */
  perSecond: number;
  /** Of the oldest record that is kept, and of the newest; null: it is empty. */
  oldestAt: string | null;
  newestAt: string | null;
  /** null: it is removed. */
  limits: { retentionMs: number; bytes: number } | null;
  partitions: StreamPartition[];
  consumers: StreamConsumer[];
}

export interface StreamRecordItem {
  partition: number;
  position: number;
  id: string;
  key: string;
  at: string;
  data: string;
  attributes: Record<string, string>;
}

export interface StreamRecords {
  /** By partition in order; of several partitions by time. */
  items: StreamRecordItem[];
  /** `after` of the next call: `partition:position`, with commas between. */
  next: string;
  /** Nothing more was there. */
  end: boolean;
}

export interface SeekRequest {
  /** `oldest`, `newest`, a time (ISO 8601, or how long ago: `2h`), or a position, which needs `partition` unless there is one. */
  to: string;
  /** Without it all. */
  partition?: number | undefined;
}

export interface SeekAnswer {
  partitions: { partition: number; from: number; to: number }[];
}
