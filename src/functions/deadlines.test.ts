import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { StreamTable } from '../protocol/stream-table.ts';
import { Call } from './call.ts';
import type { CallRequest } from './call.ts';
import { Deadlines } from './deadlines.ts';

test('each call is reported at its own deadline, however many began before it and ended in time', async () => {
  const timeoutMs = 40;
  const calls = new StreamTable<Call>();
  const late: { stream: number; afterMs: number }[] = [];
  const both = Promise.withResolvers<void>();
  const deadlines = new Deadlines(
    calls,
    { cpu: () => null },
    {
      timeoutMs,
      onLate: (call) => {
        late.push({ stream: call.stream, afterMs: performance.now() - call.runningAt });
        end(call);
        if (late.length === 2) both.resolve();
      },
    },
  );
  const begin = (stream: number): Call => {
    const now = performance.now();
    const call = new Call({} as CallRequest, now, 0);
    call.stream = stream;
    call.runningAt = now;
    calls.add(call);
    deadlines.began();
    return call;
  };
  const end = (call: Call): void => {
    calls.delete(call.stream);
    deadlines.ended();
  };
  end(begin(1));
  begin(2);
  await sleep(10);
  end(begin(3));
  begin(4);
  await both.promise;
  assert.deepEqual(
    late.map(({ stream }) => stream),
    [2, 4],
  );
  for (const { afterMs } of late) assert.ok(afterMs >= timeoutMs - 1, String(afterMs));
  deadlines.close();
});
