// What one call of a function means for what was delivered with it. Invariant: only a call that began counts as an attempt.
// Used by the kinds that call functions.
import type { EventOutcome } from '../invoker.ts';
import type { Verdict } from './delivery-kind.ts';

const RETRY_AFTER_MS = 1_000;
const ANSWER_CHARACTERS = 200;

export function verdictOf(outcome: EventOutcome): Verdict {
  if (!outcome.ok) {
    const error = `${outcome.code}: ${outcome.thrown ?? outcome.message}`;
    return outcome.refused ? { as: 'later', delayMs: outcome.retryAfterMs ?? RETRY_AFTER_MS, error } : { as: 'failed', error };
  }
  // Of programs that serve HTTP, and of functions that have only `fetch`.
  if (outcome.status < 400) return { as: 'done' };
  const text = outcome.body.subarray(0, ANSWER_CHARACTERS).toString().trim();
  return { as: 'failed', error: `the function answered ${outcome.status}${text === '' ? '' : `: ${text}`}` };
}
