// The open-loop load: calls leave by a schedule that was fixed before, whatever the answers do, and the latency of each
// counts from the moment when it was to leave. A server that stalls cannot hide its stall by being asked less.
// Invariant: the calls in flight are bounded; one that finds no room is a failure, never a delay of those behind it.
// Callers: the benchmarks, in their own thread or through open-loop-worker.ts.
import { HttpClient } from './http-client.ts';
import { percentile } from './statistics.ts';

export interface OpenLoop {
  port: number;
  /** Moments of departure from the start, ms, ascending. */
  scheduleMs: number[];
  /** One for each departure; taken in turns when there are fewer. */
  paths: string[];
  inFlightMax?: number;
  timeoutMs?: number;
  /** Aborted: no further call leaves; those under way still count. */
  signal?: AbortSignal;
}

export interface Shot {
  /** When it was to leave, ms from the start. */
  atMs: number;
  /** How much later it left: the generator's own fault. */
  lateMs: number;
  /** From the intended departure to the complete answer. */
  ms: number;
  /** 0: no answer. */
  status: number;
  head: string;
  body: string;
  error?: string;
}

const IN_FLIGHT_MAX = 4_000;
const TIMEOUT_MS = 30_000;
/** Timers fire up to a millisecond late. Up to this many departures a second the rest is waited for actively. */
const PRECISE_PER_SECOND_MAX = 200;

export const constant = (perSecond: number, seconds: number): number[] =>
  Array.from({ length: Math.round(perSecond * seconds) }, (_, n) => (n * 1_000) / perSecond);

/** Departures that know nothing of each other, the same for the same seed. */
export function poisson(perSecond: number, seconds: number, seed = 1): number[] {
  const random = mulberry32(seed);
  const schedule: number[] = [];
  for (let atMs = 0; ;) {
    atMs += (-Math.log(1 - random()) * 1_000) / perSecond;
    if (atMs >= seconds * 1_000) return schedule;
    schedule.push(atMs);
  }
}

export async function openLoop({
  port,
  scheduleMs,
  paths,
  inFlightMax = IN_FLIGHT_MAX,
  timeoutMs = TIMEOUT_MS,
  signal,
}: OpenLoop): Promise<Shot[]> {
  const client = new HttpClient(port);
  await client.open(1);
  const perSecond = scheduleMs.length / (((scheduleMs.at(-1) ?? 0) + 1) / 1_000);
  const precise = perSecond <= PRECISE_PER_SECOND_MAX || scheduleMs.length < PRECISE_PER_SECOND_MAX;
  const shots: Shot[] = [];
  let inFlight = 0;
  let left = scheduleMs.length;
  const beginMs = performance.now();
  await new Promise<void>((resolve) => {
    const end = (shot: Shot): void => {
      shots.push(shot);
      if (--left === 0) resolve();
    };
    const fire = (index: number): void => {
      const atMs = scheduleMs[index]!;
      const lateMs = performance.now() - beginMs - atMs;
      if (inFlight >= inFlightMax) {
        end({ atMs, lateMs, ms: Infinity, status: 0, head: '', body: '', error: `${inFlightMax} calls were in flight` });
        return;
      }
      inFlight++;
      void client.get(paths[index % paths.length]!, timeoutMs).then((answer) => {
        inFlight--;
        end({ atMs, lateMs, ms: performance.now() - beginMs - atMs, ...answer });
      });
    };
    let next = 0;
    const turn = (): void => {
      if (signal?.aborted) {
        left -= scheduleMs.length - next;
        if (left === 0) resolve();
        return;
      }
      const nowMs = performance.now() - beginMs;
      while (next < scheduleMs.length && scheduleMs[next]! <= nowMs) fire(next++);
      if (next === scheduleMs.length) return;
      const waitMs = scheduleMs[next]! - nowMs;
      if (waitMs > 2.5) setTimeout(turn, Math.floor(waitMs - 1.5));
      else if (precise) setImmediate(turn);
      else setTimeout(turn, 1);
    };
    if (scheduleMs.length === 0) resolve();
    else turn();
  });
  client.close();
  return shots.toSorted((a, b) => a.atMs - b.atMs);
}

export interface Latency {
  calls: number;
  /** Anything but 200. */
  failed: number;
  /** With failures as infinite latencies. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Answers per second, over the time from the first departure to the last answer. */
  achievedPerSecond: number;
  /** 99 % left no later than this after they were to. */
  lateP99Ms: number;
}

export function latencyOf(shots: Shot[]): Latency {
  const ms = shots.map((shot) => (shot.status === 200 ? shot.ms : Infinity));
  const answered = shots.filter(({ status }) => status === 200);
  const endMs = answered.reduce((latest, shot) => Math.max(latest, shot.atMs + shot.ms), 0);
  return {
    calls: shots.length,
    failed: shots.length - answered.length,
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
    maxMs: ms.reduce((most, one) => Math.max(most, one), 0),
    achievedPerSecond: (answered.length * 1_000) / (endMs - (shots[0]?.atMs ?? 0)),
    lateP99Ms: percentile(
      shots.map(({ lateMs }) => lateMs),
      0.99,
    ),
  };
}

/** The first few different failures, for the report: a status without its reason says little. */
export function failuresOf(shots: Shot[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const { status, body, error } of shots) {
    if (status === 200) continue;
    const kind = error ?? `${status} ${/"code":"(\w+)"/.exec(body)?.[1] ?? body.slice(0, 80)}`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** https://github.com/bryc/code/blob/master/jshash/PRNGs.md#mulberry32 */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
