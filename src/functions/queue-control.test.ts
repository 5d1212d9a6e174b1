import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { QueueControl } from './queue-control.ts';

/** A queue in front of something that serves `capacity` calls a second, looked at as version-pool.ts does; time passes by itself. */
class Simulation {
  readonly control = new QueueControl();
  readonly #capacity: number;
  now = 0;
  queue: number[] = [];
  late: number[] = [];
  refused = 0;
  lateRefused = 0;
  waits: number[] = [];
  #credit = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get waiting(): number {
    return this.queue.length + this.late.length;
  }

  /** `rate` calls a second for `ms`. */
  run(ms: number, rate: number): void {
    let due = 0;
    for (const end = this.now + ms; this.now < end; this.now++) {
      due += rate / 1000;
      for (; due >= 1; due--) this.#arrive();
      this.#credit = Math.min(1, this.#credit) + this.#capacity / 1000;
      for (; this.#credit >= 1 && this.waiting > 0; this.#credit--) this.#serve();
    }
  }

  #look(): void {
    const times = { serviceMs: 10, timeoutMs: 30_000 };
    if (!this.control.look(this.now, this.waiting, times, true)) return;
    this.late.push(...this.queue.splice(0));
  }

  #arrive(): void {
    this.control.arrived();
    this.#look();
    if (this.control.overloaded) {
      while (this.late.length > 0 && this.now - this.late[0]! > this.control.lateMsMax) {
        this.late.shift();
        this.lateRefused++;
      }
      if (this.queue.length >= this.control.roomWhileOverloaded) {
        this.refused++;
        return;
      }
    }
    if (this.waiting >= 1_000) this.refused++;
    else this.queue.push(this.now);
  }

  #serve(): void {
    const from = this.control.overloaded ? (this.queue.shift() ?? this.late.shift()!) : (this.late.shift() ?? this.queue.shift()!);
    this.waits.push(this.now - from);
    this.control.served(this.waiting);
    this.#look();
  }
}

const p99 = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)]!;

test('at ten times the capacity accepted calls wait little, the rest is refused at once, and the capacity is used', () => {
  const it = new Simulation(200);
  it.run(1_000, 2_000);
  it.waits = [];
  it.run(5_000, 2_000);
  assert.ok(p99(it.waits) < 400, `p99 of the waits is ${p99(it.waits)} ms`);
  assert.ok(it.waits.length > 980, `${it.waits.length} of 1000 were served`);
  assert.ok(it.lateRefused < 700, `${it.lateRefused} were accepted and given up`);
});

test('a burst that nothing follows is served to the last call', () => {
  const it = new Simulation(200);
  it.run(10, 80_000);
  it.run(5_000, 0);
  assert.deepEqual([it.refused, it.lateRefused, it.waits.length], [0, 0, 800]);
});

test('a burst beside ordinary calls is served to the last call as well', () => {
  const it = new Simulation(200);
  it.run(1_000, 100);
  it.run(10, 50_000);
  it.run(10_000, 100);
  assert.deepEqual([it.refused, it.lateRefused], [0, 0]);
});

test('within 2 s after a flood nothing is refused and nobody waits', () => {
  const it = new Simulation(200);
  it.run(5_000, 2_000);
  it.run(2_000, 100);
  it.refused = it.lateRefused = 0;
  it.waits = [];
  it.run(2_000, 150);
  assert.deepEqual([it.refused, it.lateRefused], [0, 0]);
  assert.ok(p99(it.waits) < 20, String(p99(it.waits)));
});

test('clients that ask again when they are answered are never refused, however many', () => {
  const it = new Simulation(200);
  it.run(10, 40_000);
  // One comes for each that is served.
  it.run(5_000, 200);
  assert.equal(it.refused + it.lateRefused, 0);
});

test('when to come again is said from what waits and how fast that is served', () => {
  const it = new Simulation(200);
  assert.equal(it.control.retryAfterS(1_000), 1);
  it.run(3_000, 2_000);
  assert.ok(Math.abs(it.control.retryAfterS(1_000) - 5) <= 1, String(it.control.retryAfterS(1_000)));
});

test('whatever comes, some may always join, and nobody is sent away for less than a second or more than a minute', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 8 }), (phases) => {
      const it = new Simulation(300);
      for (const [ms, rate] of phases) it.run(ms, rate);
      assert.ok(it.control.roomWhileOverloaded >= 1);
      const after = it.control.retryAfterS(it.waiting);
      assert.ok(Number.isInteger(after) && after >= 1 && after <= 60);
      it.run(8_000, 0);
      assert.equal(it.waiting, 0);
    }),
    { numRuns: 30 },
  );
});
