// How long a call waits, by what it waits for: an instance that is being started, a busy one, or room for any. The engine
// against scripted guests (testing.ts).
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { VirgaError } from '../protocol/errors.ts';
import { Engine } from './engine.ts';
import type { RuntimeLimits } from './engine.ts';
import { MemoryRecorder, ScriptedSandboxes, TEST_LIMITS, testVersion } from './testing.ts';
import type { GuestScript } from './testing.ts';
import type { DeployedVersion } from './version.ts';

let open: Engine | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

function setUp(script: GuestScript, limits: Partial<RuntimeLimits> = {}) {
  const sandboxes = new ScriptedSandboxes(script);
  const engine = (open = new Engine({ sandboxes, recorder: new MemoryRecorder(), limits: { ...TEST_LIMITS, ...limits } }));
  /** What became of a call: `ok`, or the error. */
  const ask = async (version: DeployedVersion): Promise<'ok' | VirgaError> => {
    const { promise, resolve } = Promise.withResolvers<'ok' | VirgaError>();
    const refused = engine.invoke({
      version,
      meta: { kind: 'event', id: 'inv', trace: '', trigger: 'invoke', contentType: 'application/json' },
      traceId: '',
      body: Buffer.from('1'),
      bodyEnds: true,
      trigger: 'invoke',
      requestLine: null,
      sink: { bodyWanted: () => {}, head: () => resolve('ok'), body: () => {}, failed: (error) => resolve(error) },
    });
    if (refused instanceof VirgaError) resolve(refused);
    return promise;
  };
  return { sandboxes, ask };
}

const answersAtOnce: GuestScript = { onRequest: (guest, stream) => guest.answer(stream, 'x') };
/** A start ends within these whatever else the machine does. */
const PATIENT = { bootTimeoutMs: 30_000, loadTimeoutMs: 30_000 };
const codeOf = (outcome: 'ok' | VirgaError): string => (outcome === 'ok' ? 'ok' : `${outcome.status} ${outcome.code}`);

test('a start that takes longer than the timeout of a call costs the call nothing but time', async () => {
  const { ask, sandboxes } = setUp(answersAtOnce, PATIENT);
  sandboxes.startMs = 400;
  const calls = [1, 2, 3].map(() => ask(testVersion({ timeoutMs: 100 })));
  assert.deepEqual((await Promise.all(calls)).map(codeOf), ['ok', 'ok', 'ok']);
});

test('a handler that never answers has its timeout after a slow start too, and that is what its caller is told', async () => {
  const { ask, sandboxes } = setUp({ onRequest: () => {} }, PATIENT);
  sandboxes.startMs = 400;
  assert.equal(codeOf(await ask(testVersion({ timeoutMs: 100 }))), '504 function_timeout');
});

test('a start that fails says why, however short the timeout', async () => {
  const { ask } = setUp({ onInit: () => {}, onRequest: () => {} });
  assert.equal(codeOf(await ask(testVersion({ timeoutMs: 100 }))), '502 function_load_failed');
});

for (const max of [1, 2]) {
  const beside = max === 1 ? '' : ', beside one that gets the instance that is being started';
  test(`whoever waits for a busy instance is given up at the timeout${beside}`, async () => {
    const running: (() => void)[] = [];
    const { ask, sandboxes } = setUp({ onRequest: (guest, stream) => void running.push(() => guest.answer(stream, 'x')) }, PATIENT);
    const version = testVersion({ timeoutMs: 1_000, instances: { min: 0, max } });
    const until = async (count: number): Promise<void> => {
      while (running.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const first = ask(version);
    await until(1);
    sandboxes.startMs = 2_000;
    const second = ask(version);
    const rest = Array.from({ length: max }, () => ask(version));
    // The instance that is there is busy with the one or the other until the rest has waited for as long as it may.
    setTimeout(() => running[0]!(), 500);
    await until(2);
    const refused = await Promise.race(rest);
    assert.equal(codeOf(refused), '429 function_overloaded');
    running[1]!();
    assert.deepEqual([await first, await second], ['ok', 'ok']);
    if (max === 2) {
      await until(3);
      running[2]!();
    }
    const served = max === 2 ? ['ok'] : [];
    assert.deepEqual((await Promise.all(rest)).map(codeOf).toSorted(), ['429 function_overloaded', ...served]);
  });
}

test('a node that has no room for an instance says that it is the node, and when to come again', async () => {
  const { ask } = setUp({ onRequest: () => {} }, { sandboxesMax: 1 });
  const busy = ask(testVersion({ timeoutMs: 60_000 }, 'busy'));
  const begin = performance.now();
  const refused = await ask(testVersion({ timeoutMs: 100 }, 'other'));
  assert.equal(codeOf(refused), '503 sandbox_unavailable');
  assert.ok(refused !== 'ok' && refused.retryAfterS! >= 1);
  assert.match(refused.message, /'other'.*no room.*VIRGA_LIMIT_SANDBOXES/);
  const waitedMs = performance.now() - begin;
  assert.ok(waitedMs >= TEST_LIMITS.bootTimeoutMs - 1, `it waited ${waitedMs} ms for room`);
  await open!.close();
  assert.equal(codeOf(await busy), '503 unavailable');
});
