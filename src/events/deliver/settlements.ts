// What becomes of the messages of one call: verdicts in, settlements out. Invariants: a message that failed comes again after a backoff
// that doubles, half of it left to chance, or is dead after its last attempt; in a fifo queue what stands behind a failed message of its
// group comes again after it, in order, and has not been tried. Pure but for `random`. Used by deliveries.ts.
import type { Settlement } from '../bus.ts';
import type { Consumer, Retry } from '../topology.ts';
import type { Verdict } from './delivery-kind.ts';
import type { Held } from './held.ts';

const ERROR_CHARACTERS_MAX = 1_024;

export interface Settled {
  settlements: Settlement[];
  /** Groups of which a message has to come again: what is held of them has to wait for it. */
  brokenGroups: Set<string>;
}

export function settle({ queue, retry }: Consumer, batch: readonly Held[], verdicts: readonly Verdict[], random: () => number): Settled {
  const brokenGroups = new Set<string>();
  /** Of which a message died in this call: those behind it were in a call that failed through no fault of theirs. */
  const bereaved = new Set<string>();
  const settlements: Settlement[] = [];
  for (const [index, { message, lost }] of batch.entries()) {
    const { receipt } = message;
    const group = queue.fifo ? message.group : null;
    const verdict = verdicts[index] ?? { as: 'failed', error: 'nothing was said of this message' };
    const behind = group !== null && (brokenGroups.has(group) || (bereaved.has(group) && verdict.as !== 'done'));
    const one: Settlement = behind ? { receipt, as: 'retry', delayMs: 0, unseen: true } : settlementOf(message, retry, verdict, random);
    if (group !== null && one.as === 'retry') brokenGroups.add(group);
    if (group !== null && one.as === 'dead') bereaved.add(group);
    if (!lost) settlements.push(one);
  }
  return { settlements, brokenGroups };
}

function settlementOf(
  { receipt, attempt }: { receipt: string; attempt: number },
  retry: Retry,
  verdict: Verdict,
  random: () => number,
): Settlement {
  if (verdict.as === 'done') return { receipt, as: 'done' };
  const error = verdict.error?.slice(0, ERROR_CHARACTERS_MAX);
  if (verdict.as === 'later')
    return { receipt, as: 'retry', delayMs: Math.round(verdict.delayMs), unseen: true, ...(error === undefined ? {} : { error }) };
  if (verdict.as === 'dead' || attempt >= retry.attempts) return { receipt, as: 'dead', error: error! };
  const delayMs = Math.max(verdict.delayMs ?? backoffMs(retry, attempt, random), verdict.quietMs ?? 0);
  return { receipt, as: 'retry', delayMs: Math.round(delayMs), error: error! };
}

/** Before the attempt after this one. */
export function backoffMs({ delayMs, maxDelayMs }: Retry, attempt: number, random: () => number): number {
  const whole = Math.min(maxDelayMs, delayMs * 2 ** Math.min(attempt - 1, 40));
  return whole / 2 + (random() * whole) / 2;
}
