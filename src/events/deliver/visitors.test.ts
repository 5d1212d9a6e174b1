import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairTurns } from './fair-turns.ts';
import type { Turned } from './fair-turns.ts';
import { Visitors } from './visitors.ts';
import type { Visitor } from './visitors.ts';

function place(
  placesMax: number,
  capacity: number,
): { enter: (project: string, signal?: AbortSignal) => Promise<(() => void) | undefined>; turns: FairTurns<Turned> } {
  const turns = new FairTurns<Turned>({ placesMax, bytesMax: 1_000 });
  const dispatch = (): void => {
    for (;;) {
      const next = turns.next((one) => visitors.may(one as Visitor, placesMax));
      if (next === undefined) return;
      turns.leave(next);
      visitors.admit(next as Visitor);
    }
  };
  const visitors = new Visitors({ turns, invoker: { capacity: () => capacity }, came: () => queueMicrotask(dispatch), left: dispatch });
  const enter = (project: string, signal = new AbortController().signal) => visitors.enter({ project, function: 'f', bytes: 10 }, signal);
  return { enter, turns };
}

test('of one function as many calls run at a time as it can take, and the next enters when one leaves', async () => {
  const { enter, turns } = place(100, 2);
  const [one, two] = await Promise.all([enter('a'), enter('a')]);
  const third = enter('a');
  const other = await enter('b');
  assert.equal(turns.places, 3);
  one!();
  two!();
  (await third)!();
  other!();
  assert.deepEqual([turns.places, turns.bytes], [0, 0]);
});

test('who does not want to wait any more is not let in, and holds nothing', async () => {
  const { enter, turns } = place(100, 1);
  const first = await enter('a');
  const leaving = new AbortController();
  const second = enter('a', leaving.signal);
  leaving.abort();
  assert.equal(await second, undefined);
  first!();
  assert.deepEqual([turns.places, turns.bytes, turns.someWait], [0, 0, false]);
  assert.equal(await enter('a', leaving.signal), undefined);
});
