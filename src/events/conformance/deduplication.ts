// Deduplication: a window, within a call, between calls and between processes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, codeOf, drain, message, queueSpec, receive, send } from './place.ts';
import type { Open } from './place.ts';

const WINDOW_MS = 300_000;

export function deduplicationTests(open: Open): void {
  test('a message with an id that was sent within the window is not stored again', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('once', { deduplicationMs: WINDOW_MS });
    const first = message('a', { deduplicationId: 'order-1' });
    await send(bus, queue, first);
    await drain(bus, queue);
    place.clock.pass(WINDOW_MS - 1);
    const [[again, other]] = (await bus.send([
      { queue, messages: [message('b', { deduplicationId: 'order-1' }), message('c', { deduplicationId: 'order-2' })] },
    ])) as [[{ result: string; id: string }, { result: string }]];
    assert.deepEqual([again, other.result], [{ result: 'duplicate', id: first.id }, 'sent']);
    place.clock.pass(1);
    await send(bus, queue, message('d', { deduplicationId: 'order-1' }));
    assert.deepEqual(bodies(await receive(bus, queue)), ['c', 'd']);
    await send(bus, queueSpec('another', { deduplicationMs: WINDOW_MS }), message('e', { deduplicationId: 'order-1' }));
    assert.deepEqual(bodies(await receive(bus, queueSpec('another', { deduplicationMs: WINDOW_MS }))), ['e']);
  });

  test('a queue without a window remembers nothing, and messages say the id that they were sent with', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('never');
    await send(bus, queue, message('a', { deduplicationId: 'x' }), message('b', { deduplicationId: 'x' }));
    assert.deepEqual(
      (await receive(bus, queue)).map(({ body, deduplicationId }) => [body, deduplicationId]),
      [
        ['a', 'x'],
        ['b', 'x'],
      ],
    );
  });

  test('of one call, of calls at once and of processes at once, one is stored', async () => {
    await using place = await open();
    const buses = [place.bus('edge'), place.bus('control')];
    const queue = queueSpec('races', { deduplicationMs: WINDOW_MS });
    for (let round = 0; round < 10; round++) {
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          buses[n % 2]!.send([
            {
              queue,
              messages: ['x', 'y', 'x'].map((name) => message(`${n}`, { deduplicationId: `${round} ${name}` })).toSorted(() => (n % 3) - 1),
            },
          ]),
        ),
      );
      const sent = results.flat(2).filter(({ result }) => result === 'sent');
      assert.equal(sent.length, 2, `round ${round}`);
      const stored = await drain(buses[0]!, queue);
      assert.deepEqual(new Set(stored.map(({ id }) => id)), new Set(sent.map(({ id }) => id)));
      for (const duplicate of results.flat(2))
        assert.ok(
          sent.some(({ id }) => id === duplicate.id),
          'a duplicate names the one that was stored',
        );
    }
  });

  test('what was refused is not remembered, and the next with its id is stored', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('refused', { deduplicationMs: WINDOW_MS, messagesMax: 2 });
    const pair = [message('1', { deduplicationId: 'a' }), message('2', { deduplicationId: 'b' }), message('3')];
    const outcomes = await Promise.all([
      codeOf(send(bus, queue, ...pair)),
      codeOf(send(bus, queue, message('4', { deduplicationId: 'a' }))),
    ]);
    assert.deepEqual(outcomes, ['queue_full', undefined]);
    assert.equal(await codeOf(send(bus, queue, message('5', { deduplicationId: 'b' }), message('6', { deduplicationId: 'a' }))), undefined);
    assert.deepEqual(bodies(await receive(bus, queue)), ['4', '5']);
    assert.equal(await codeOf(send(bus, queue, message('7', { deduplicationId: 'a' }))), undefined, 'a duplicate needs no room');
  });

  test('ids that are out of the window are forgotten by the upkeep', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('forgotten', { deduplicationMs: WINDOW_MS });
    await send(bus, queue, message('a', { deduplicationId: 'x' }));
    place.clock.pass(WINDOW_MS - 1);
    await bus.upkeep();
    await send(bus, queue, message('b', { deduplicationId: 'x' }));
    place.clock.pass(1);
    await bus.upkeep();
    await send(bus, queue, message('c', { deduplicationId: 'x' }));
    assert.deepEqual(bodies(await receive(bus, queue)), ['a', 'c']);
  });
}
