// What is done with the messages of one kind of queue: the part of a delivery that differs. The engine (deliveries.ts) receives, holds,
// retries with backoff and settles; a kind calls the function, or the webhook, and says what became of each message.
// Invariant: deliver() never rejects and gives one verdict for each message, in order.
import type { ReceivedMessage } from '../bus.ts';
import type { Consumer } from '../topology.ts';

export type Verdict =
  | { as: 'done' }
  /**
   * An attempt was made and failed: again after a backoff, or dead where it was the last. `delayMs`: another wait than the backoff.
   * `quietMs`: whoever got it wants nothing of this queue for so long, this message included.
   */
  | { as: 'failed'; error: string; delayMs?: number; quietMs?: number }
  /** No attempt was made (nobody could take it): again, and it does not count. `error`: why, for whoever looks at the message. */
  | { as: 'later'; delayMs: number; error?: string }
  /** No further attempt is worth it. */
  | { as: 'dead'; error: string };

export interface DeliveryKind {
  deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]>;
}
