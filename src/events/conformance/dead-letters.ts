// Messages that die: when, where they are then, and how they come back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueSpec } from '../bus.ts';
import { bodies, counted, drain, Heard, LEASE_MS, message, queueSpec, receive, send, settleAll } from './place.ts';
import type { Open } from './place.ts';

export function deadLetterTests(open: Open): void {
  test('a message that is rejected is a dead letter, and says why', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('rejected');
    const heard = new Heard<string>();
    bus.onReady(heard.push);
    await send(bus, queue, message('a', { attributes: { k: 'v' } }));
    const [held] = await receive(bus, queue);
    await settleAll(bus, queue, [held!], { as: 'dead', error: 'no such order' });
    const [dead] = await bus.peek(queue.dead!, { limit: 10 });
    assert.deepEqual(dead!.died, { from: queue.key, reason: 'rejected', at: place.clock.now() });
    assert.deepEqual([dead!.id, dead!.attempt, dead!.lastError, dead!.attributes], [held!.id, 1, 'no such order', { k: 'v' }]);
    assert.equal((await bus.find(queue.dead!, held!.id))?.id, held!.id);
    assert.deepEqual(await counted(bus, queue.key), { pending: 0, delayed: 0, held: 0, sent: 1, done: 0, retried: 0, dead: 1 });
    assert.equal((await counted(bus, queue.dead!)).pending, 1);
    await heard.until((keys) => keys.includes(queue.dead!));
  });

  test('what was given up without ever being a message is a dead letter too, once, and goes back to where it came from', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const from = queueSpec('given-up');
    const dead = queueSpec('', { key: from.dead!, dead: null, deduplicationMs: 60_000 });
    const died = { from: from.key, reason: 'rejected', error: 'it is poison' } as const;
    const letter = message('a', { deduplicationId: 'a', died });
    await bus.send([{ queue: dead, messages: [letter, message('plain')] }]);
    await bus.send([{ queue: dead, messages: [letter] }]);
    const all = await bus.peek(dead.key, { limit: 10 });
    assert.deepEqual(
      all.map(({ body, died: of, lastError }) => [body, of, lastError]),
      [
        ['a', { from: from.key, reason: 'rejected', at: place.clock.now() }, 'it is poison'],
        ['plain', null, null],
      ],
    );
    assert.equal(await bus.redrive(dead.key, { targetOf: () => from, max: 10 }), 1);
    assert.deepEqual(bodies(await drain(bus, from)), ['a']);
  });

  for (const fifo of [false, true]) {
    const group = fifo ? { group: 'g' } : {};
    test(`a message that was received as often as it may be dies instead of coming again${fifo ? ', and its group goes on' : ''}`, async () => {
      await using place = await open();
      const bus = place.bus('edge');
      const queue = queueSpec('poison', { receivesMax: 3, fifo });
      await send(bus, queue, message('poison', group));
      for (let attempt = 1; attempt <= 3; attempt++) {
        const [held] = await receive(bus, queue, { max: 1 });
        assert.equal(held!.attempt, attempt);
        // Who held it crashed, or said that it failed.
        if (attempt < 3) place.clock.pass(LEASE_MS);
        else await settleAll(bus, queue, [held!], { as: 'retry', delayMs: 0, error: 'again' });
      }
      await send(bus, queue, message('next', group));
      assert.deepEqual(bodies(await drain(bus, queue, { max: 1 })), ['next']);
      const [dead] = await bus.peek(queue.dead!, { limit: 10 });
      assert.deepEqual([dead!.died?.reason, dead!.attempt, dead!.lastError, dead!.group], ['receives', 3, 'again', group.group ?? null]);
    });

    test(`a message that is too old dies, received or by the upkeep${fifo ? ', and its group goes on' : ''}`, async () => {
      await using place = await open();
      const bus = place.bus('edge');
      const queue = queueSpec('old', { retentionMs: 60_000, fifo });
      for (const by of ['receive', 'upkeep']) {
        await send(bus, queue, message('old', group));
        place.clock.pass(30_000);
        await send(bus, queue, message('young', group));
        place.clock.pass(30_000);
        if (by === 'upkeep') await bus.upkeep();
        else assert.deepEqual(bodies(await receive(bus, queue, { max: 1 })), ['young']);
        if (by === 'upkeep') assert.equal((await counted(bus, queue.key)).pending, 1);
        const [dead] = await bus.peek(queue.dead!, { limit: 10 });
        assert.deepEqual([dead!.body, dead!.died], ['old', { from: queue.key, reason: 'expired', at: place.clock.now() }], by);
        place.clock.pass(LEASE_MS);
        await bus.purge(queue.dead!);
        await bus.upkeep();
        await bus.purge(queue.key);
        await bus.purge(queue.dead!);
      }
    });
  }

  test('without a queue of dead letters the dead are dropped; dead letters age from their death', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const dead = queueSpec('dead', { key: 'shop/queue/failed', dead: null, retentionMs: 50_000 });
    const queue = queueSpec('dying', { dead: dead.key });
    await send(bus, dead, 'its own');
    place.clock.pass(30_000);
    await send(bus, queue, 'a');
    place.clock.pass(30_000);
    await settleAll(bus, queue, await receive(bus, queue), { as: 'dead' });
    await bus.upkeep();
    assert.deepEqual(bodies(await bus.peek(dead.key, { limit: 10 })), ['a']);
    place.clock.pass(50_000);
    await bus.upkeep();
    assert.deepEqual(await counted(bus, dead.key), { pending: 0, delayed: 0, held: 0, sent: 2, done: 0, retried: 0, dead: 2 });
  });

  test('a dead letter that is received counts its attempts anew, and ages from its death', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const dead = queueSpec('failed', { dead: 'shop/dead/queue/failed', receivesMax: 2, retentionMs: 60_000 });
    const queue = queueSpec('failing', { dead: dead.key });
    await send(bus, queue, 'a');
    for (let attempt = 1; attempt <= 3; attempt++) {
      await settleAll(bus, queue, await receive(bus, queue), { as: 'retry', delayMs: 0 });
    }
    place.clock.pass(120_000);
    await settleAll(bus, queue, await receive(bus, queue), { as: 'dead', error: 'no' });
    assert.deepEqual(
      (await bus.peek(dead.key, { limit: 1 })).map(({ attempt }) => attempt),
      [4],
      'those it had',
    );
    for (const attempt of [1, 2]) {
      const [held] = await receive(bus, dead);
      assert.deepEqual([held?.attempt, held?.firstReceivedAt, held?.lastError], [attempt, place.clock.now(), 'no']);
      await settleAll(bus, dead, [held!], { as: 'retry', delayMs: 0, ...(attempt === 1 ? { unseen: true } : {}) });
      if (attempt === 1) await settleAll(bus, dead, await receive(bus, dead), { as: 'retry', delayMs: 0 });
    }
    assert.deepEqual(await receive(bus, dead), []);
    assert.deepEqual(
      (await bus.peek('shop/dead/queue/failed', { limit: 1 })).map(({ body, died }) => [body, died?.from, died?.reason]),
      [['a', dead.key, 'receives']],
    );
  });

  test('dead letters go to a queue with groups in their groups, also what died before anybody knew that it has groups', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('control')];
    const dead = queueSpec('in-order', { fifo: true });
    const queue = queueSpec('ordered', { fifo: true, dead: dead.key });
    await send(bus, queue, ...['a', 'b', 'c'].map((body) => message(body, { group: 'g' })));
    // It is made by the first that dies.
    await settleAll(bus, queue, await receive(bus, queue, { max: 1 }), { as: 'dead' });
    const [first] = await receive(other, dead);
    await settleAll(bus, queue, await receive(bus, queue), { as: 'dead' });
    assert.deepEqual(await receive(other, dead), [], 'a is held');
    await settleAll(other, dead, [first!], { as: 'retry', delayMs: 0 });
    assert.deepEqual(bodies(await receive(other, dead)), ['a', 'b', 'c']);
  });

  test('dead letters go back to where they came from: oldest first, so many, one by its id, and those without a home stay', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const dead = 'shop/dead/queue/all';
    const [one, two] = [queueSpec('one', { dead }), queueSpec('two', { dead })];
    const chosen = message('chosen');
    for (const [queue, names] of [
      [one, ['a', 'b']],
      [two, ['c']],
      [one, ['d', chosen]],
    ] as [QueueSpec, string[]][]) {
      await send(bus, queue, ...names);
      await settleAll(bus, queue, await receive(bus, queue), { as: 'dead', error: 'no' });
    }
    place.clock.pass(1_000);
    const heard = new Heard<string>();
    other.onReady(heard.push);
    const targetOf = (from: string): QueueSpec | undefined => (from === one.key ? one : undefined);
    assert.equal(await bus.redrive(dead, { targetOf, max: 10, id: chosen.id }), 1);
    assert.equal(await bus.redrive(dead, { targetOf, max: 2 }), 2);
    await heard.until((keys) => keys.includes(one.key));
    const back = await receive(bus, one);
    assert.deepEqual(
      back.map(({ body, attempt, died, sentAt, lastError }) => [body, attempt, died, sentAt, lastError]),
      [
        ['chosen', 1, null, place.clock.now(), null],
        ['a', 1, null, place.clock.now(), null],
        ['b', 1, null, place.clock.now(), null],
      ],
    );
    assert.equal(await bus.redrive(dead, { targetOf, max: 10 }), 1);
    assert.deepEqual(bodies(await bus.peek(dead, { limit: 10 })), ['c']);
    assert.equal(await bus.redrive(dead, { targetOf, to: one, max: 10 }), 1);
    assert.deepEqual(bodies(await receive(bus, one)), ['d', 'c']);
    assert.equal(await bus.redrive('shop/dead/none', { targetOf, max: 10 }), 0);
  });

  test('more dead letters than one step moves go back in their order, and those that are held stay', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('many');
    const dead = queueSpec('', { key: queue.dead!, dead: null });
    const names = Array.from({ length: 1_203 }, (_, n) => `${n}`);
    await send(bus, queue, ...names);
    for (let n = 0; n < 2; n++) await settleAll(bus, queue, await receive(bus, queue), { as: 'dead' });
    await receive(bus, dead, { max: 2 });
    assert.equal(await bus.redrive(dead.key, { targetOf: () => queue, max: 700 }), 700);
    assert.equal(await bus.redrive(dead.key, { targetOf: () => queue, max: 10_000 }), 501);
    assert.deepEqual(bodies(await drain(bus, queue)), names.slice(2));
    const { sent, done, dead: died } = await counted(bus, queue.key);
    assert.deepEqual([sent, done, died], [1_203 + 1_201, 1_201, 1_203]);
  });

  test('dead letters of groups go back into their groups', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('grouped', { fifo: true });
    await send(bus, queue, ...['a', 'b', 'c'].map((body) => message(body, { group: 'g' })), message('alone'));
    await settleAll(bus, queue, await receive(bus, queue), { as: 'dead' });
    await send(bus, queue, message('d', { group: 'g' }));
    const held = await receive(bus, queue);
    assert.equal(await bus.redrive(queue.dead!, { targetOf: () => queue, max: 1000 }), 4);
    assert.deepEqual(bodies(await receive(bus, queue)), ['alone'], 'the group is held');
    await settleAll(bus, queue, held, { as: 'done' });
    assert.deepEqual(bodies(await receive(bus, queue)), ['a', 'b', 'c']);
  });
}
