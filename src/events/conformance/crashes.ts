// Crashes, and connections that break: what was acknowledged is there, nothing is there by half, and everything goes on by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, codeOf, counted, drain, Heard, message, queueSpec, receive, send, settle } from './place.ts';
import type { BusUnderTest, Open } from './place.ts';

export function crashTests(open: Open): void {
  test('what an earlier process of the holder held is given back at once, and what others hold is not', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const queue = queueSpec('recovered');
    await send(bus, queue, 'a', 'b');
    await receive(bus, queue, { max: 1 });
    await receive(other, queue, { max: 1 });
    await place.crash(bus);
    const again = place.bus('edge');
    assert.deepEqual(await receive(again, queue), []);
    await again.recover();
    assert.deepEqual(
      (await receive(again, queue)).map(({ body, attempt }) => [body, attempt]),
      [['a', 1]],
      'that was no attempt',
    );
  });

  for (const fifo of [false, true]) {
    test(`a message whose receivers are killed again and again dies in the end${fifo ? ', and its group goes on' : ''}`, async () => {
      await using place = await open();
      const queue = queueSpec('killer', { fifo, receivesMax: 3 });
      const group = fifo ? { group: 'g' } : {};
      await send(place.bus('other'), queue, message('killer', group), message('next', group));
      for (let times = 0; times < 3; times++) {
        const bus = place.bus('edge');
        await bus.recover();
        assert.deepEqual(
          (await receive(bus, queue, { max: 1 })).map(({ body, attempt }) => [body, attempt]),
          [['killer', 1]],
        );
        await place.crash(bus);
      }
      const bus = place.bus('edge');
      await bus.recover();
      assert.deepEqual(bodies(await drain(bus, queue)), ['next']);
      const [dead] = await bus.peek(queue.dead!, { limit: 10 });
      assert.deepEqual([dead!.body, dead!.died?.reason], ['killer', 'receives']);
      assert.ok(dead!.lastError !== null, 'it says why');
    });
  }

  test('a sending process that is killed: all that it was told of is there, and no call by half', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const queue = queueSpec('killed', { fifo: true });
    for (let round = 0; round < 2; round++) {
      const acknowledged: string[] = [];
      const some = new Heard<string>();
      const sender = await place.sender(queue, (body) => {
        acknowledged.push(body);
        some.push(body);
      });
      await some.until((seen) => seen.length > 200 + round * 150);
      await sender.kill();
      const there = bodies(await drain(bus, queue));
      assert.equal(new Set(there).size, there.length, 'nothing is stored twice');
      const missing = acknowledged.filter((body) => !there.includes(body));
      assert.deepEqual(missing, []);
      // The sender puts the number of the call before the slash, two messages in each.
      const calls = Map.groupBy(there, (body) => body.split('/')[0]);
      for (const [call, ofCall] of calls) assert.equal(ofCall.length, 2, `call ${call} is there by half`);
    }
    const { sent, done, pending, held } = await counted(bus, queue.key);
    assert.deepEqual([done, pending, held], [sent, 0, 0], 'the statistics are exact');
  });

  for (const fifo of [false, true]) {
    test(`connections that break during sends and settles: nothing is lost, by half or twice${fifo ? ', and order holds' : ''}`, async () => {
      await using place = await open();
      const [bus, receiver] = [place.bus('edge'), place.bus('other')];
      const queue = queueSpec('cut', { fifo, receivesMax: 100, deduplicationMs: 60_000 });
      const sent = new Set<string>();
      const unknown = new Set<string>();
      const done: string[] = [];
      let sending = true;
      const senders = Array.from({ length: 4 }, async (_, s) => {
        for (let n = 0; n < 40; n++) {
          const pair = ['a', 'b'].map((half) => message(`${s} ${n} ${half}`, { group: `g${s}` }));
          const code = await codeOf(send(bus, queue, ...pair));
          if (code !== undefined) assert.equal(code, 'unavailable');
          for (const { body } of pair) (code === undefined ? sent : unknown).add(body);
        }
      });
      const receiving = (async () => {
        for (let rounds = 0; ; rounds++) {
          if (rounds > 3_000) throw new Error('it goes round in circles');
          const messages = await receive(receiver, queue, { max: 10 }).catch(() => undefined);
          if (messages?.length === 0 && !sending) return;
          for (const one of messages ?? []) {
            const settled = await settle(receiver, queue, [one], { as: 'done' }).catch(() => [undefined]);
            done.push(one.body);
            // Not known, or gone because an earlier one of its group was not settled: it may come again.
            if (settled[0] !== true) break;
          }
          if (messages === undefined || messages.length > 0) await receiver.recover().catch(() => {});
        }
      })();
      const cutting = cutOften(place, () => sending);
      await Promise.all([Promise.all(senders).finally(() => (sending = false)), receiving, cutting]);
      const all = new Set(done);
      assert.deepEqual(
        [...sent].filter((body) => !all.has(body)),
        [],
        'what was acknowledged was handled',
      );
      for (const body of unknown) {
        const twin = body.endsWith('a') ? body.replace(/a$/, 'b') : body.replace(/b$/, 'a');
        assert.equal(all.has(body), all.has(twin), `${body} without ${twin}`);
      }
      if (fifo) {
        for (let s = 0; s < 4; s++) {
          const firsts = [...new Set(done.filter((body) => body.startsWith(`${s} `)))];
          const order = firsts.map((body) => Number(body.split(' ')[1]) * 2 + (body.endsWith('b') ? 1 : 0));
          assert.deepEqual(
            order,
            order.toSorted((a, b) => a - b),
          );
        }
      }
      const stats = await counted(bus, queue.key);
      assert.deepEqual([stats.sent, stats.done, stats.pending, stats.held], [all.size, all.size, 0, 0], 'the statistics are exact');
    });
  }

  for (const fifo of [false, true]) {
    test(`what was received${fifo ? ' of groups' : ''} while the answer was lost comes with the next receive, and that was no attempt`, async () => {
      await using place = await open();
      const { bus, lose } = await place.hardOfHearing('edge');
      const other = place.bus('other');
      const queue = queueSpec('unheard', { fifo });
      for (const body of ['a1', 'a2', 'b1', 'b2']) await send(other, queue, message(body, fifo ? { group: body[0]! } : {}));
      const held = await receive(other, queue, { max: 1 });
      assert.deepEqual(bodies(held), ['a1']);
      for (let times = 0; times < 2; times++) {
        lose();
        assert.equal(await codeOf(receive(bus, queue)), 'unavailable');
      }
      // No time passes: no lease ends.
      const again = await receive(bus, queue);
      assert.deepEqual(
        again.map(({ body, attempt }) => `${body} ${attempt}`),
        fifo ? ['b1 1', 'b2 1'] : ['a2 1', 'b1 1', 'b2 1'],
      );
      assert.ok((await settle(bus, queue, again, { as: 'done' })).every(Boolean));
      assert.deepEqual(await settle(other, queue, held, { as: 'done' }), [true], 'what others hold is left alone');
    });
  }

  test('who listens hears of all queues after its connection broke, and goes on hearing', async () => {
    await using place = await open();
    const [sender, bus] = [place.bus('control'), place.bus('edge')];
    const [one, two] = [queueSpec('one'), queueSpec('two')];
    const heard = new Heard<string>();
    await send(sender, one, 'a');
    bus.onReady(heard.push);
    await heard.until((keys) => keys.includes(one.key));
    heard.forget();
    await place.cut();
    await heard.until((keys) => keys.includes(one.key));
    await send(sender, two, 'b').catch(() => send(sender, two, 'b'));
    await heard.until((keys) => keys.includes(two.key));
  });

  test('who listens hears of its own messages, of those of others, and of those that are given back', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const queue = queueSpec('heard');
    const [here, there] = [new Heard<string>(), new Heard<string>()];
    bus.onReady(here.push);
    other.onReady(there.push);
    const both = async (): Promise<void> => {
      await Promise.all([here, there].map((heard) => heard.until((keys) => keys.includes(queue.key))));
      here.forget();
      there.forget();
    };
    // The first listening hears of all keys there are: none.
    await send(bus, queue, 'a');
    await both();
    await settle(bus, queue, await receive(bus, queue), { as: 'retry', delayMs: 0 });
    await both();
    await send(other, queue, message('b', { delayMs: 1_000 }));
    await both();
  });
}

async function cutOften(place: BusUnderTest, going: () => boolean): Promise<void> {
  while (going()) {
    await place.cut();
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
