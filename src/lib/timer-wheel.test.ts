// Members of the wheel are taken out when they are due, however far that is, and not when they were moved or removed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimerWheel } from './timer-wheel.ts';

test('each is due at its turn, also beyond one round of the wheel', () => {
  const wheel = new TimerWheel<{ name: string; dueAt: number }>();
  const due: string[] = [];
  const turnTo = (turn: number): void => {
    while (wheel.now < turn) wheel.turn(({ name }) => due.push(`${name}@${wheel.now}`));
  };
  const member = (name: string) => ({ name, dueAt: 0 });
  const [near, far, moved, removed, now] = [member('near'), member('far'), member('moved'), member('removed'), member('now')];
  wheel.set(near, 3);
  wheel.set(far, 1_000);
  wheel.set(moved, 2);
  wheel.set(moved, 300);
  wheel.set(removed, 2);
  wheel.remove(removed);
  wheel.set(now, 0);
  turnTo(1_001);
  assert.deepEqual(due, ['now@1', 'near@3', 'moved@300', 'far@1000']);
});
