// A bus in memory with a clock that a test moves, so that what the engine decides can be seen to the millisecond and replayed from a seed.
// Only what the engine asks of a bus. The real one is met in deliveries.integration.test.ts. Used by the tests of this folder.
import { VirgaError } from '../../protocol/errors.ts';
import type { Bus, NewMessage, QueueSpec, ReceiveAnswer, ReceiveOptions, Settlement } from '../bus.ts';
import type { Clock } from './clock.ts';

export class TestClock implements Clock {
  #now = 1_000_000;
  #timers: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  now(): number {
    return this.#now;
  }

  get timers(): number {
    return this.#timers.length;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  /** Somebody sets the clock; what waits for a time that passes is not moved. */
  set(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) timer.at += ms;
  }

  /** What is due meanwhile happens at its time. */
  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settled();
      const next = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at || a.order - b.order)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = until;
    await settled();
  }
}

/** All that promises have to say has been said. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

interface Stored extends NewMessage {
  sequence: number;
  sentAt: number;
  dueAt: number;
  attempt: number;
  receipt: string | undefined;
  firstReceivedAt: number | null;
}

export class MemoryBus implements Pick<Bus, 'receive' | 'settle' | 'onReady' | 'due'> {
  readonly queues = new Map<string, Stored[]>();
  /** All that was settled, in order. */
  readonly settlements: { key: string; id: string; settlement: Settlement }[] = [];
  readonly receives: { key: string; max: number; got: number }[] = [];
  readonly dead: { key: string; id: string; error: string | undefined }[] = [];
  away = false;
  /** What it says while it is away. */
  trouble: 'unavailable' | 'disk_full' = 'unavailable';
  /** Settling takes until it resolves. */
  stuck: Promise<void> | undefined;
  /** Calls of settle(). */
  settles = 0;
  /** Happens after a receive has looked, and before it answers. */
  during: (() => void) | undefined;
  /** Receives of this queue fail, of no other. */
  broken = '';
  readonly #clock: TestClock;
  #listener: (key: string) => void = () => {};
  #sequence = 0;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  /** For the engine, which asks for no more of it. */
  get bus(): Bus {
    return this as unknown as Bus;
  }

  send(queue: QueueSpec, messages: (Partial<NewMessage> & { id: string })[], options: { silent?: boolean } = {}): void {
    const stored = this.#of(queue.key);
    for (const message of messages) {
      const now = this.#clock.now();
      const fresh = { body: message.id, attributes: {}, ...message, attempt: 0, receipt: undefined, firstReceivedAt: null };
      stored.push({ ...fresh, sequence: ++this.#sequence, sentAt: now, dueAt: now + (message.delayMs ?? 0) });
    }
    if (options.silent !== true) this.#listener(queue.key);
  }

  onReady(listener: (key: string) => void): void {
    this.#listener = listener;
  }

  async due(): Promise<{ key: string; at: number }[]> {
    await Promise.resolve();
    this.#mustAnswer();
    const due = [...this.queues].flatMap(([key, stored]) => {
      const at = Math.min(...stored.map(({ dueAt }) => dueAt));
      return at === Infinity ? [] : [{ key, at }];
    });
    return due;
  }

  async receive(queue: QueueSpec, { max, bytesMax, leaseMs }: ReceiveOptions): Promise<ReceiveAnswer> {
    await Promise.resolve();
    this.#mustAnswer();
    if (queue.key === this.broken) throw new VirgaError('internal', 'a fault');
    const now = this.#clock.now();
    const stored = this.#of(queue.key);
    const taken: Stored[] = [];
    let bytes = 0;
    /** A group has its earliest message first, whoever has it. */
    const closed = new Set<string>();
    for (const message of stored) {
      const { group } = message;
      if (queue.fifo && group !== undefined && closed.has(group)) continue;
      if (message.dueAt > now) {
        if (queue.fifo && group !== undefined) closed.add(group);
        continue;
      }
      if (taken.length >= max || (taken.length > 0 && bytes + message.body.length > bytesMax)) break;
      bytes += message.body.length;
      taken.push(message);
    }
    for (const message of taken) {
      message.receipt = `${message.sequence}.${++this.#sequence}`;
      message.dueAt = now + leaseMs;
      message.attempt++;
      message.firstReceivedAt ??= now;
    }
    this.receives.push({ key: queue.key, max, got: taken.length });
    const answered = [...stored];
    this.during?.();
    const open = answered.filter(
      ({ group }) => !queue.fifo || group === undefined || !stored.some((one) => one.group === group && one.dueAt > now),
    );
    const nextAt = Math.min(...open.map(({ dueAt }) => dueAt), ...answered.filter(({ dueAt }) => dueAt > now).map(({ dueAt }) => dueAt));
    return {
      messages: taken.map(
        ({ id, body, attributes, group, deduplicationId, sequence, sentAt, firstReceivedAt, attempt, receipt, dueAt }) => ({
          id,
          body,
          attributes,
          group: group ?? null,
          deduplicationId: deduplicationId ?? null,
          sequence: String(sequence),
          sentAt,
          firstReceivedAt,
          attempt,
          lastError: null,
          state: 'held',
          dueAt,
          died: null,
          receipt: receipt!,
        }),
      ),
      nextAt: nextAt === Infinity ? undefined : nextAt,
    };
  }

  async settle(queue: QueueSpec, settlements: Settlement[]): Promise<boolean[]> {
    this.settles++;
    await this.stuck;
    this.#mustAnswer();
    const now = this.#clock.now();
    const stored = this.#of(queue.key);
    const still = settlements.map((settlement) => {
      const message = stored.find(({ receipt }) => receipt === settlement.receipt);
      if (message === undefined) return false;
      this.settlements.push({ key: queue.key, id: message.id, settlement });
      if (settlement.as === 'extend') {
        message.dueAt = now + settlement.leaseMs;
        return true;
      }
      message.receipt = undefined;
      if (settlement.as === 'retry') {
        message.dueAt = now + settlement.delayMs;
        if (settlement.unseen === true) message.attempt--;
      } else stored.splice(stored.indexOf(message), 1);
      if (settlement.as === 'dead') this.dead.push({ key: queue.key, id: message.id, error: settlement.error });
      return true;
    });
    this.#listener(queue.key);
    return still;
  }

  #of(key: string): Stored[] {
    let stored = this.queues.get(key);
    if (stored === undefined) this.queues.set(key, (stored = []));
    return stored;
  }

  #mustAnswer(): void {
    if (this.away) throw new VirgaError(this.trouble, 'the bus is away');
  }
}
