// What becomes of asynchronous invocations that nobody gets to: those that are too old without having run are said to have failed, with
// their destination, and those that were kept long enough go. Invariants: what still may be running is left alone; the outcome is written once
// its destination knows of it, since nobody comes back to it afterwards. Called by the control
// role on an interval, in bounded steps.
import type { AsyncRules } from '../../protocol/sources/async.ts';
import type { Bus } from '../bus.ts';
import { VirgaError } from '../../protocol/errors.ts';
import { asyncQueue } from '../topology.ts';
import { expired } from './delivery.ts';
import type { Destinations } from './destinations.ts';
import type { AsyncRecords, AsyncRow } from './records.ts';
import { readRequest, withoutSecrets, writeRequest } from './request.ts';
import type { AsyncRequest } from './request.ts';

export interface SweepParts {
  records: AsyncRecords;
  bus: Pick<Bus, 'peek'>;
  destinations: Destinations;
  rulesOf: (project: string, fn: string) => AsyncRules | undefined | Promise<AsyncRules | undefined>;
  /** Unix ms. */
  now: () => number;
}

const STEP = 1_000;
const AT_ONCE = 50;
const STEPS_MAX = 100;
/** A function in time to the very end is left to finish, and its message to be looked at by who delivers. */
const QUEUED_GRACE_MS = 30_000;
const RUNNING_GRACE_MS = 3_600_000;

/** Answers how many were given up, and how many are forgotten. */
export async function sweepAsync(parts: SweepParts, signal: AbortSignal): Promise<{ expired: number; removed: number }> {
  const { records, now } = parts;
  let ended = 0;
  let removed = 0;
  let after: AsyncRow | undefined;
  const before = { queued: now() - QUEUED_GRACE_MS, running: now() - RUNNING_GRACE_MS };
  for (let step = 0; step < STEPS_MAX && !signal.aborted; step++) {
    const rows = await records.overdue(before, { limit: STEP, after });
    for (let at = 0; at < rows.length && !signal.aborted; at += AT_ONCE) {
      const given = await Promise.all(rows.slice(at, at + AT_ONCE).map((row) => giveUp(parts, row)));
      ended += given.filter(Boolean).length;
    }
    if (rows.length < STEP) break;
    after = rows.at(-1);
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
  const request = await requestOf(bus, asyncQueue(row.project, row.function, rules).key, row);
  const { code, message: error } = expired(row, rules);
  const ended = { ...row, state: 'failed' as const, endedAt: now(), errorCode: code, error };
  try {
    await destinations.send(ended, request ?? { contentType: 'application/octet-stream', body: Buffer.alloc(0) }, rules);
  } catch (failure) {
    // It stays overdue, and is told in a later round.
    if (failure instanceof VirgaError && failure.code === 'queue_full') return false;
    throw failure;
  }
  return records.end({
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
}

/** Where its message lies is known; one that is not there any more was lost, or died of its age. */
async function requestOf(bus: SweepParts['bus'], key: string, { id, sequence }: AsyncRow): Promise<AsyncRequest | undefined> {
  if (sequence === null) return undefined;
  const [message] = await bus.peek(key, { after: String(BigInt(sequence) - 1n), limit: 1 });
  return message?.id === id ? readRequest(message.body) : undefined;
}
