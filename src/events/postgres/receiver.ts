// What a receiving needs. Callers: receives.ts and its two kinds, plain-receives.ts and group-receives.ts.
import type { Connections } from './connections.ts';
import type { Moves } from './moves.ts';

export interface Receiver {
  connections: Connections;
  moves: Moves;
  holder: string;
  now: () => number;
  /** Of one receiving; no two alike. */
  newHold: () => number;
}
