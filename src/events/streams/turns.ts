// What a partition does next: which records go into the next call, and of which windows. Invariants: records come in order, each once; with
// windows a record is in all that contain its time, and a window gets its final call before any record that is later than it was due, so
// that what a function sees depends on the records alone and not on when they were read. Pure. Used by partition-run.ts.
import type { StreamRecord } from '../bus.ts';
import { dueAt, nextDue, windowStarts } from './windows.ts';
import type { OpenWindow, WindowRules } from './windows.ts';

export interface Part {
  /** undefined: the trigger has no windows. */
  window: OpenWindow | undefined;
  records: StreamRecord[];
}

export type Turn =
  /** Positions up to `last` are behind once each part was handled; with a filter there may be none. */
  { as: 'records'; parts: Part[]; records: StreamRecord[]; last: number } | { as: 'final'; window: OpenWindow };

export interface TurnRules {
  batch: number;
  windows: WindowRules | undefined;
  fits: (record: StreamRecord) => boolean;
}

/** `records`: what was read, at least one. */
export function nextTurn(records: readonly StreamRecord[], open: readonly OpenWindow[], rules: TurnRules): Turn {
  const first = nextDue(open);
  let bound = first === undefined ? Infinity : first.end + (rules.windows?.lateMs ?? 0);
  if (first !== undefined && records[0]!.at >= bound) return { as: 'final', window: first };
  const taken: StreamRecord[] = [];
  const parts = new Map<number, Part>();
  let last = 0;
  for (const record of records) {
    if (taken.length >= rules.batch || record.at >= bound) break;
    last = record.position;
    if (!rules.fits(record)) continue;
    taken.push(record);
    for (const start of rules.windows === undefined ? [] : windowStarts(record.at, rules.windows)) {
      let part = parts.get(start);
      if (part === undefined) {
        const end = start + rules.windows!.sizeMs;
        const window = open.find((one) => one.start === start && one.end === end) ?? { start, end, state: undefined };
        parts.set(start, (part = { window, records: [] }));
        bound = Math.min(bound, dueAt(window, rules.windows!));
      }
      part.records.push(record);
    }
  }
  const whole: Part[] = taken.length === 0 ? [] : [{ window: undefined, records: taken }];
  return { as: 'records', parts: rules.windows === undefined ? whole : [...parts.values()], records: taken, last };
}
