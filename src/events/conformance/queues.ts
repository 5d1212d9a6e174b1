// Queues without groups: what comes out, when, to whom, how often.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, bodies, codeOf, counted, drain, LEASE_MS, message, queueSpec, receive, send, settle, settleAll } from './place.ts';
import type { Open } from './place.ts';

export function queueTests(open: Open): void {
  test('what was sent is received as it was, once, and is gone when it is done', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('orders');
    const sent = message('{"n":1,"text":"straße \\u0000 😀"}', { attributes: { a: '1', 'with "quotes", {braces}': '\\ \0' } });
    const [[result] = []] = await bus.send([{ queue, messages: [sent] }]);
    assert.ok(result?.result === 'sent');
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
    assert.deepEqual(await receive(bus, queue), []);
    assert.deepEqual(await bus.settle(queue, [{ receipt, as: 'done' }]), [true]);
    assert.deepEqual(await bus.settle(queue, [{ receipt, as: 'done' }]), [false]);
    assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: undefined });
    const [stats] = await bus.stats([queue.key]);
    assert.deepEqual(stats, {
      key: queue.key,
      pending: 0,
      delayed: 0,
      held: 0,
      bytes: 0,
      oldestAt: null,
      sent: 1,
      done: 1,
      retried: 0,
      dead: 0,
    });
  });

  test('many senders and receivers at once: everything is received once', async () => {
    await using place = await open();
    const buses = [place.bus('edge'), place.bus('control')];
    const queue = queueSpec('many');
    await Promise.all(Array.from({ length: 600 }, (_, n) => send(buses[n % 2]!, queue, `${n}`)));
    const drained = await Promise.all([...buses, ...buses].map((bus) => drain(bus, queue, { max: 30 })));
    const seen = drained.flat().map(({ body }) => Number(body));
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 600 }, (_, n) => n),
    );
    assert.deepEqual(await counted(buses[0]!, queue.key), { pending: 0, delayed: 0, held: 0, sent: 600, done: 600, retried: 0, dead: 0 });
  });

  test('messages of a batch come in their order', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('batch');
    const names = Array.from({ length: 200 }, (_, n) => `${n}`);
    await send(bus, queue, ...names);
    assert.deepEqual(bodies(await receive(bus, queue)), names);
  });

  test('what is due first comes first: delayed messages and retries do not wait behind a backlog', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('due');
    await send(bus, queue, 'retried', message('delayed', { delayMs: 2_000 }));
    await settleAll(bus, queue, await receive(bus, queue), { as: 'retry', delayMs: 1_500 });
    for (const name of ['1', '2', '3']) {
      place.clock.pass(800);
      await send(bus, queue, name);
    }
    assert.deepEqual(bodies(await receive(bus, queue)), ['1', 'retried', '2', 'delayed', '3']);
  });

  test('nextAt says when it is worth asking again', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('next');
    const startMs = place.clock.now();
    await send(bus, queue, message('later', { delayMs: 5_000 }), message('soon', { delayMs: 1_000 }), 'a', 'b');
    assert.equal((await bus.receive(queue, { ...ALL, max: 1 })).nextAt, startMs, 'b is due');
    assert.equal((await bus.receive(queue, { ...ALL, max: 1 })).nextAt, startMs + 1_000);
    assert.deepEqual(await bus.due(), [{ key: queue.key, at: startMs + 1_000 }]);
    place.clock.pass(5_000);
    const { messages, nextAt } = await bus.receive(queue, ALL);
    assert.deepEqual(bodies(messages), ['soon', 'later']);
    assert.equal(nextAt, startMs + LEASE_MS, 'the lease of a and b');
  });

  test('who does not settle in time loses the message, and who extends keeps it', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const queue = queueSpec('leases');
    await send(bus, queue, 'a', 'b');
    const [a, b] = await receive(bus, queue);
    place.clock.pass(LEASE_MS - 1);
    assert.deepEqual(await receive(other, queue), []);
    assert.deepEqual(await settle(bus, queue, [b!], { as: 'extend', leaseMs: LEASE_MS }), [true]);
    place.clock.pass(1);
    const again = await receive(other, queue);
    assert.deepEqual(
      again.map(({ body, attempt }) => [body, attempt]),
      [['a', 2]],
    );
    for (const how of [{ as: 'done' }, { as: 'retry', delayMs: 0 }, { as: 'dead' }, { as: 'extend', leaseMs: 1 }] as const) {
      assert.deepEqual(await settle(bus, queue, [a!], how), [false], how.as);
    }
    assert.deepEqual(await settle(bus, queue, [b!], { as: 'done' }), [true]);
    assert.deepEqual(await settle(other, queue, again, { as: 'done' }), [true]);
    assert.deepEqual(await bus.settle(queue, [{ receipt: 'nonsense', as: 'done' }]), [false]);
  });

  test('a retried message comes again after its delay, with its error; one that was not looked at keeps its count', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('retries');
    await send(bus, queue, 'a', 'b');
    const [a, b] = await receive(bus, queue);
    await settleAll(bus, queue, [a!], { as: 'retry', delayMs: 5_000, error: 'it broke' });
    await settleAll(bus, queue, [b!], { as: 'retry', delayMs: 0, unseen: true });
    const [unseen] = await receive(bus, queue);
    assert.deepEqual([unseen!.body, unseen!.attempt, unseen!.lastError], ['b', 1, null]);
    place.clock.pass(4_999);
    assert.deepEqual(await receive(bus, queue), []);
    place.clock.pass(1);
    const [again] = await receive(bus, queue);
    assert.deepEqual([again!.attempt, again!.lastError, again!.id], [2, 'it broke', a!.id]);
    assert.ok(again!.firstReceivedAt! < place.clock.now());
    assert.equal((await counted(bus, queue.key)).retried, 1);
  });

  test('what is said of messages may be any text and any number, and fails nothing beside it', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('said');
    await send(bus, queue, '1', '2', '3', '4', '5', '6', '7');
    const held = await receive(bus, queue);
    const says = [
      { as: 'retry', delayMs: 0, error: 'nul \0, half \ud83d, and '.padEnd(100_000, '☂') },
      { as: 'retry', delayMs: 1e300 },
      { as: 'retry', delayMs: Number.NaN },
      { as: 'retry', delayMs: -1.5 },
      { as: 'extend', leaseMs: 0.5 },
      { as: 'dead', error: '\0' },
      { as: 'done' },
    ] as const;
    const settled = held.map(({ receipt }, n) => bus.settle(queue, [{ receipt, ...says[n]! }]));
    assert.deepEqual(
      (await Promise.all(settled)).flat(),
      says.map(() => true),
    );
    place.clock.pass(10);
    const again = await receive(bus, queue);
    assert.deepEqual(bodies(again).toSorted(), ['1', '3', '4', '5']);
    assert.match(again.find(({ body }) => body === '1')!.lastError!, /^nul .*, half .*, and ☂+$/);
  });

  test('an old receipt of a message does nothing, also beside the one under which it is held', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    for (const fifo of [false, true]) {
      const queue = queueSpec(fifo ? 'stale-groups' : 'stale', { fifo });
      for (const how of [{ as: 'extend', leaseMs: LEASE_MS }, { as: 'retry', delayMs: 0 }, { as: 'dead' }, { as: 'done' }] as const) {
        await send(bus, queue, message('a', fifo ? { group: 'g' } : {}));
        const [old] = await receive(bus, queue);
        place.clock.pass(LEASE_MS);
        const [now] = await receive(other, queue);
        const both = [now!, old!].map(({ receipt }) => bus.settle(queue, [{ receipt, ...how }]));
        assert.deepEqual((await Promise.all(both)).flat(), [true, false], how.as);
        assert.deepEqual(await bus.settle(queueSpec('another'), [{ receipt: now!.receipt, as: 'done' }]), [false], 'of another queue');
        await drain(bus, queue);
        place.clock.pass(LEASE_MS);
        await drain(bus, queue);
      }
    }
  });

  test('a call that is too large is refused, and nothing of it is stored', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('too-large', { messagesMax: 1_000_000, bytesMax: 1e12 });
    const many = Array.from({ length: 100_000 }, (_, n) => message(`${n}`));
    const large = 'x'.repeat(1_000_000);
    for (const messages of [many, Array.from({ length: 100 }, () => message(large))]) {
      assert.equal(await codeOf(bus.send([{ queue, messages }])), 'request_too_large');
    }
    assert.deepEqual(await bus.send([{ queue, messages: [] }]), [[]]);
    assert.deepEqual(await receive(bus, queue), []);
  });

  test('no more bytes are received than asked for, but always one message', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('bytes');
    await send(bus, queue, 'x'.repeat(100), 'y'.repeat(100), 'z'.repeat(100_000), 'w');
    // Attributes count: two bytes each.
    assert.deepEqual(
      (await receive(bus, queue, { bytesMax: 204 })).map(({ body }) => body[0]),
      ['x', 'y'],
    );
    assert.deepEqual(
      (await receive(bus, queue, { bytesMax: 204 })).map(({ body }) => body[0]),
      ['z'],
    );
    assert.deepEqual(bodies(await receive(bus, queue, { bytesMax: 1 })), ['w']);
  });

  test('a call to several queues stores all of it or nothing', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const [one, two] = [queueSpec('one'), queueSpec('two', { messagesMax: 1 })];
    const batches = [
      { queue: one, messages: [message('a')] },
      { queue: two, messages: [message('b'), message('c')] },
    ];
    assert.equal(await codeOf(bus.send(batches)), 'queue_full');
    assert.deepEqual([await receive(bus, one), await receive(bus, two)], [[], []]);
    batches[1]!.messages.pop();
    const results = await bus.send(batches);
    assert.deepEqual(
      results.map((ofQueue) => ofQueue.map(({ result }) => result)),
      [['sent'], ['sent']],
    );
    assert.deepEqual([bodies(await receive(bus, one)), bodies(await receive(bus, two))], [['a'], ['b']]);
  });

  test('a queue that is full takes nothing of a call, the calls beside it pass, and it has room again when messages are done', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('full', { messagesMax: 3, bytesMax: 1_000 });
    const outcomes = await Promise.all([['a', 'b'], ['c', 'd'], ['e']].map((names) => codeOf(send(bus, queue, ...names))));
    assert.deepEqual(outcomes, [undefined, 'queue_full', undefined]);
    assert.equal(await codeOf(send(bus, queue, 'f')), 'queue_full');
    await drain(bus, queue);
    assert.equal(await codeOf(send(bus, queue, 'x'.repeat(999))), 'queue_full', 'bytes');
    assert.equal(await codeOf(send(bus, queue, 'x'.repeat(900))), undefined);
    assert.deepEqual(await counted(bus, queue.key), { pending: 1, delayed: 0, held: 0, sent: 4, done: 3, retried: 0, dead: 0 });
  });

  test('a value that cannot be stored fails its own call only', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('values');
    const outcomes = await Promise.all([
      codeOf(send(bus, queue, 'a')),
      codeOf(send(bus, queue, 'nul \0')),
      codeOf(send(bus, queue, 'half \ud83d')),
      codeOf(send(bus, queue, message('c', { group: 'g'.repeat(2_000) }))),
      codeOf(send(bus, queue, message('d', { delayMs: 1e300 }))),
      codeOf(send(bus, queue, 'b')),
    ]);
    assert.deepEqual(outcomes, [undefined, ...Array.from({ length: 4 }, () => 'invalid_request'), undefined]);
    assert.deepEqual(bodies(await receive(bus, queue)), ['a', 'b']);
  });

  test('a message of a megabyte is stored as well as a hundred of some bytes beside it', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('large');
    const large = Array.from({ length: 40_000 }, (_, n) => `${n} ${(n * 7919) % 10_007} ☂`).join();
    await Promise.all([send(bus, queue, large), ...Array.from({ length: 100 }, (_, n) => send(bus, queue, `${n}`))]);
    const all = await drain(bus, queue, { bytesMax: 50_000 });
    assert.equal(all.length, 101);
    assert.ok(all.some(({ body }) => body === large));
  });

  test('messages are looked at without being received: page by page, by id, by state', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('looked-at');
    const delayed = message('d', { delayMs: 1_000 });
    await send(bus, queue, 'a', 'b', 'c', delayed);
    await receive(bus, queue, { max: 1 });
    const first = await bus.peek(queue.key, { limit: 3 });
    const rest = await bus.peek(queue.key, { limit: 3, after: first.at(-1)!.sequence });
    assert.deepEqual(
      [...first, ...rest].map(({ body, state, attempt }) => [body, state, attempt]),
      [
        ['a', 'held', 1],
        ['b', 'pending', 0],
        ['c', 'pending', 0],
        ['d', 'delayed', 0],
      ],
    );
    assert.equal((await bus.find(queue.key, delayed.id))?.body, 'd');
    assert.equal(await bus.find(queue.key, 'msg_none'), undefined);
    const [stats] = await bus.stats([queue.key]);
    assert.deepEqual([stats!.pending, stats!.delayed, stats!.held, stats!.oldestAt], [2, 1, 1, place.clock.now()]);
    assert.equal(stats!.bytes, 4 * ('a'.length + '{}'.length));
    await send(bus, queueSpec('other', { key: 'bakery/queue/bread' }), 'x');
    assert.deepEqual(await bus.keys('shop/'), [queue.key]);
    assert.deepEqual(await bus.stats(['shop/queue/none']), [
      { key: 'shop/queue/none', pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null, sent: 0, done: 0, retried: 0, dead: 0 },
    ]);
  });

  test('what is due is known of every kind of queue: of groups, of what is held, and of what comes later', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const startMs = place.clock.now();
    const [plain, groups, later] = [queueSpec('held'), queueSpec('in-groups', { fifo: true }), queueSpec('later', { fifo: true })];
    await send(bus, plain, 'a');
    await receive(bus, plain);
    await send(bus, groups, message('a', { group: 'g' }), message('b', { group: 'g' }));
    await receive(bus, groups, { max: 1, leaseMs: 5_000 });
    await send(bus, later, message('a', { group: 'g', delayMs: 1_000 }), message('b', { delayMs: 2_000 }));
    await send(bus, queueSpec('empty'), 'a');
    await drain(bus, queueSpec('empty'));
    assert.deepEqual(
      (await bus.due()).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
      [
        { key: plain.key, at: startMs + LEASE_MS },
        { key: groups.key, at: startMs + 5_000 },
        { key: later.key, at: startMs + 1_000 },
      ],
    );
    const [stats] = await bus.stats([later.key]);
    assert.deepEqual([stats!.pending, stats!.delayed, stats!.held, stats!.oldestAt], [0, 2, 0, null]);
  });

  test('purging removes what is not held, or one message', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('purged');
    const one = message('one');
    await send(bus, queue, 'held', one, message('delayed', { delayMs: 1_000 }), 'pending');
    const held = await receive(bus, queue, { max: 1 });
    assert.equal(await bus.purge(queue.key, { id: one.id }), 1);
    assert.equal(await bus.purge(queue.key), 2);
    assert.equal(await bus.purge(queue.key), 0);
    assert.equal(await bus.purge('shop/queue/none'), 0);
    assert.deepEqual(await counted(bus, queue.key), { pending: 0, delayed: 0, held: 1, sent: 4, done: 0, retried: 0, dead: 0 });
    await settleAll(bus, queue, held, { as: 'done' });
  });

  test('a queue that is dropped is gone, for other processes too, and begins anew', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('control')];
    const queue = queueSpec('dropped', { fifo: true, deduplicationMs: 60_000 });
    const sent = [message('a', { deduplicationId: 'x' }), message('b', { group: 'g' })];
    await send(other, queue, ...sent);
    const held = await receive(bus, queue, { max: 1 });
    await other.drop(queue.key);
    assert.deepEqual(await bus.keys(''), []);
    assert.deepEqual(await settle(bus, queue, held, { as: 'done' }), [false]);
    assert.deepEqual(await receive(bus, queue), []);
    assert.deepEqual(await bus.keys(''), [], 'who asks does not make it anew');
    await send(bus, queue, ...sent);
    assert.deepEqual(bodies(await drain(other, queue)).toSorted(), ['a', 'b']);
    await bus.drop(queue.key);
    await send(other, queue, ...sent);
    assert.deepEqual(bodies(await drain(bus, queue)).toSorted(), ['a', 'b']);
    assert.equal((await counted(bus, queue.key)).sent, 2);
  });
}
