// What a receiving needs. Callers: receives.ts and its two kinds, plain-receives.ts and group-receives.ts.
import type { QueueSpec, ReceiveOptions } from '../bus.ts';
import type { Connections } from './connections.ts';
import type { Moves } from './moves.ts';
import type { QueueRow } from './queues.ts';

export interface From {
  queue: QueueSpec;
  row: QueueRow;
  options: ReceiveOptions;
  /** Something was received already: what does not fit in its bytes stays. */
  beside?: boolean;
}

export interface Receiver {
  connections: Connections;
  moves: Moves;
  holder: string;
  now: () => number;
  /** Of one receiving; no two alike. */
  newHold: () => number;
}
