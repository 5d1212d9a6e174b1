// One reading at a time, and none that began before it was asked for, whenever that was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatestReading } from './latest-reading.ts';

test('whoever asks gets a reading that began afterwards, and two never run beside each other', async () => {
  let world = 0;
  let running = 0;
  let readings = 0;
  let read = 0;
  let release = (): void => {};
  const reading = new LatestReading(async () => {
    assert.equal(++running, 1, 'one at a time');
    readings++;
    const seen = world;
    await new Promise<void>((resolve) => (release = resolve));
    read = seen;
    running--;
  });
  const asked: Promise<void>[] = [];
  const ask = async (): Promise<void> => {
    const wanted = ++world;
    await reading.anew();
    assert.ok(read >= wanted, `asked at ${wanted}, read ${read}`);
  };
  for (let round = 0; round < 30; round++) {
    release();
    // Also between the microtasks in which one reading ends and the next begins.
    for (let tick = 0; tick < 12; tick++) {
      asked.push(ask());
      await Promise.resolve();
    }
  }
  for (let ended = 0; ended < 2; ended++) {
    release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(asked);
  assert.ok(readings < asked.length / 2, `${readings} readings for ${asked.length} that asked`);
});

test('a reading that fails fails for those who asked for it, and the next is made all the same', async () => {
  let readings = 0;
  const reading = new LatestReading(async () => {
    await Promise.resolve();
    if (++readings === 1) throw new Error('away');
  });
  const first = reading.anew();
  const second = reading.anew();
  await assert.rejects(first, /away/);
  await second;
  await reading.anew();
  assert.equal(readings, 3);
});
