// What every adapter of the Bus port must do. Run by bus.integration.test.ts over all of them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import type { Bus, NewMessage, QueueSpec } from './bus.ts';

/** What an adapter brings: a place where nothing is stored yet, whose clock the test moves. */
export interface BusUnderTest extends AsyncDisposable {
  /** A process of its own, as far as the bus can tell. */
  bus(holder: string): Bus;
  clock: TestClock;
}

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

const LEASE_MS = 30_000;
const ALL = { max: 1000, bytesMax: 10_000_000, leaseMs: LEASE_MS };

function queueSpec(name: string, over: Partial<QueueSpec> = {}): QueueSpec {
  const key = `shop/queue/${name}`;
  return {
    key,
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

function message(body: string, over: Partial<NewMessage> = {}): NewMessage {
  return { id: newId('msg'), body, attributes: {}, ...over };
}

export function busConformance(name: string, open: () => Promise<BusUnderTest>): void {
  describe(`${name} bus`, () => {
    test('what was sent is received as it was, once, and is gone when it is done', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('orders');
      const sent = message('{"n":1,"text":"straße \\u0000 😀"}', { attributes: { a: '1', 'with "quotes", {braces}': '\\' } });
      const [[result]] = (await bus.send([{ queue, messages: [sent] }])) as [[{ result: string; id: string; sequence: string }]];
      assert.equal(result.result, 'sent');
      const { messages, nextAt } = await bus.receive(queue, ALL);
      assert.equal(messages.length, 1);
      const { receipt, ...received } = messages[0]!;
      assert.deepEqual(received, {
        id: sent.id,
        body: sent.body,
        attributes: sent.attributes,
        group: null,
        deduplicationId: null,
        sequence: result.sequence,
        sentAt: place.clock.now(),
        firstReceivedAt: place.clock.now(),
        attempt: 1,
        lastError: null,
        state: 'held',
        dueAt: place.clock.now() + LEASE_MS,
        died: null,
      });
      assert.equal(nextAt, place.clock.now() + LEASE_MS);
      assert.deepEqual((await bus.receive(queue, ALL)).messages, []);
      assert.deepEqual(await bus.settle(queue, [{ receipt, as: 'done' }]), [true]);
      assert.deepEqual(await bus.settle(queue, [{ receipt, as: 'done' }]), [false]);
      assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: undefined });
      assert.deepEqual(await bus.stats([queue.key]), [
        { key: queue.key, pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null, sent: 1, done: 1, retried: 0, dead: 0 },
      ]);
    });

    test('many senders at once: everything is there once', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('many');
      await Promise.all(Array.from({ length: 500 }, (_, n) => bus.send([{ queue, messages: [message(`${n}`)] }])));
      const seen = new Set<string>();
      for (;;) {
        const { messages } = await bus.receive(queue, { ...ALL, max: 70 });
        if (messages.length === 0) break;
        for (const { body } of messages) seen.add(body);
        assert.ok(
          (
            await bus.settle(
              queue,
              messages.map(({ receipt }) => ({ receipt, as: 'done' as const })),
            )
          ).every(Boolean),
        );
      }
      assert.equal(seen.size, 500);
    });

    test('a message that is retried comes again after its delay, with its error', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('retries');
      await bus.send([{ queue, messages: [message('a')] }]);
      const [first] = (await bus.receive(queue, ALL)).messages;
      await bus.settle(queue, [{ receipt: first!.receipt, as: 'retry', delayMs: 5_000, error: 'it broke' }]);
      assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: place.clock.now() + 5_000 });
      place.clock.pass(5_000);
      const [again] = (await bus.receive(queue, ALL)).messages;
      assert.deepEqual([again!.attempt, again!.lastError, again!.id], [2, 'it broke', first!.id]);
    });

    test('a message that is rejected is in the queue of dead letters', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('rejected');
      await bus.send([{ queue, messages: [message('a')] }]);
      const [held] = (await bus.receive(queue, ALL)).messages;
      assert.deepEqual(await bus.settle(queue, [{ receipt: held!.receipt, as: 'dead', error: 'no such order' }]), [true]);
      const [dead] = await bus.peek(queue.dead!, { limit: 10 });
      assert.deepEqual(dead!.died, { from: queue.key, reason: 'rejected', at: place.clock.now() });
      assert.deepEqual([dead!.id, dead!.attempt, dead!.lastError], [held!.id, 1, 'no such order']);
    });

    test('a message that was received as often as it may be dies instead of coming again', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('poison', { receivesMax: 2 });
      await bus.send([{ queue, messages: [message('a')] }]);
      for (let n = 1; n <= 2; n++) {
        assert.equal((await bus.receive(queue, ALL)).messages[0]!.attempt, n);
        place.clock.pass(LEASE_MS);
      }
      assert.deepEqual((await bus.receive(queue, ALL)).messages, []);
      const [dead] = await bus.peek(queue.dead!, { limit: 10 });
      assert.deepEqual([dead!.died?.reason, dead!.attempt], ['receives', 2]);
    });

    test('a queue that is full takes nothing of a call, and the calls beside it pass', async () => {
      await using place = await open();
      await using bus = place.bus('edge');
      const queue = queueSpec('full', { messagesMax: 3 });
      const outcomes = await Promise.allSettled([
        bus.send([{ queue, messages: [message('a'), message('b')] }]),
        bus.send([{ queue, messages: [message('c'), message('d')] }]),
        bus.send([{ queue, messages: [message('e')] }]),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'sent' : (outcome.reason as { code: string }).code)),
        ['sent', 'queue_full', 'sent'],
      );
      assert.deepEqual(
        (await bus.peek(queue.key, { limit: 10 })).map(({ body }) => body),
        ['a', 'b', 'e'],
      );
    });

    test('what an earlier process of the holder held is given back at once', async () => {
      await using place = await open();
      await using other = place.bus('other');
      const queue = queueSpec('recovered');
      const bus = place.bus('edge');
      await bus.send([{ queue, messages: [message('a'), message('b')] }]);
      await bus.receive(queue, { ...ALL, max: 1 });
      await other.receive(queue, { ...ALL, max: 1 });
      await bus[Symbol.asyncDispose]();
      await using again = place.bus('edge');
      assert.deepEqual((await again.receive(queue, ALL)).messages, []);
      await again.recover();
      assert.deepEqual(
        (await again.receive(queue, ALL)).messages.map(({ body, attempt }) => [body, attempt]),
        [['a', 2]],
      );
    });

    test('who listens hears of messages that another process sent', async () => {
      await using place = await open();
      await using sender = place.bus('control');
      await using bus = place.bus('edge');
      const queue = queueSpec('heard');
      const heard = new EventWaiter<string>();
      bus.onReady(heard.push);
      await sender.send([{ queue, messages: [message('a')] }]);
      await heard.until((key) => key === queue.key);
    });
  });
}

/** Waits for one of the values that come in. */
class EventWaiter<T> {
  readonly #seen: T[] = [];
  readonly #waiting: { matches: (value: T) => boolean; resolve: () => void }[] = [];

  readonly push = (value: T): void => {
    this.#seen.push(value);
    for (const { matches, resolve } of this.#waiting) if (matches(value)) resolve();
  };

  until(matches: (value: T) => boolean): Promise<void> {
    if (this.#seen.some(matches)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }
}
