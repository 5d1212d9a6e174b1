// A random schedule over groups, from a seed: two senders, three receivers that finish, fail, hang, crash, extend and are late, several at
// once; and what must hold in each. A failure prints its seed: VIRGA_TEST_SEED runs it again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus, ReceivedMessage, Settlement } from '../bus.ts';
import { counted, drain, LEASE_MS, message, queueSpec, receive, settle } from './place.ts';
import type { BusUnderTest, Open } from './place.ts';

const ROUNDS = 120;
const GROUPS = 5;
const queue = queueSpec('random', { fifo: true, receivesMax: 1_000 });

/** Deterministic, from 0 to less than 1. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Holding {
  receiver: Receiver;
  message: ReceivedMessage;
  until: number;
}

interface Receiver {
  name: string;
  bus: Bus;
}

class Schedule {
  readonly #place: BusUnderTest;
  readonly #random: () => number;
  readonly #senders: Bus[];
  readonly #receivers: Receiver[];
  readonly #holdings = new Map<string, Holding>();
  /** By group: sequences that were sent, and those that are settled for good, or are about to be. */
  readonly #sent = new Map<string, bigint[]>();
  /** With the receipts that they were settled under. */
  readonly #over = new Map<bigint, Set<string>>();
  #bodies = 0;

  constructor(place: BusUnderTest, random: () => number) {
    this.#place = place;
    this.#random = random;
    this.#senders = [place.bus('sender 1'), place.bus('sender 2')];
    this.#receivers = ['a', 'b', 'c'].map((name) => ({ name, bus: place.bus(name) }));
  }

  async run(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: 1 + this.#below(4) }, () => this.#step()));
      if (this.#random() < 0.1) this.#pass(this.#random() < 0.3 ? LEASE_MS : this.#below(3_000));
      if (this.#random() < 0.04) await this.#crash();
    }
    // Whoever holds something now is silent for ever.
    this.#pass(LEASE_MS);
    const rest = await drain(this.#receivers[0]!.bus, queue);
    for (const { sequence, receipt } of rest) this.#isOver(BigInt(sequence), receipt);
    const all = [...this.#sent.values()].flat();
    assert.equal(this.#over.size, all.length, 'every message is settled in the end');
    const { sent, done, dead, pending, held, delayed } = await counted(this.#senders[0]!, queue.key);
    assert.deepEqual([sent, done + dead, pending, held, delayed], [all.length, all.length, 0, 0, 0], 'the statistics are exact');
  }

  async #step(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.3) await this.#send();
    else if (dice < 0.65) await this.#receive();
    else await this.#settle();
  }

  async #send(): Promise<void> {
    const group = `g${this.#below(GROUPS)}`;
    const messages = Array.from({ length: 1 + this.#below(4) }, () => {
      const delayMs = this.#random() < 0.1 ? this.#below(2_000) : 0;
      return message(`${this.#bodies++}`, { group, delayMs });
    });
    const [results] = await this.#senders[this.#below(2)]!.send([{ queue, messages }]);
    const sequences = results!.map((result) => BigInt((result as { sequence: string }).sequence));
    this.#sent.set(group, [...(this.#sent.get(group) ?? []), ...sequences]);
  }

  async #receive(): Promise<void> {
    const receiver = this.#receivers[this.#below(this.#receivers.length)]!;
    const messages = await receive(receiver.bus, queue, { max: 1 + this.#below(8) });
    const ofGroups = Map.groupBy(messages, ({ group }) => group!);
    for (const [group, ofGroup] of ofGroups) {
      for (const holding of this.#holdings.values()) {
        if (holding.message.group !== group || holding.until <= this.#place.clock.now()) continue;
        assert.fail(`${receiver.name} got ${group} while ${holding.receiver.name} holds ${holding.message.body} of it`);
      }
      const sequences = ofGroup.map(({ sequence }) => BigInt(sequence));
      assert.deepEqual(
        sequences,
        sequences.toSorted((a, b) => (a < b ? -1 : 1)),
        'in order',
      );
      const last = sequences.at(-1)!;
      const earlier = (this.#sent.get(group) ?? []).filter((sequence) => sequence < last && !this.#over.has(sequence));
      for (const sequence of earlier) assert.ok(sequences.includes(sequence), `${sequence} of ${group} was passed over for ${last}`);
    }
    for (const one of messages) {
      this.#holdings.set(one.receipt, { receiver, message: one, until: this.#place.clock.now() + LEASE_MS });
    }
  }

  async #settle(): Promise<void> {
    const holder = this.#receivers[this.#below(this.#receivers.length)]!;
    const own = [...this.#holdings.values()].filter(({ receiver }) => receiver === holder);
    const chosen = own.filter(() => this.#random() < 0.7);
    if (chosen.length === 0) return;
    const settlements = chosen.map((holding) => this.#decide(holding));
    const lively = chosen.map(({ until }) => until > this.#place.clock.now());
    const settled = await holder.bus.settle(queue, settlements);
    for (const [i, holding] of chosen.entries()) {
      const released = chosen.some(
        ({ message: other }, j) =>
          settlements[j]!.as === 'retry' &&
          other.group === holding.message.group &&
          BigInt(other.sequence) < BigInt(holding.message.sequence),
      );
      // What was released, here or by an earlier call, may be settled or not; all else that is held must be.
      if (lively[i]! && !released && this.#holdings.has(holding.message.receipt)) assert.ok(settled[i], `${holding.message.body} was held`);
      if (!settled[i] && ['done', 'dead'].includes(settlements[i]!.as))
        this.#isNotOver(BigInt(holding.message.sequence), holding.message.receipt);
      if (settled[i] && settlements[i]!.as === 'extend') holding.until = this.#place.clock.now() + LEASE_MS;
      else this.#holdings.delete(holding.message.receipt);
    }
  }

  #decide(holding: Holding): Settlement {
    const { receipt, sequence, group } = holding.message;
    const dice = this.#random();
    if (dice < 0.2) {
      return { receipt, as: 'extend', leaseMs: LEASE_MS };
    }
    // From here on others may get the group: what is decided counts as happened.
    this.#holdings.delete(receipt);
    if (dice < 0.4) {
      for (const [key, other] of this.#holdings) {
        if (other.message.group === group && BigInt(other.message.sequence) > BigInt(sequence)) this.#holdings.delete(key);
      }
      return { receipt, as: 'retry', delayMs: this.#below(2) * this.#below(2_000) };
    }
    this.#isOver(BigInt(sequence), receipt);
    return dice < 0.5 ? { receipt, as: 'dead' } : { receipt, as: 'done' };
  }

  async #crash(): Promise<void> {
    const receiver = this.#receivers[this.#below(this.#receivers.length)]!;
    await this.#place.crash(receiver.bus);
    for (const [key, holding] of this.#holdings) if (holding.receiver === receiver) this.#holdings.delete(key);
    receiver.bus = this.#place.bus(receiver.name);
    await receiver.bus.recover();
  }

  #isOver(sequence: bigint, receipt: string): void {
    this.#over.set(sequence, (this.#over.get(sequence) ?? new Set()).add(receipt));
  }

  /** Under this receipt; another may have done it. */
  #isNotOver(sequence: bigint, receipt: string): void {
    const receipts = this.#over.get(sequence);
    receipts?.delete(receipt);
    if (receipts?.size === 0) this.#over.delete(sequence);
  }

  #pass(ms: number): void {
    this.#place.clock.pass(ms);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
}

export function scheduleTests(open: Open, seed: number): void {
  test(`a random schedule keeps the order of groups and loses nothing (seed ${seed})`, async () => {
    await using place = await open();
    await new Schedule(place, randomFrom(seed)).run();
  });

  test('what is settled after its lease has passed changes nothing', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    await bus.send([{ queue, messages: ['1', '2'].map((body) => message(body, { group: 'g' })) }]);
    const held = await receive(bus, queue);
    place.clock.pass(LEASE_MS);
    const taken = await receive(other, queue, { max: 1 });
    assert.deepEqual(await settle(bus, queue, held, { as: 'retry', delayMs: 0 }), [false, false]);
    assert.deepEqual(await receive(bus, queue), []);
    assert.deepEqual(await settle(other, queue, taken, { as: 'done' }), [true]);
  });
}
