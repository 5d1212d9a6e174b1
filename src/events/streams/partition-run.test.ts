// One partition over a bus that answers at once: what it is told while it ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import type { Invoker } from '../invoker.ts';
import { topologyOf } from '../topology.ts';
import { PartitionRun } from './partition-run.ts';
import type { StreamBus } from './partition.ts';
import { readerRulesOf } from './reader-rules.ts';
import { TestClock } from './testing.ts';

const TRIGGER = topologyOf('shop', { streams: { clicks: {} }, triggers: { count: [{ stream: 'clicks' }] } }, ['count']).streams.get(
  'clicks',
)!.triggers[0]!;
const STEPS_MAX = 40;

test('a record that it is told of in the very moment of its end is read', async () => {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    let commits = 0;
    const later = async (): Promise<void> => {
      for (let i = 0; i < steps; i++) await Promise.resolve();
      run.wake(2, () => {});
    };
    const bus: Pick<StreamBus, 'read' | 'commit'> = {
      read: (_key, partition, { after }) =>
        Promise.resolve([{ id: 'r', partitionKey: 'k', data: '', attributes: {}, partition, position: after + 1, at: 1 }]),
      commit: () => {
        if (++commits === 1) void later();
        return Promise.resolve(true);
      },
    };
    const invoker: Invoker = {
      capacity: () => 1,
      pressed: false,
      invoke: () => Promise.resolve({ ok: true, invocation: 'inv_1', status: 200, contentType: '', body: Buffer.alloc(0) }),
    };
    const run: PartitionRun = new PartitionRun(
      {
        bus: bus as StreamBus,
        invoker,
        clock: new TestClock(0),
        random: () => 0.5,
        places: { take: () => Promise.resolve(() => {}) },
        leaseMs: 30_000,
        log: () => {},
      },
      { project: 'shop', stream: 'clicks', function: 'count', key: 'shop/stream/clicks', rules: () => readerRulesOf(TRIGGER) },
      { partition: 0, position: 0, state: null, receipt: 'r1' },
    );
    run.wake(1, () => {});
    await tick();
    await tick();
    assert.equal(run.position, 2, `told ${steps} steps after the commit`);
  }
});
