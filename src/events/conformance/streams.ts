// Streams: order, positions without gaps, retention, and who reads how far.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../lib/ids.ts';
import type { Bus, NewRecord, StreamRecord, StreamSpec } from '../bus.ts';
import { codeOf, Heard, LEASE_MS, streamSpec } from './place.ts';
import type { Open } from './place.ts';

function record(partitionKey: string, data: string): NewRecord {
  return { id: newId('rec'), partitionKey, data, attributes: {} };
}

async function readAll(bus: Bus, { key }: StreamSpec): Promise<StreamRecord[]> {
  const partitions = await bus.partitions(key);
  const all = await Promise.all(partitions.map(({ partition }) => bus.read(key, partition, { after: 0, max: 10_000, bytesMax: 1e9 })));
  return all.flat();
}

const HOLD = { max: 10, leaseMs: LEASE_MS, from: 'oldest' as const };

export function streamTests(open: Open): void {
  test('records of a key are in one partition, in their order, and are read as they were', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('clicks');
    const first = { ...record('ada', '{"page":"/ü"}'), attributes: { a: 'b' } };
    const [at] = await bus.append(stream, [first]);
    const [read] = await bus.read(stream.key, at!.partition, { after: 0, max: 10, bytesMax: 1_000 });
    assert.deepEqual(read, { ...first, partition: at!.partition, position: 1, at: place.clock.now() });
    const keys = ['ada', 'bob', 'cleo', 'dan', 'eve'];
    const places = await bus.append(
      stream,
      Array.from({ length: 50 }, (_, n) => record(keys[n % 5]!, `${n}`)),
    );
    const byKey = Map.groupBy(await readAll(bus, stream), ({ partitionKey }) => partitionKey);
    for (const [key, ofKey] of byKey) {
      assert.equal(new Set(ofKey.map(({ partition }) => partition)).size, 1, key);
      const numbers = ofKey.filter(({ id }) => id !== first.id).map(({ data }) => Number(data));
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
      for (const one of ofKey)
        if (one.id !== first.id) assert.deepEqual(places[Number(one.data)], { partition: one.partition, position: one.position });
    }
    assert.deepEqual(await bus.keys('shop/stream/'), [stream.key]);
    assert.equal(await codeOf(bus.append(stream, [record('ada', 'nul \0')])), 'invalid_request');
  });

  test('positions have no gaps for a reader beside appenders in two processes', async () => {
    await using place = await open();
    const appenders = [place.bus('edge'), place.bus('control')];
    const reader = place.bus('other');
    const stream = streamSpec('gapless', { partitions: 2 });
    let appending = true;
    const appended = Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        for (let i = 0; i < 5; i++) await appenders[n % 2]!.append(stream, [record(`${n}`, `${i}`), record(`${n + 1}`, `${i}`)]);
      }),
    );
    void appended.then(() => (appending = false));
    const positions = [0, 0];
    for (let last = false; ; last = !appending) {
      for (const partition of [0, 1]) {
        for (const { position } of await reader.read(stream.key, partition, { after: positions[partition]!, max: 20, bytesMax: 1e6 })) {
          assert.equal(position, ++positions[partition]!);
        }
      }
      const newest = (await reader.partitions(stream.key)).map((stats) => stats.newest);
      if (last && newest.every((position, partition) => positions[partition] === position)) break;
    }
    await appended;
    assert.equal(positions[0]! + positions[1]!, 400);
  });

  test('no more bytes are read than asked for, but always one record', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('bytes', { partitions: 1 });
    await bus.append(
      stream,
      ['x', 'y', 'z'].map((letter) => record('k', letter.repeat(100))),
    );
    const read = async (after: number, bytesMax: number): Promise<number> =>
      (await bus.read(stream.key, 0, { after, max: 10, bytesMax })).length;
    assert.deepEqual([await read(0, 210), await read(0, 1), await read(2, 1e6), await read(3, 1e6)], [2, 1, 1, 0]);
  });

  test('time never goes back within a partition, and finds its position', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('times', { partitions: 1 });
    const startMs = place.clock.now();
    for (const jumpMs of [0, 1_000, 1_000, -5_000, 1_000]) {
      place.clock.jump(jumpMs);
      await bus.append(stream, [record('k', 'x'), record('k', 'y')]);
    }
    const records = await bus.read(stream.key, 0, { after: 0, max: 100, bytesMax: 1e6 });
    assert.deepEqual(
      records.map(({ at }) => at - startMs),
      [0, 0, 1_000, 1_000, 2_000, 2_000, 2_000, 2_000, 2_000, 2_000],
    );
    for (const [afterMs, position] of [
      [-1, 0],
      [0, 0],
      [1, 2],
      [1_000, 2],
      [1_001, 4],
      [2_000, 4],
      [2_001, 10],
    ]) {
      assert.equal(await bus.positionAt(stream.key, 0, startMs + afterMs!), position, `${afterMs}`);
    }
  });

  test('records that are too old go with the upkeep, and those beyond the bytes make room, the oldest first', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('kept', { partitions: 2, retentionMs: 60_000, bytesMax: 5_000 });
    const keys = ['a', 'b', 'c', 'd'];
    for (let n = 0; n < 40; n++) {
      await bus.append(stream, [record(keys[n % 4]!, `${n} `.padEnd(200, 'x'))]);
      place.clock.pass(100);
    }
    const kept = await readAll(bus, stream);
    const bytes = (await bus.partitions(stream.key)).reduce((sum, one) => sum + one.bytes, 0);
    assert.ok(bytes <= 5_100 && bytes > 4_500, `${bytes} bytes are kept`);
    const numbers = kept.map(({ data }) => Number(data.split(' ')[0])).toSorted((a, b) => a - b);
    assert.deepEqual(
      numbers,
      Array.from({ length: numbers.length }, (_, n) => 40 - numbers.length + n),
    );
    place.clock.pass(60_000 - 1_000);
    await bus.upkeep();
    assert.equal((await readAll(bus, stream)).length, 9, 'the others were appended a minute ago');
    place.clock.pass(1_000);
    await bus.upkeep();
    assert.deepEqual(await readAll(bus, stream), []);
    for (const { oldest, newest, bytes: left } of await bus.partitions(stream.key)) assert.deepEqual([oldest, left], [newest + 1, 0]);
    const [next] = await bus.append(stream, [record('a', 'next')]);
    assert.ok(next!.position > 1, 'positions go on');
    assert.equal(await bus.positionAt(stream.key, next!.partition, 0), next!.position - 1);
  });

  test('a consumer goes on where it committed, with its state; who lost a partition commits nothing', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const stream = streamSpec('consumed', { partitions: 2 });
    await bus.append(
      stream,
      Array.from({ length: 10 }, (_, n) => record(`${n}`, `${n}`)),
    );
    const [first, second] = await bus
      .hold(stream, 'f', { ...HOLD, max: 1 })
      .then(async (one) => [...one, ...(await other.hold(stream, 'f', HOLD))]);
    assert.deepEqual([first!.partition, second!.partition, first!.position, first!.state], [0, 1, 0, null]);
    assert.deepEqual(await bus.hold(stream, 'f', HOLD), [first], 'its own again, and no other');
    assert.equal(await bus.commit(stream.key, 'f', first!, { position: 2, state: '{"sum":3}', leaseMs: LEASE_MS }), true);
    assert.deepEqual(await bus.hold(stream, 'g', HOLD).then((held) => held.map(({ partition, position }) => [partition, position])), [
      [0, 0],
      [1, 0],
    ]);
    place.clock.pass(LEASE_MS);
    const taken = await other.hold(stream, 'f', HOLD);
    assert.deepEqual(
      taken.map(({ partition, position, state }) => [partition, position, state]),
      [
        [0, 2, '{"sum":3}'],
        [1, 0, null],
      ],
    );
    assert.equal(await bus.commit(stream.key, 'f', first!, { position: 9, state: null, leaseMs: LEASE_MS }), false);
    assert.deepEqual(await bus.hold(stream, 'f', HOLD), []);
    const heard = new Heard<string>();
    bus.onReady(heard.push);
    await other.release(stream.key, 'f');
    await heard.until((keys) => keys.includes(stream.key));
    assert.equal((await bus.hold(stream, 'f', HOLD)).length, 2);
    const list = await bus.consumers(stream.key);
    assert.deepEqual(
      list.map(({ consumer, partition, position }) => [consumer, partition, position]),
      [
        ['f', 0, 2],
        ['f', 1, 0],
        ['g', 0, 0],
        ['g', 1, 0],
      ],
    );
    assert.deepEqual(list[0]!.heldUntil, place.clock.now() + LEASE_MS);
  });

  test('a consumer may begin at the newest, be set anywhere, and reads partitions that are added from their beginning', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('sought', { partitions: 1 });
    await bus.append(stream, [record('a', '1'), record('b', '2')]);
    const [held] = await bus.hold(stream, 'f', { ...HOLD, from: 'newest' });
    assert.equal(held!.position, 2);
    await bus.seek(stream.key, 'f', 0, 1);
    assert.equal(await bus.commit(stream.key, 'f', held!, { position: 2, state: null, leaseMs: LEASE_MS }), false);
    assert.deepEqual(await bus.hold(stream, 'f', HOLD).then((all) => all.map(({ position }) => position)), [1]);
    const grown = { ...stream, partitions: 4 };
    await bus.append(
      grown,
      Array.from({ length: 20 }, (_, n) => record(`${n}`, `${n}`)),
    );
    const all = await bus.hold(grown, 'f', { ...HOLD, from: 'newest' });
    assert.deepEqual(
      all.map(({ partition, position }) => [partition, position]),
      [
        [0, 1],
        [1, 0],
        [2, 0],
        [3, 0],
      ],
    );
  });

  test('after an advance no record is earlier than it, whatever the clock of who appends it says', async () => {
    await using place = await open();
    const bus = place.bus('edge');
    const stream = streamSpec('clicks', { partitions: 1 });
    await bus.append(stream, [record('a', '1'), record('a', '2')]);
    const until = place.clock.now() + 60_000;
    assert.equal(await bus.advance(stream.key, 0, until), 2);
    assert.equal(await bus.advance(stream.key, 0, until - 30_000), 2);
    await bus.append(stream, [record('a', '3')]);
    place.clock.pass(90_000);
    await bus.append(stream, [record('a', '4')]);
    const ats = (await readAll(bus, stream)).map(({ at }) => at - until);
    assert.deepEqual(ats, [-60_000, -60_000, 0, 30_000]);
    assert.equal(await bus.advance('shop/stream/nothing', 0, until), 0);
  });

  test('what an earlier process held is given back; a stream that is dropped is gone', async () => {
    await using place = await open();
    const [bus, other] = [place.bus('edge'), place.bus('other')];
    const stream = streamSpec('gone');
    await bus.append(stream, [record('a', '1')]);
    await bus.hold(stream, 'f', HOLD);
    await place.crash(bus);
    assert.deepEqual(await other.hold(stream, 'f', HOLD), []);
    const again = place.bus('edge');
    await again.recover();
    assert.equal((await other.hold(stream, 'f', HOLD)).length, 3);
    await again.drop(stream.key);
    assert.deepEqual([await again.keys(''), await other.partitions(stream.key), await other.consumers(stream.key)], [[], [], []]);
    assert.equal((await other.hold(stream, 'f', HOLD)).length, 3);
    assert.deepEqual(
      (await other.append(stream, [record('a', '1')])).map(({ position }) => position),
      [1],
    );
  });
}
