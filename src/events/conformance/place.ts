// What the parts of the conformance suite share: the place that an adapter brings, its clock, and shorthands.
import assert from 'node:assert/strict';
import { newId } from '../../lib/ids.ts';
import type { Bus, NewMessage, QueueSpec, ReceivedMessage, ReceiveOptions, Settlement, StreamSpec } from '../bus.ts';

/** A place where nothing is stored yet, whose clock the test moves. */
export interface BusUnderTest extends AsyncDisposable {
  /** Of a process of its own, as far as the bus can tell. Disposed of with the place. */
  bus(holder: string): Bus;
  /** It is gone, as with kill -9: it settles nothing and gives nothing back. */
  crash(bus: Bus): Promise<void>;
  /** Breaks every connection to what stores, at once. It is there again at once. */
  cut(): Promise<void>;
  /** A bus whose next receive, whenever `lose` was said, is done and its answer lost. */
  hardOfHearing(holder: string): Promise<{ bus: Bus; lose: () => void }>;
  /** A process that sends to a queue with as many calls at once as it can; `onSent` hears the bodies of what was acknowledged. */
  sender(queue: QueueSpec, onSent: (body: string) => void): Promise<{ kill(): Promise<void> }>;
  clock: TestClock;
}

export type Open = () => Promise<BusUnderTest>;

/** The clock of all buses of a test. */
export class TestClock {
  #nowMs = Date.parse('2026-11-21T12:00:00Z');
  #monotonicMs = 1_000_000;

  readonly now = (): number => this.#nowMs;
  readonly monotonic = (): number => this.#monotonicMs;

  /** Time passes. */
  pass(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
  }

  /** Somebody sets the clock. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }
}

export const LEASE_MS = 30_000;
export const ALL: ReceiveOptions = { max: 1000, bytesMax: 10_000_000, leaseMs: LEASE_MS };

export function queueSpec(name: string, over: Partial<QueueSpec> = {}): QueueSpec {
  return {
    key: `shop/queue/${name}`,
    fifo: false,
    retentionMs: 86_400_000,
    deduplicationMs: 0,
    receivesMax: 5,
    messagesMax: 100_000,
    bytesMax: 100_000_000,
    dead: `shop/dead/queue/${name}`,
    ...over,
  };
}

export function streamSpec(name: string, over: Partial<StreamSpec> = {}): StreamSpec {
  return { key: `shop/stream/${name}`, partitions: 3, retentionMs: 86_400_000, bytesMax: 100_000_000, ...over };
}

export function message(body: string, over: Partial<NewMessage> = {}): NewMessage {
  return { id: newId('msg'), body, attributes: {}, ...over };
}

export async function send(bus: Bus, queue: QueueSpec, ...messages: (string | NewMessage)[]): Promise<void> {
  await bus.send([{ queue, messages: messages.map((one) => (typeof one === 'string' ? message(one) : one)) }]);
}

export async function receive(bus: Bus, queue: QueueSpec, over: Partial<ReceiveOptions> = {}): Promise<ReceivedMessage[]> {
  return (await bus.receive(queue, { ...ALL, ...over })).messages;
}

export function bodies(messages: { body: string }[]): string[] {
  return messages.map(({ body }) => body);
}

/** All that is there, received and done until nothing comes any more; in the order of receiving. */
export async function drain(bus: Bus, queue: QueueSpec, over: Partial<ReceiveOptions> = {}): Promise<ReceivedMessage[]> {
  const all: ReceivedMessage[] = [];
  for (;;) {
    const messages = await receive(bus, queue, over);
    if (messages.length === 0) return all;
    all.push(...messages);
    await settleAll(bus, queue, messages, { as: 'done' });
  }
}

type How =
  | { as: 'done' }
  | { as: 'retry'; delayMs: number; error?: string; unseen?: true }
  | { as: 'dead'; error?: string }
  | { as: 'extend'; leaseMs: number };

export async function settle(bus: Bus, queue: QueueSpec, messages: ReceivedMessage[], how: How): Promise<boolean[]> {
  return await bus.settle(
    queue,
    messages.map(({ receipt }): Settlement => ({ receipt, ...how })),
  );
}

export async function settleAll(bus: Bus, queue: QueueSpec, messages: ReceivedMessage[], how: How): Promise<void> {
  assert.ok((await settle(bus, queue, messages, how)).every(Boolean), 'a message was not held any more');
}

export async function counted(
  bus: Bus,
  key: string,
): Promise<Record<'pending' | 'delayed' | 'held' | 'sent' | 'done' | 'retried' | 'dead', number>> {
  const [stats] = await bus.stats([key]);
  const { pending, delayed, held, sent, done, retried, dead } = stats!;
  return { pending, delayed, held, sent, done, retried, dead };
}

/** What the bus rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return await promise.then(
    () => undefined,
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}

/** Waits for one of the values that come in. */
export class Heard<T> {
  readonly #seen: T[] = [];
  readonly #waiting: { matches: (seen: T[]) => boolean; resolve: () => void }[] = [];

  readonly push = (value: T): void => {
    this.#seen.push(value);
    for (const { matches, resolve } of this.#waiting) if (matches(this.#seen)) resolve();
  };

  forget(): void {
    this.#seen.length = 0;
  }

  until(matches: (seen: T[]) => boolean): Promise<void> {
    if (matches(this.#seen)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }
}
