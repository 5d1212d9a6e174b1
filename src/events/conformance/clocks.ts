// Clocks that are set: nothing is stuck, and nothing is given out twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, bodies, drain, LEASE_MS, message, queueSpec, receive, send, settleAll, streamSpec } from './place.ts';
import type { Open } from './place.ts';

const HOUR_MS = 3_600_000;

export function clockTests(open: Open): void {
  for (const fifo of [false, true]) {
    const queue = queueSpec('clock', { fifo, deduplicationMs: 60_000 });
    const group = fifo ? { group: 'g' } : {};
    const kind = fifo ? 'of a group' : 'without a group';

    test(`when the clock goes back, messages ${kind} wait no longer than they were meant to`, async () => {
      await using place = await open();
      const bus = place.bus('edge');
      await send(bus, queue, message('now', group), message('late', { ...group, delayMs: 10_000 }));
      await receive(bus, queueSpec('other'));
      place.clock.pass(4_000);
      place.clock.jump(-HOUR_MS);
      const { messages, nextAt } = await bus.receive(queue, ALL);
      assert.deepEqual(bodies(messages), ['now']);
      if (!fifo) assert.equal(nextAt, place.clock.now() + 6_000);
      await settleAll(bus, queue, messages, { as: 'done' });
      place.clock.pass(6_000);
      assert.deepEqual(bodies(await receive(bus, queue)), ['late']);
    });

    test(`when the clock went back while nobody was there, messages ${kind} are received all the same`, async () => {
      await using place = await open();
      const bus = place.bus('edge');
      await send(bus, queue, message('now', { ...group, deduplicationId: 'x' }), message('late', { ...group, delayMs: 10_000 }));
      await place.crash(bus);
      place.clock.jump(-HOUR_MS);
      const again = place.bus('edge');
      await again.recover();
      const held = await receive(again, queue);
      assert.deepEqual(bodies(held), ['now']);
      await settleAll(again, queue, held, { as: 'done' });
      place.clock.pass(10_000);
      assert.deepEqual(bodies(await drain(again, queue)), ['late']);
      place.clock.pass(50_000);
      await send(again, queue, message('x is forgotten', { deduplicationId: 'x' }));
      assert.deepEqual(bodies(await receive(again, queue)), ['x is forgotten']);
    });

    test(`leases of messages ${kind} outlast a clock that goes back or forward, and end in their time`, async () => {
      await using place = await open();
      const [bus, other] = [place.bus('edge'), place.bus('other')];
      await send(bus, queue, message('a', group));
      const held = await receive(bus, queue);
      assert.deepEqual(await receive(other, queue), []);
      for (const jumpMs of [HOUR_MS, -2 * HOUR_MS, HOUR_MS]) {
        place.clock.jump(jumpMs);
        assert.deepEqual(await receive(other, queue), [], `by ${jumpMs} ms`);
        place.clock.pass(LEASE_MS / 3);
        assert.deepEqual(await receive(other, queue), []);
        await settleAll(bus, queue, held, { as: 'extend', leaseMs: LEASE_MS });
      }
      place.clock.jump(-HOUR_MS);
      place.clock.pass(LEASE_MS);
      assert.deepEqual(bodies(await receive(other, queue)), ['a'], 'a lease that nobody extends ends');
    });
  }

  test('a clock that goes forward makes delayed messages due', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('forward');
    await send(bus, queue, message('late', { delayMs: HOUR_MS }));
    assert.deepEqual(await receive(bus, queue), []);
    place.clock.jump(HOUR_MS);
    assert.deepEqual(bodies(await receive(bus, queue)), ['late']);
  });

  test('holdings of partitions outlast a clock that is set, and end in their time', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const stream = streamSpec('clock', { partitions: 1 });
    const options = { max: 1, leaseMs: LEASE_MS, from: 'oldest' as const };
    assert.equal((await bus.hold(stream, 'f', options)).length, 1);
    assert.equal((await other.hold(stream, 'f', options)).length, 0);
    for (const jumpMs of [HOUR_MS, -HOUR_MS, -HOUR_MS]) {
      place.clock.jump(jumpMs);
      assert.equal((await other.hold(stream, 'f', options)).length, 0, `by ${jumpMs} ms`);
    }
    place.clock.pass(LEASE_MS);
    assert.equal((await other.hold(stream, 'f', options)).length, 1);
  });
}
