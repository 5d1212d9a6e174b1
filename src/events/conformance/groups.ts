// Groups of fifo queues: one after the other within a group, side by side across groups.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewMessage } from '../bus.ts';
import { ALL, bodies, codeOf, counted, drain, LEASE_MS, message, queueSpec, receive, send, settle, settleAll } from './place.ts';
import type { Open } from './place.ts';

const queue = queueSpec('fifo', { fifo: true });

/** `of('g', 'a', 'b')`: messages of the group g. */
function of(group: string, ...names: string[]): NewMessage[] {
  return names.map((name) => message(name, { group }));
}

export function groupTests(open: Open): void {
  test('while a message of a group is held nobody gets a later one; other groups go on', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    await send(bus, queue, ...of('g', 'g1', 'g2', 'g3'), ...of('h', 'h1', 'h2'));
    const [g1] = await receive(bus, queue, { max: 1 });
    assert.deepEqual([g1!.body, g1!.group], ['g1', 'g']);
    const h = await receive(other, queue);
    assert.deepEqual(bodies(h), ['h1', 'h2']);
    assert.deepEqual(await receive(other, queue), []);
    assert.deepEqual(await counted(bus, queue.key), { pending: 2, delayed: 0, held: 3, sent: 5, done: 0, retried: 0, dead: 0 });
    await settleAll(other, queue, [h[0]!], { as: 'done' });
    await send(bus, queue, ...of('h', 'h3'));
    assert.deepEqual(await receive(other, queue), [], 'h2 is still held');
    await settleAll(other, queue, [h[1]!], { as: 'done' });
    await settleAll(bus, queue, [g1!], { as: 'done' });
    assert.deepEqual(bodies(await drain(other, queue)).toSorted(), ['g2', 'g3', 'h3']);
    assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: undefined });
  });

  test('a message that waits for its next attempt holds its group up, and the rest of its batch is released with it, in order', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    await send(bus, queue, ...of('g', 'a', 'b', 'c', 'd', 'e'));
    const [a, b, c, d] = await receive(bus, queue, { max: 4 });
    assert.deepEqual(
      await bus.settle(queue, [
        { receipt: a!.receipt, as: 'done' },
        { receipt: b!.receipt, as: 'retry', delayMs: 5_000, error: 'no' },
        { receipt: d!.receipt, as: 'done' },
      ]),
      [true, true, true],
    );
    assert.deepEqual(await settle(bus, queue, [c!], { as: 'done' }), [false], 'c was released');
    assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: place.clock.now() + 5_000 });
    place.clock.pass(5_000);
    const again = await receive(bus, queue);
    assert.deepEqual(
      again.map(({ body, attempt }) => [body, attempt]),
      [
        ['b', 2],
        ['c', 1],
        ['e', 1],
      ],
    );
    assert.equal((await counted(bus, queue.key)).retried, 1);
  });

  test('a dead message lets its group go on; one that is retried after it is the first', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    await send(bus, queue, ...of('g', 'a', 'b', 'c'));
    const [a, b] = await receive(bus, queue, { max: 2 });
    await settleAll(bus, queue, [a!], { as: 'dead' });
    assert.deepEqual(await receive(bus, queue), [], 'b is held');
    await settleAll(bus, queue, [b!], { as: 'retry', delayMs: 0 });
    assert.deepEqual(bodies(await receive(bus, queue)), ['b', 'c']);
  });

  test('a delayed message holds up those behind it, and only those', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    await send(bus, queue, ...of('g', 'a'), message('b', { group: 'g', delayMs: 1_000 }), ...of('g', 'c'), ...of('h', 'x'));
    assert.deepEqual(bodies(await drain(bus, queue)).toSorted(), ['a', 'x']);
    assert.equal((await bus.receive(queue, ALL)).nextAt, place.clock.now() + 1_000);
    // What is taken away does not hold up any more.
    const [delayed] = await bus.peek(queue.key, { limit: 1 });
    assert.equal(await bus.purge(queue.key, { id: delayed!.id }), 1);
    assert.deepEqual(bodies(await drain(bus, queue)), ['c']);
  });

  test('what was refused, or was there already, leaves nothing of its group behind', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const small = queueSpec('small', { fifo: true, messagesMax: 1, deduplicationMs: 60_000 });
    await send(bus, small, message('late', { group: 'g', delayMs: 5_000, deduplicationId: 'x' }));
    assert.equal(await codeOf(send(bus, small, ...of('refused', 'a'))), 'queue_full');
    await send(bus, small, message('again', { group: 'duplicate', deduplicationId: 'x' }));
    assert.deepEqual(await bus.due(), [{ key: small.key, at: place.clock.now() + 5_000 }]);
  });

  test('no more bytes are received than asked for, of groups and of messages without one together', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    await send(bus, queue, ...of('g', 'x'.repeat(100), 'x'.repeat(100)), ...['y', 'y'].map((letter) => message(letter.repeat(100))));
    for (let n = 0; n < 4; n++) {
      const held = await receive(bus, queue, { bytesMax: 150 });
      assert.equal(held.length, 1, `${held.length} messages of 102 bytes`);
      await settleAll(bus, queue, held, { as: 'done' });
    }
  });

  test('messages without a group are received beside the groups', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    await send(bus, queue, message('x'), ...of('g', 'a', 'b'), message('y'));
    assert.deepEqual(bodies(await drain(bus, queue, { max: 3 })).toSorted(), ['a', 'b', 'x', 'y']);
    assert.deepEqual(await bus.receive(queue, ALL), { messages: [], nextAt: undefined });
  });

  test('a group whose holder is silent is taken over as a whole, and extending keeps it', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    await send(bus, queue, ...of('g', 'a', 'b', 'c'), ...of('h', 'x'));
    const held = await receive(bus, queue);
    place.clock.pass(LEASE_MS - 1);
    await settleAll(bus, queue, [held.find(({ body }) => body === 'x')!], { as: 'extend', leaseMs: LEASE_MS });
    place.clock.pass(1);
    assert.deepEqual(
      (await receive(other, queue, { max: 1 })).map(({ body, attempt }) => [body, attempt]),
      [['a', 2]],
    );
    assert.deepEqual(
      await settle(bus, queue, held, { as: 'done' }),
      held.map(({ body }) => body === 'x'),
    );
  });

  test('what an earlier process held of groups is given back at once', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    await send(bus, queue, ...of('g', 'a', 'b'), ...of('h', 'x'), message('alone'));
    await receive(bus, queue, { max: 1 });
    await receive(bus, queue, { max: 1 });
    await place.crash(bus);
    const again = place.bus('edge');
    const before = await receive(other, queue, { max: 1 });
    await again.recover();
    const after = await receive(again, queue);
    assert.deepEqual(bodies([...before, ...after]).toSorted(), ['a', 'alone', 'b', 'x']);
    assert.equal(after.find(({ body }) => body === 'b')?.attempt ?? 1, 1, 'b was never handed out');
  });

  test('order holds where two processes send to the same groups at once', async () => {
    await using place = await open();
    const senders = [place.bus('edge'), place.bus('control')];
    const receiver = place.bus('other');
    const COUNT = 60;
    const sending = Promise.all(
      senders.map(async (bus, s) => {
        // One after the other within a process: their order is known.
        for (let n = 0; n < COUNT; n++) await send(bus, queue, ...['g', 'h'].map((group) => message(`${s} ${n}`, { group })));
      }),
    );
    const seen = new Map<string, { body: string; sequence: bigint }[]>();
    const take = async (): Promise<void> => {
      for (const { group, body, sequence } of await drain(receiver, queue, { max: 7 })) {
        seen.set(group!, [...(seen.get(group!) ?? []), { body, sequence: BigInt(sequence) }]);
      }
    };
    let sent = false;
    void sending.then(() => (sent = true));
    while (!sent) await take();
    await sending;
    await take();
    for (const ofGroup of seen.values()) {
      assert.equal(ofGroup.length, senders.length * COUNT);
      assert.deepEqual(
        ofGroup,
        ofGroup.toSorted((a, b) => (a.sequence < b.sequence ? -1 : 1)),
      );
      for (const s of ['0', '1']) {
        const own = ofGroup.filter(({ body }) => body.startsWith(s)).map(({ body }) => Number(body.split(' ')[1]));
        assert.deepEqual(
          own,
          Array.from({ length: COUNT }, (_, n) => n),
        );
      }
    }
  });
}
