// Streams in memory, and a clock that is told the time, for tests that crash a reader at any point and must replay from a seed. They keep to
// the contract of the port (bus.ts); that the real bus does is what its conformance suite and readers.integration.test.ts show.
import type { Clock } from '../deliver/clock.ts';
import type { NewRecord, PartitionHold, SendBatch, StreamRecord } from '../bus.ts';
import type { StreamBus } from './partition.ts';

interface Consumer {
  position: number;
  state: string | null;
  holder: string;
  receipt: string;
  heldUntil: number | null;
}

export class TestClock implements Clock {
  #now: number;
  #timers: { at: number; run: () => void }[] = [];

  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((one) => one !== timer));
  }

  /** When the next timer is due; undefined: there is none. */
  get nextAt(): number | undefined {
    return this.#timers.length === 0 ? undefined : Math.min(...this.#timers.map(({ at }) => at));
  }

  /** Lets time pass, and what is due happen. */
  set(now: number): void {
    this.#now = Math.max(now, this.#now);
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= this.#now).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) return;
      this.#timers = this.#timers.filter((one) => one !== due);
      due.run();
    }
  }
}

/** One stream, of one key. */
export class MemoryStream {
  readonly #clock: Clock;
  readonly #listeners: ((key: string) => void)[] = [];
  readonly #consumers = new Map<string, Consumer>();
  readonly #latest: number[];
  readonly #gone: number[];
  #receipts = 0;
  readonly records: StreamRecord[][];
  readonly sent: SendBatch[] = [];
  readonly key: string;

  constructor(clock: Clock, key: string, partitions: number) {
    this.#clock = clock;
    this.key = key;
    this.records = Array.from({ length: partitions }, () => []);
    this.#latest = this.records.map(() => 0);
    this.#gone = this.records.map(() => 0);
  }

  append(partition: number, record: Pick<NewRecord, 'id'> & Partial<NewRecord>): void {
    const at = (this.#latest[partition] = Math.max(this.#latest[partition]!, this.#clock.now()));
    const records = this.records[partition]!;
    records.push({ partitionKey: 'k', data: record.id, attributes: {}, ...record, partition, position: records.length + 1, at });
    for (const listener of this.#listeners) listener(this.key);
  }

  seek(consumer: string, partition: number, position: number): void {
    this.#consumers.set(`${consumer} ${partition}`, { position, state: null, holder: '', receipt: '', heldUntil: null });
    for (const listener of this.#listeners) listener(this.key);
  }

  /** What is up to this position is not kept any more. */
  trim(partition: number, position: number): void {
    this.#gone[partition] = position;
  }

  position(consumer: string, partition: number): number | undefined {
    return this.#consumers.get(`${consumer} ${partition}`)?.position;
  }

  /** As one process has it. `fails`: asked before each step. */
  bus(holder: string, fails: (step: string) => void = () => {}): StreamBus {
    const step = async <T>(name: string, work: () => T): Promise<T> => {
      await Promise.resolve();
      fails(name);
      const result = work();
      fails(`${name} done`);
      return result;
    };
    return {
      onReady: (listener) => void this.#listeners.push(listener),
      read: (_key, partition, { after, max }) =>
        step('read', () => {
          const from = Math.max(after, this.#gone[partition]!);
          return this.records[partition]!.slice(from, from + max);
        }),
      advance: (_key, partition, unixMs) =>
        step('advance', () => {
          this.#latest[partition] = Math.max(this.#latest[partition]!, unixMs);
          return this.records[partition]!.length;
        }),
      partitions: () =>
        step('partitions', () =>
          this.records.map((records, partition) => ({
            partition,
            oldest: 1,
            newest: records.length,
            bytes: 0,
            newestAt: records.at(-1)?.at ?? null,
          })),
        ),
      consumers: () =>
        step('consumers', () =>
          [...this.#consumers].map(([name, { position, heldUntil }]) => {
            const [consumer = '', partition] = name.split(' ');
            return { consumer, partition: Number(partition), position, heldUntil };
          }),
        ),
      hold: (_spec, consumer, { max, leaseMs, from }) => step('hold', () => this.#hold(holder, { consumer, max, leaseMs, from })),
      commit: (_key, consumer, hold, to) =>
        step('commit', () => {
          const own = this.#consumers.get(`${consumer} ${hold.partition}`);
          if (own === undefined || own.receipt !== hold.receipt) return false;
          Object.assign(own, { position: to.position, state: to.state, heldUntil: this.#clock.now() + to.leaseMs });
          return true;
        }),
      release: (_key, consumer) =>
        step('release', () => {
          for (const [name, one] of this.#consumers)
            if (name.startsWith(`${consumer} `) && one.holder === holder) Object.assign(one, { holder: '', receipt: '', heldUntil: null });
        }),
      find: () => step('find', () => undefined),
      send: (batches) =>
        step('send', () => {
          this.sent.push(...batches);
          return batches.map(({ messages }) => messages.map(({ id }) => ({ result: 'sent' as const, id, sequence: '1' })));
        }),
    };
  }

  #hold(
    holder: string,
    { consumer, max, leaseMs, from }: { consumer: string; max: number; leaseMs: number; from: string },
  ): PartitionHold[] {
    const holds: PartitionHold[] = [];
    const known = [...this.#consumers.keys()].some((name) => name.startsWith(`${consumer} `));
    for (const [partition, records] of this.records.entries()) {
      const name = `${consumer} ${partition}`;
      let own = this.#consumers.get(name);
      if (own === undefined) {
        const position = known || from === 'oldest' ? 0 : records.length;
        this.#consumers.set(name, (own = { position, state: null, holder: '', receipt: '', heldUntil: null }));
      }
      const free = own.holder === '' || own.holder === holder || (own.heldUntil ?? 0) <= this.#clock.now();
      if (!free || holds.length >= max) continue;
      const receipt = own.holder === holder && own.receipt !== '' ? own.receipt : `r${++this.#receipts}`;
      Object.assign(own, { holder, receipt, heldUntil: this.#clock.now() + leaseMs });
      holds.push({ partition, position: own.position, state: own.state, receipt });
    }
    return holds;
  }
}
