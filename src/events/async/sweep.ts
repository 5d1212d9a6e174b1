// What becomes of asynchronous invocations that nobody gets to: those that are too old without having run are said to have failed, with
// their destination, and those that were kept long enough go. Invariant: what still may be running is left alone. Called by the control
// role on an interval, in bounded steps.
import type { AsyncRules } from '../../protocol/sources/async.ts';
import type { Bus } from '../bus.ts';
import { asyncQueue } from '../topology.ts';
import { expired } from './delivery.ts';
import type { Destinations } from './destinations.ts';
import type { AsyncRecords, AsyncRow } from './records.ts';
import { readRequest, withoutSecrets, writeRequest } from './request.ts';

export interface SweepParts {
  records: AsyncRecords;
  bus: Pick<Bus, 'find'>;
  destinations: Destinations;
  rulesOf: (project: string, fn: string) => AsyncRules | undefined | Promise<AsyncRules | undefined>;
  /** Unix ms. */
  now: () => number;
}

const STEP = 1_000;
const STEPS_MAX = 100;
/** A function in time to the very end is left to finish, and its message to be looked at by who delivers. */
const QUEUED_GRACE_MS = 30_000;
const RUNNING_GRACE_MS = 3_600_000;

/** Answers how many were given up, and how many are forgotten. */
export async function sweepAsync(parts: SweepParts, signal: AbortSignal): Promise<{ expired: number; removed: number }> {
  const { records, now } = parts;
  let ended = 0;
  let removed = 0;
  const before = { queued: now() - QUEUED_GRACE_MS, running: now() - RUNNING_GRACE_MS };
  for (let step = 0; step < STEPS_MAX && !signal.aborted; step++) {
    const rows = await records.overdue(before, STEP);
    for (const row of rows) if (!signal.aborted) ended += (await giveUp(parts, row)) ? 1 : 0;
    if (rows.length < STEP) break;
  }
  for (let step = 0; step < STEPS_MAX && !signal.aborted; step++) {
    const some = await records.removeExpired(now(), STEP);
    removed += some;
    if (some < STEP) break;
  }
  return { expired: ended, removed };
}

async function giveUp({ records, bus, destinations, rulesOf, now }: SweepParts, row: AsyncRow): Promise<boolean> {
  const rules = (await rulesOf(row.project, row.function)) ?? {};
  const message = await bus.find(asyncQueue(row.project, row.function, rules).key, row.id);
  const request = message === undefined ? undefined : readRequest(message.body);
  const { code, message: error } = expired(row, rules);
  const ended = { ...row, state: 'failed' as const, endedAt: now(), errorCode: code, error };
  const written = await records.end({
    id: row.id,
    state: 'failed',
    endedAt: ended.endedAt,
    version: null,
    invocation: null,
    request: request === undefined ? null : writeRequest(withoutSecrets(request)),
    answer: null,
    answerBody: null,
    error: { code, message: error },
  });
  if (written) await destinations.send(ended, request ?? { contentType: 'application/octet-stream', body: Buffer.alloc(0) }, rules);
  return written;
}
