// Which of the messages that wait in the edge go together in the next call. Invariants: messages of one group go in the order of their
// sending, and none while an earlier one of its group is in a call; a message that failed before goes with ever fewer others, and by its
// last attempt (at the latest its fifth) alone, so that one bad message does not take those beside it to the dead letters. Pure.
// Used by consumer-line.ts.
import type { Held } from './held.ts';

export interface BatchRules {
  batch: number;
  attempts: number;
  fifo: boolean;
}

export interface NextBatch {
  messages: Held[];
  /** No further message could join it: it need not wait for more. */
  full: boolean;
}

/** Of one call: what Lambda takes as well; a single message may be larger. */
const BATCH_BYTES_MAX = 6 * 1024 * 1024;
const ALONE_FROM = 5;

/** undefined: none of those that wait may go now. They stay where they are. */
export function nextBatch(waiting: readonly Held[], rules: BatchRules, busyGroups: ReadonlySet<string>): NextBatch | undefined {
  const messages: Held[] = [];
  /** Of which a message had to stay behind: those after it stay too. */
  const passedOver = new Set<string>();
  let most = rules.batch;
  let bytes = 0;
  let full = false;
  for (const held of waiting) {
    const group = rules.fifo ? held.message.group : null;
    if (group !== null && (busyGroups.has(group) || passedOver.has(group))) continue;
    const alike = together(rules, held.message.attempt);
    if (messages.length > 0 && (messages.length >= Math.min(most, alike) || bytes + held.bytes > BATCH_BYTES_MAX)) {
      full = true;
      if (messages.length >= most) break;
      if (group !== null) passedOver.add(group);
      continue;
    }
    messages.push(held);
    bytes += held.bytes;
    most = Math.min(most, alike);
  }
  if (messages.length === 0) return undefined;
  return { messages, full: full || messages.length >= most };
}

/** How many may be in one call with a message that is delivered for the `attempt`th time: at first all, then ever fewer. */
export function together({ batch, attempts }: Pick<BatchRules, 'batch' | 'attempts'>, attempt: number): number {
  const last = Math.min(attempts, ALONE_FROM);
  if (attempt <= 1) return batch;
  if (attempt >= last) return 1;
  if (attempt === 2) return batch;
  return Math.max(1, Math.round(batch ** ((last - attempt) / (last - 2))));
}
