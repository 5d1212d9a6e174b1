// The engine over the bus on PostgreSQL: what is sent by another process reaches a handler, two nodes share a queue, outcomes are durable, and
// a database that goes away is waited for.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import type { QueueSpec, ReceivedMessage } from '../bus.ts';
import { PostgresBus } from '../postgres/postgres.ts';
import { deadKey, queueKey } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import { systemClock } from './clock.ts';
import { Deliveries } from './deliveries.ts';
import type { Verdict } from './delivery-kind.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

function queueOf(name: string, fifo = false): QueueSpec {
  const key = queueKey('shop', 'queue', name);
  return { key, fifo, retentionMs: 1e9, deduplicationMs: 0, receivesMax: 100, messagesMax: 1e9, bytesMax: 1e12, dead: deadKey(key) };
}

function consumerOf(queue: QueueSpec, rules: Partial<Consumer> = {}): Consumer {
  const retry = { attempts: 3, delayMs: 20, maxDelayMs: 100 };
  return {
    queue,
    function: 'f',
    kind: 'queue',
    source: 'q',
    batch: 10,
    waitMs: 0,
    concurrency: undefined,
    retry,
    filter: undefined,
    ...rules,
  };
}

type Handler = (messages: ReceivedMessage[]) => Promise<Verdict[]> | Verdict[];

class Node implements AsyncDisposable {
  readonly bus: PostgresBus;
  readonly deliveries: Deliveries;

  constructor(database: TestDatabase, holder: string, consumer: Consumer, handle: Handler) {
    const log = (): void => {};
    this.bus = new PostgresBus({ connection: database.connection, holder, log });
    this.deliveries = new Deliveries({
      bus: this.bus,
      kinds: { queue: { deliver: async (_consumer, messages) => await handle(messages) } },
      invoker: { capacity: () => 10, pressed: false },
      limits: { deliveriesMax: 100, deliveryBytesMax: 1e8 },
      clock: systemClock,
      random: Math.random,
      log,
    });
    this.deliveries.setConsumers([consumer]);
    this.deliveries.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.deliveries.close(1_000);
    await this.bus[Symbol.asyncDispose]();
  }
}

/** Resolves once there are as many. */
class Tally {
  readonly ids: string[] = [];
  #wanted = Infinity;
  #reached: () => void = () => {};

  add(messages: { id: string }[]): void {
    this.ids.push(...messages.map(({ id }) => id));
    if (this.ids.length >= this.#wanted) this.#reached();
  }

  async count(wanted: number): Promise<void> {
    if (this.ids.length >= wanted) return;
    this.#wanted = wanted;
    await new Promise<void>((resolve) => (this.#reached = resolve));
  }
}

const messages = (count: number, prefix = 'm', group?: string) =>
  Array.from({ length: count }, (_, i) => ({
    id: `${prefix}${i + 1}`,
    body: '{}',
    attributes: {},
    ...(group === undefined ? {} : { group }),
  }));
const done = (all: ReceivedMessage[]): Verdict[] => all.map(() => ({ as: 'done' }));

describe('deliveries over PostgreSQL', () => {
  test('what another process sends is delivered, and gone when it was', async () => {
    await using database = await postgres.database();
    const queue = queueOf('orders');
    const tally = new Tally();
    await using sender = new PostgresBus({ connection: database.connection, holder: 'sender', log: () => {} });
    {
      await using node = new Node(database, 'a', consumerOf(queue), (all) => {
        tally.add(all);
        return done(all);
      });
      await sender.send([{ queue, messages: messages(1_000) }]);
      await tally.count(1_000);
      assert.ok(node.deliveries.stats()[0]!.received >= 1_000);
    }
    // What had become of them was settled before it closed.
    const [stats] = await sender.stats([queue.key]);
    assert.deepEqual([stats!.done, stats!.pending, stats!.held], [1_000, 0, 0]);
    assert.equal(new Set(tally.ids).size, 1_000);
  });

  test('two nodes share a queue, and nothing comes to both', async () => {
    await using database = await postgres.database();
    const queue = queueOf('orders');
    const tally = new Tally();
    const of = { a: 0, b: 0 };
    const both = Promise.withResolvers<void>();
    const handler =
      (name: 'a' | 'b'): Handler =>
      async (all) => {
        of[name] += all.length;
        // The first of them waits for the other.
        if (of.a > 0 && of.b > 0) both.resolve();
        await both.promise;
        tally.add(all);
        return done(all);
      };
    await using a = new Node(database, 'a', consumerOf(queue, { concurrency: 2 }), handler('a'));
    await using b = new Node(database, 'b', consumerOf(queue, { concurrency: 2 }), handler('b'));
    await a.bus.send([{ queue, messages: messages(500) }]);
    await tally.count(500);
    assert.ok(b.deliveries.stats()[0]!.received > 0);
    assert.equal(new Set(tally.ids).size, 500);
    assert.equal(tally.ids.length, 500);
  });

  test('a message that keeps failing ends among the dead letters, with what was said of it last', async () => {
    await using database = await postgres.database();
    const queue = queueOf('orders');
    const attempts: number[] = [];
    const last = Promise.withResolvers<void>();
    await using sender = new PostgresBus({ connection: database.connection, holder: 'sender', log: () => {} });
    {
      await using node = new Node(database, 'a', consumerOf(queue), (all) => {
        attempts.push(all[0]!.attempt);
        if (attempts.length === 3) last.resolve();
        return [{ as: 'failed', error: `no ${attempts.length}` }];
      });
      await sender.send([{ queue, messages: messages(1) }]);
      await last.promise;
      assert.equal(node.deliveries.stats()[0]!.retried, 2);
    }
    assert.deepEqual(attempts, [1, 2, 3]);
    const [letter] = await sender.peek(queue.dead!, { limit: 10 });
    assert.deepEqual([letter!.id, letter!.lastError, letter!.died?.reason], ['m1', 'no 3', 'rejected']);
  });

  test('groups keep their order beside each other, with messages that fail and two nodes that take them', async () => {
    await using database = await postgres.database();
    const queue = queueOf('lined', true);
    const tally = new Tally();
    const order = new Map<string, number[]>();
    let state = 7;
    const random = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
    const handle: Handler = async (all) => {
      await new Promise((resolve) => setTimeout(resolve, random() * 3));
      const broken = new Set<string>();
      return all.map((message): Verdict => {
        const group = message.group!;
        // Messages fail once at most, so that none dies.
        if (broken.has(group) || (message.attempt === 1 && random() < 0.1)) {
          broken.add(group);
          return { as: 'failed', error: 'no' };
        }
        order.set(group, [...(order.get(group) ?? []), Number(message.id.slice(2))]);
        tally.add([message]);
        return { as: 'done' };
      });
    };
    await using a = new Node(database, 'a', consumerOf(queue, { batch: 7, concurrency: 3 }), handle);
    await using b = new Node(database, 'b', consumerOf(queue, { batch: 3, concurrency: 2 }), handle);
    for (let from = 0; from < 3; from++)
      for (const group of ['a', 'b', 'c', 'd'])
        await a.bus.send([
          { queue, messages: messages(25, `${group}-`, group).map((one, i) => ({ ...one, id: `${group}-${from * 25 + i + 1}` })) },
        ]);
    await tally.count(300);
    for (const node of [a, b]) assert.ok(node.deliveries.stats()[0]!.received > 0);
    for (const [group, numbers] of order)
      assert.deepEqual(
        numbers,
        Array.from({ length: 75 }, (_, i) => i + 1),
        `group ${group}`,
      );
  });
});
