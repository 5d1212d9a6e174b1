// Every byte is granted once, whether the client takes it, leaves it, or is not waited for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pace } from './pace.ts';

const MIB = 1024 * 1024;

test('whatever the client takes and when it leaves, as much is granted in the end as was sent, and never more', () => {
  const step = fc.record({ send: fc.nat(300_000), isKept: fc.boolean(), take: fc.nat(400_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, leaves) => {
      let granted = 0;
      let sent = 0;
      let taken = 0;
      const pace = new Pace(() => ({ consumed: (bytes) => void (granted += bytes) }));
      for (const { send, isKept, take } of steps) {
        pace.sending(send, isKept);
        sent += send;
        const some = Math.min(take, sent - taken);
        pace.taken(some);
        taken += some;
        assert.ok(granted >= taken && granted <= sent, `${granted} of ${sent}, ${taken} taken`);
        assert.ok(granted - taken <= MIB);
      }
      if (leaves) pace.clientLeft();
      else pace.taken(sent - taken);
      assert.equal(granted, sent);
    }),
  );
});

test('what is kept does not wait for a client that reads nothing, what is passed on does', () => {
  let granted = 0;
  const pace = new Pace(() => ({ consumed: (bytes) => void (granted += bytes) }));
  for (let i = 0; i < 40; i++) pace.sending(64 * 1024, true);
  assert.equal(granted, MIB);
  pace.sending(1_000, false);
  assert.equal(granted, MIB);
});
