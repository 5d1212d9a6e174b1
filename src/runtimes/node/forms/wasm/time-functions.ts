// WASI's functions for time and for waiting. Invariant: a program that waits is suspended, so that others of the same instance
// go on, and what it has written until then is on its way. One table for each run, made by imports.ts.
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { Clock, EVENT_BYTES, Errno, POLL_ABSOLUTE, Poll, SUBSCRIPTION_BYTES } from './codes.ts';
import type { WasiTable } from './fd-functions.ts';
import type { Run } from './run.ts';

const SUBSCRIPTIONS_MAX = 1024;
/** What setTimeout takes at most; a longer sleep outlives every deadline. */
const SLEEP_MS_MAX = 0x7fff_ffff;
const RESOLUTION_NS = 1_000n;

type TimeFunction = Extract<WasiFunction, `clock_${string}`> | 'poll_oneoff' | 'sched_yield';

interface Subscription {
  userdata: bigint;
  tag: number;
  /** Clock: how long to wait. */
  ms: number;
  /** Descriptor: why it is ready at once with an error, 0 for none. */
  errno: number;
  wait: (() => Promise<void> | undefined) | undefined;
}

export function timeFunctions(run: Run): WasiTable<TimeFunction> {
  const { memory } = run;
  return {
    clock_res_get: (clock: number, at: number) => {
      if (now(clock) === undefined) return Errno.invalid;
      memory.u64(at, RESOLUTION_NS);
      return Errno.success;
    },
    clock_time_get: (clock: number, _precision: bigint, at: number) => {
      const time = now(clock);
      if (time === undefined) return Errno.invalid;
      memory.u64(at, time);
      return Errno.success;
    },
    poll_oneoff: (at: number, eventsAt: number, count: number, doneAt: number) => {
      if (count === 0 || count >>> 0 > SUBSCRIPTIONS_MAX) return Errno.invalid;
      const subscriptions = Array.from({ length: count }, (_, i) => subscriptionAt(run, at + i * SUBSCRIPTION_BYTES));
      const answer = (ready: Subscription[]): number => {
        for (const [i, one] of ready.entries()) writeEvent(run, eventsAt + i * EVENT_BYTES, one);
        memory.u32(doneAt, ready.length);
        return Errno.success;
      };
      const ready = subscriptions.filter(isReady);
      if (ready.length > 0) return answer(ready);
      return waitForOne(run, subscriptions).then((one) => answer([one]));
    },
    sched_yield: () => run.suspend(new Promise<void>((resolve) => setImmediate(resolve))).then(() => Errno.success),
  };
}

/** ns; undefined: there is no such clock. */
function now(clock: number): bigint | undefined {
  if (clock === Clock.realtime) return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  if (clock === Clock.monotonic) return process.hrtime.bigint();
  if (clock !== Clock.process && clock !== Clock.thread) return undefined;
  const { user, system } = process.cpuUsage();
  return BigInt(user + system) * 1000n;
}

function subscriptionAt({ memory, descriptors }: Run, at: number): Subscription {
  const tag = memory.readU8(at + 8);
  const one: Subscription = { userdata: memory.readU64(at), tag, ms: 0, errno: 0, wait: undefined };
  if (tag === Poll.clock) {
    const clock = now(memory.readU32(at + 16));
    const timeout = memory.readU64(at + 24);
    if (clock === undefined) return { ...one, errno: Errno.invalid };
    const span = (memory.readU16(at + 40) & POLL_ABSOLUTE) === 0 ? timeout : timeout - clock;
    return { ...one, ms: Math.min(SLEEP_MS_MAX, Number(span) / 1e6) };
  }
  try {
    const found = descriptors.get(memory.readU32(at + 16));
    // Files and what is written to are always ready.
    return { ...one, wait: tag === Poll.read && found.kind === 'stream' ? found.wait : undefined };
  } catch {
    return { ...one, errno: Errno.badDescriptor };
  }
}

function isReady(one: Subscription): boolean {
  if (one.errno !== 0) return true;
  return one.tag === Poll.clock ? one.ms <= 0 : one.wait?.() === undefined;
}

async function waitForOne(run: Run, subscriptions: Subscription[]): Promise<Subscription> {
  const sleep = subscriptions.filter(({ tag }) => tag === Poll.clock).toSorted((a, b) => a.ms - b.ms)[0];
  let timer: NodeJS.Timeout | undefined;
  const waits = subscriptions.flatMap((one) => {
    const wait = one.tag === Poll.clock ? undefined : one.wait?.();
    return wait === undefined ? [] : [wait.then(() => one)];
  });
  if (sleep !== undefined) waits.push(new Promise((resolve) => (timer = setTimeout(resolve, sleep.ms, sleep))));
  try {
    return await run.suspend(Promise.race(waits));
  } finally {
    clearTimeout(timer);
  }
}

function writeEvent({ memory }: Run, at: number, { userdata, tag, errno }: Subscription): void {
  memory.fill(at, EVENT_BYTES);
  memory.u64(at, userdata);
  memory.u16(at + 8, errno);
  memory.u8(at + 10, tag);
  // How much can be read or written is not known before: at least one byte.
  if (tag !== Poll.clock) memory.u64(at + 16, 1n);
}
