import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Call } from './call.ts';
import { CallQueue } from './call-queue.ts';

let made = 0;
const call = (heldBytes = 1): Call => ({ number: made++, heldBytes }) as unknown as Call;

test('it behaves as two plain lists would, whatever is done to it', () => {
  const step = fc.record({ what: fc.constantFrom('push', 'push', 'shift', 'remove', 'late', 'order'), which: fc.nat(100) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new CallQueue();
      let fresh: Call[] = [];
      let late: Call[] = [];
      for (const { what, which } of steps) {
        if (what === 'push') {
          const one = call(which);
          queue.push(one);
          fresh.push(one);
        } else if (what === 'shift') {
          const expected = queue.newestFirst ? (fresh[0] ?? late[0]) : (late[0] ?? fresh[0]);
          assert.equal(queue.shift(), expected);
          fresh = fresh.filter((one) => one !== expected);
          late = late.filter((one) => one !== expected);
        } else if (what === 'remove') {
          const one = [...late, ...fresh][which];
          if (one === undefined) continue;
          assert.equal(queue.remove(one), true);
          assert.equal(queue.remove(one), false);
          fresh = fresh.filter((other) => other !== one);
          late = late.filter((other) => other !== one);
        } else if (what === 'late') {
          queue.allLate();
          late.push(...fresh);
          fresh = [];
        } else queue.newestFirst = !queue.newestFirst;
        const all = [...late, ...fresh];
        assert.deepEqual([queue.size, queue.fresh], [all.length, fresh.length]);
        assert.equal(
          queue.bytes,
          all.reduce((sum, one) => sum + one.heldBytes, 0),
        );
        assert.equal(queue.oldest, all[0]);
        assert.equal(queue.oldestLate, late[0]);
        assert.deepEqual(queue.first(3), all.slice(0, 3));
      }
    }),
  );
});

test('ten thousand clients that leave a queue of ten thousand take no noticeable time', () => {
  const queue = new CallQueue();
  const calls = Array.from({ length: 10_000 }, () => call());
  for (const one of calls) queue.push(one);
  const begin = performance.now();
  for (const one of calls.toReversed()) queue.remove(one);
  assert.ok(performance.now() - begin < 500);
  assert.deepEqual([queue.size, queue.bytes], [0, 0]);
});
