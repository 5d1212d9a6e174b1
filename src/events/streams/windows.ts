// Arithmetic of windows: which contain a time, which have ended. Windows begin at multiples of `everyMs` since the Unix epoch, so they
// are the same in every partition and after every restart. Pure. Used by turns.ts and partition-run.ts.
import { durationMs } from '../../lib/units.ts';
import type { Trigger } from '../../protocol/sources/triggers.ts';

export interface WindowRules {
  sizeMs: number;
  /** From one's begin to the next one's; at most the size. */
  everyMs: number;
  /** How long after its end it stays open. */
  lateMs: number;
}

/** One that has had records and no final call yet. */
export interface OpenWindow {
  /** Unix ms; the end is the first that is not in it. */
  start: number;
  end: number;
  /** What the function last gave; undefined: nothing yet. */
  state: unknown;
}

export function windowRulesOf(rules: NonNullable<Trigger['window']>): WindowRules {
  const sizeMs = durationMs(rules.size)!;
  return { sizeMs, everyMs: durationMs(rules.every ?? rules.size)!, lateMs: durationMs(rules.late ?? '0s')! };
}

/** Begins of the windows that contain a time, earliest first. */
export function windowStarts(at: number, { sizeMs, everyMs }: WindowRules): number[] {
  const starts: number[] = [];
  for (let start = Math.floor(at / everyMs) * everyMs; start > at - sizeMs; start -= everyMs) starts.push(start);
  return starts.toReversed();
}

/** When a window gets its final call: as soon as no record before its end can come, and `late` after that. */
export function dueAt({ end }: OpenWindow, { lateMs }: WindowRules): number {
  return end + lateMs;
}

/** The one that is to be ended next; undefined: none is open. */
export function nextDue(open: readonly OpenWindow[]): OpenWindow | undefined {
  let next: OpenWindow | undefined;
  for (const window of open) if (next === undefined || window.end < next.end) next = window;
  return next;
}
