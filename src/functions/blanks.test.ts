// The pool of blanks against scripted guests: how many there are, who gets one, what becomes of those nobody wants.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeSandboxStatus, SandboxShape } from '../sandbox/sandbox.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BLANK_MIB, Blanks } from './blanks.ts';
import { ColdRate } from './cold-rate.ts';
import { ScriptedSandboxes } from './testing.ts';

const SHAPE: SandboxShape = { runtime: 'nodejs26', memoryMiB: 100, cpus: null, tmpMiB: 1, pids: 16, isolation: 'standard' };
const STATUS: NodeSandboxStatus = {
  driver: 'bubblewrap',
  runtime: null,
  lateFiles: true,
  strong: null,
  strongReason: 'not here',
  runtimes: [],
  enforcement: { isolation: 'namespaces', memory: null, cpus: null, pids: null, tmp: null, network: null, notes: [] },
};

function setUp(options: { max?: number; room?: () => boolean; lateFiles?: boolean; bootTimeoutMs?: number } = {}): {
  blanks: Blanks;
  sandboxes: ScriptedSandboxes;
} {
  const sandboxes = new ScriptedSandboxes({ onRequest: () => {} });
  sandboxes.driver = { ...STATUS, lateFiles: options.lateFiles ?? true };
  const limits = { blanksMax: options.max ?? 8, bootsMax: 2, bootTimeoutMs: options.bootTimeoutMs ?? 1_000 };
  return { blanks: new Blanks(sandboxes, limits, options.room ?? (() => true)), sandboxes };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it did not come about within 2 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const ready = (blanks: Blanks): number => blanks.stats().reduce((sum, shelf) => sum + shelf.ready, 0);

test('blanks are kept for the shapes of current versions, and for no others', async () => {
  const { blanks, sandboxes } = setUp();
  const other = { ...SHAPE, memoryMiB: 200 };
  blanks.setShapes([SHAPE, { ...SHAPE }, other]);
  await until(() => ready(blanks) === 4);
  assert.equal(blanks.memoryMiB, 4 * BLANK_MIB);
  blanks.setShapes([other]);
  await until(() => sandboxes.alive === 2);
  assert.deepEqual(
    blanks.stats().filter((shelf) => shelf.ready > 0),
    [{ runtime: 'nodejs26', memoryMiB: 200, ready: 2, booting: 0 }],
  );
  await blanks.close();
  assert.equal(sandboxes.alive, 0);
});

test('a blank is taken once, the oldest first, and another is booted in its place', async () => {
  const { blanks, sandboxes } = setUp();
  blanks.setShapes([SHAPE]);
  await until(() => ready(blanks) === 2);
  const [first, second, third] = [await blanks.take(SHAPE), await blanks.take(SHAPE), await blanks.take(SHAPE)];
  assert.equal(first?.id, sandboxes.guests[0]?.spec.id);
  assert.equal(second?.id, sandboxes.guests[1]?.spec.id);
  assert.equal(third, undefined);
  assert.equal(first?.codeFolder, null);
  await until(() => ready(blanks) >= 2);
  await blanks.close();
  assert.equal(sandboxes.alive, 2, 'what was taken is not the pool’s to end');
});

test('a blank that dies is replaced, and nobody is given it', async () => {
  const { blanks, sandboxes } = setUp();
  blanks.setShapes([SHAPE]);
  await until(() => ready(blanks) === 2);
  sandboxes.guests[0]!.end({ signal: 'SIGKILL' });
  await until(() => sandboxes.guests.length === 3 && ready(blanks) === 2);
  assert.equal((await blanks.take(SHAPE))?.id, sandboxes.guests[1]?.spec.id);
  await blanks.close();
});

test('who finds none ready gets the next of those that boot, and nothing when that fails', async () => {
  const { blanks, sandboxes } = setUp();
  blanks.setShapes([SHAPE]);
  await until(() => blanks.count === 2);
  const [first, second, third] = await Promise.all([blanks.take(SHAPE), blanks.take(SHAPE), blanks.take(SHAPE)]);
  assert.deepEqual(new Set([first?.id, second?.id]), new Set(sandboxes.guests.slice(0, 2).map((guest) => guest.spec.id)));
  assert.equal(third, undefined);
  await until(() => ready(blanks) === 2);
  await blanks.close();

  const broken = setUp();
  broken.sandboxes.start = async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    throw new VirgaError('sandbox_unavailable', 'no');
  };
  broken.blanks.setShapes([SHAPE]);
  await until(() => broken.blanks.count > 0);
  assert.equal(await broken.blanks.take(SHAPE), undefined);
  await broken.blanks.close();
});

test('a boot that hangs holds nobody up until it is given up: whoever waits for it is let go, to boot one of its own', async () => {
  const bootTimeoutMs = 60_000;
  const { blanks, sandboxes } = setUp({ bootTimeoutMs });
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const start = sandboxes.start.bind(sandboxes);
  sandboxes.start = async (spec, assignment) => {
    await released;
    return start(spec, assignment);
  };
  blanks.setShapes([SHAPE]);
  await until(() => blanks.count === 2);
  const begin = performance.now();
  assert.deepEqual(await Promise.all([blanks.take(SHAPE), blanks.take(SHAPE)]), [undefined, undefined]);
  assert.ok(performance.now() - begin < bootTimeoutMs / 2);
  // Those that come late all the same are kept for the next.
  release();
  await until(() => ready(blanks) === 2);
  assert.equal((await blanks.take(SHAPE))?.id, sandboxes.guests[0]?.spec.id);
  await blanks.close();
});

test('memory that is wanted elsewhere is given back, and not taken again', async () => {
  let room = true;
  const { blanks, sandboxes } = setUp({ room: () => room });
  blanks.setShapes([SHAPE]);
  await until(() => ready(blanks) === 2);
  room = false;
  assert.equal(blanks.shed(), true);
  assert.equal(blanks.shed(), true);
  assert.equal(blanks.shed(), false);
  assert.deepEqual([blanks.count, blanks.memoryMiB], [0, 0]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(sandboxes.guests.length, 2);
  await blanks.close();
});

test('there are never more than the limit, and none where sandboxes cannot be shown files', async () => {
  const { blanks } = setUp({ max: 3 });
  blanks.setShapes([1, 2, 3].map((n) => ({ ...SHAPE, memoryMiB: n * 64 })));
  await until(() => ready(blanks) === 3);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(blanks.count, 3);
  await blanks.close();

  const none = setUp({ lateFiles: false });
  none.blanks.setShapes([SHAPE]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(none.sandboxes.guests.length, 0);
  await none.blanks.close();
});

test('the demand of the busiest second counts for ten minutes', () => {
  const rate = new ColdRate(0);
  const bounds = { bootMs: 100, min: 2, max: 50 };
  assert.equal(rate.wanted(0, bounds), 2);
  for (let n = 0; n < 100; n++) rate.note(5_000 + n);
  // 10 while one boots, and three standard deviations.
  assert.equal(rate.wanted(6_000, bounds), 20);
  assert.equal(rate.wanted(604_000, bounds), 20);
  assert.equal(rate.wanted(606_000, bounds), 2);
});

test('however demand comes, the number wanted keeps to its bounds', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5_000_000 })), fc.nat({ max: 20_000 }), (times, bootMs) => {
      const rate = new ColdRate(0);
      let now = 0;
      for (const time of times.toSorted((a, b) => a - b)) rate.note((now = time));
      const wanted = rate.wanted(now, { bootMs, min: 2, max: 16 });
      return wanted >= 2 && wanted <= 16;
    }),
  );
});
