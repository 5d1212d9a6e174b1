// Scaling, overload and fairness of the engine against scripted guests (testing.ts).
import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, test } from 'node:test';
import { VirgaError } from '../protocol/errors.ts';
import type { Call, CallSink } from './call.ts';
import { Engine } from './engine.ts';
import type { RuntimeLimits } from './engine.ts';
import { MemoryRecorder, ScriptedSandboxes, TEST_LIMITS, testVersion } from './testing.ts';
import type { Guest, GuestScript } from './testing.ts';
import type { DeployedVersion } from './version.ts';

const MIB = 1024 * 1024;
let open: Engine | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

/** What became of a call: `ok`, or the error. */
function asked(
  engine: Engine,
  version: DeployedVersion,
  body: Buffer = Buffer.from('1'),
): { done: Promise<'ok' | VirgaError>; call: Call | VirgaError } {
  const { promise, resolve } = Promise.withResolvers<'ok' | VirgaError>();
  const sink: CallSink = {
    bodyWanted: () => {},
    head: (_status, _headers, _body, end) => void (end && resolve('ok')),
    body: (_chunk, end) => void (end && resolve('ok')),
    failed: (error) => resolve(error),
  };
  const call = engine.invoke({
    version,
    meta: { kind: 'event', id: 'inv', trace: '', trigger: 'invoke', contentType: 'application/json' },
    traceId: '',
    body,
    bodyEnds: true,
    trigger: 'invoke',
    requestLine: null,
    sink,
  });
  if (call instanceof VirgaError) resolve(call);
  return { done: promise, call };
}

function setUp(script: GuestScript, limits: Partial<RuntimeLimits> = {}) {
  const sandboxes = new ScriptedSandboxes(script);
  const engine = new Engine({ sandboxes, recorder: new MemoryRecorder(), limits: { ...TEST_LIMITS, ...limits } });
  open = engine;
  return { sandboxes, engine, ask: (version: DeployedVersion, body?: Buffer) => asked(engine, version, body) };
}

/** A guest that works on one call after the other, each for `ms`. */
function worker(ms: number): GuestScript {
  if (ms === 0) return { onRequest: (guest, stream) => guest.answer(stream, 'x') };
  return { onRequest: (guest, stream) => void setTimeout(() => guest.answer(stream, 'x'), ms) };
}
/** A guest that answers when it is told to. */
function held(): { script: GuestScript; waiting: { guest: Guest; go: () => void }[] } {
  const waiting: { guest: Guest; go: () => void }[] = [];
  return { waiting, script: { onRequest: (guest, stream) => void waiting.push({ guest, go: () => guest.answer(stream, 'x') }) } };
}
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await turn();
};
const of = (project: string, name: string, settings: Parameters<typeof testVersion>[0] = {}): DeployedVersion => ({
  ...testVersion(settings, name),
  project,
});
const errors = (outcomes: ('ok' | VirgaError)[]): VirgaError[] => outcomes.filter((one) => one instanceof VirgaError);

test('stopped instances count with what they hold: twelve of 100 MiB fit into 600 MiB', async () => {
  const { engine, ask, sandboxes } = setUp(worker(0), { sandboxMemoryMiB: 600 });
  sandboxes.heldBytes = 40 * MIB;
  for (let i = 0; i < 5; i++) assert.equal(await ask(testVersion({}, `f${i}`)).done, 'ok');
  await until(() => sandboxes.frozen === 5);
  for (let i = 5; i < 9; i++) assert.equal(await ask(testVersion({}, `f${i}`)).done, 'ok');
  assert.equal(sandboxes.alive, 8, 'five stopped ones and three of full size; the fourth took the place of another');
  await until(() => sandboxes.frozen === 8);
  assert.equal(await ask(testVersion({}, 'f9')).done, 'ok');
  assert.ok(sandboxes.alive >= 9);
  // Taking one into service needs the rest of its limit: others go for it, it is never refused.
  for (let round = 0; round < 2; round++) for (let i = 0; i < 10; i++) assert.equal(await ask(testVersion({}, `f${i}`)).done, 'ok');
  assert.equal(engine.stats().length > 0, true);
});

test('what is called rarely, large, and quick to start again goes first', async () => {
  const { ask, sandboxes, engine } = setUp(worker(0), { sandboxMemoryMiB: 400 });
  for (let i = 0; i < 20; i++) await ask(testVersion({ memoryMiB: 50 }, 'often')).done;
  await ask(testVersion({ memoryMiB: 300 }, 'large')).done;
  for (let i = 0; i < 3; i++) await ask(testVersion({ memoryMiB: 50 }, 'small')).done;
  assert.equal(sandboxes.alive, 3);
  await ask(testVersion({ memoryMiB: 100 }, 'new')).done;
  const names = engine.stats().map((one) => one.function);
  assert.deepEqual(names.toSorted(), ['new', 'often', 'small']);
});

test('a burst of three hundred distinct cold functions is answered whole, and a warm one beside it is not kept waiting', async () => {
  const { ask, sandboxes } = setUp(worker(1), { sandboxMemoryMiB: 2_000, sandboxesMax: 500, startsInFlightMax: 4 });
  sandboxes.startMs = 2;
  const warm = of('warm', 'w');
  await ask(warm).done;
  const burst = Array.from({ length: 300 }, (_, i) => ask(of('cold', `f${i}`, { timeoutMs: 30_000 })).done);
  let most = 0;
  let slowest = 0;
  for (let i = 0; i < 30; i++) {
    const begin = performance.now();
    assert.equal(await ask(warm).done, 'ok');
    slowest = Math.max(slowest, performance.now() - begin);
    most = Math.max(most, sandboxes.starting);
  }
  assert.deepEqual(errors(await Promise.all(burst)), []);
  assert.ok(most <= 4, `${most} starts at once`);
  assert.ok(slowest < 500, `${slowest} ms`);
});

test('a quiet project gets its instance before the hundred that another one waits for', async () => {
  const { ask, sandboxes } = setUp(worker(0), { startsInFlightMax: 1 });
  sandboxes.startMs = 3;
  let done = 0;
  const noisy = Array.from({ length: 100 }, (_, i) => ask(of('noisy', `f${i}`, { timeoutMs: 30_000 })).done.then(() => done++));
  assert.equal(await ask(of('quiet', 'q')).done, 'ok');
  assert.ok(done <= 4, `${done} of the noisy project's calls came first`);
  await Promise.all(noisy);
});

test('a project whose calls fill the memory gives an instance up for one that has none', async () => {
  const { script, waiting } = held();
  const { ask } = setUp(script, { sandboxMemoryMiB: 400 });
  const noisy = of('noisy', 'n', { timeoutMs: 5_000, queue: 100 });
  const calls = Array.from({ length: 20 }, () => ask(noisy).done);
  await until(() => waiting.length === 4);
  const quiet = ask(of('quiet', 'q', { timeoutMs: 5_000 })).done;
  await sleep(20);
  waiting.shift()!.go();
  // The slot that came free does not go to the noisy project's next call.
  await until(() => waiting.some(({ guest }) => guest.spec.id !== '' && waiting.length === 4));
  const outcome = Promise.race([quiet, sleep(3_000).then(() => 'late')]);
  waiting.pop()!.go();
  assert.equal(await outcome, 'ok');
  while (waiting.length > 0 || (await Promise.race([Promise.all(calls).then(() => false), turn(true)]))) waiting.shift()?.go();
});

test('a project runs as many calls at once as it may, and the rest follows', async () => {
  const { script, waiting } = held();
  const { ask, engine } = setUp(script, { projectConcurrencyMax: 3 });
  const calls = ['a', 'b', 'c'].flatMap((name) => [0, 1, 2].map(() => ask(of('p', name)).done));
  const other = ask(of('other', 'o')).done;
  await until(() => waiting.length === 4);
  await sleep(30);
  assert.equal(waiting.length, 4);
  assert.equal(
    engine.stats().reduce((sum, one) => sum + one.inFlight, 0),
    4,
  );
  assert.deepEqual(new Set(whoWaits(engine)), new Set(['p full']), 'more room would not help');
  const all = Promise.all([...calls, other]);
  let over = false;
  void all.then(() => (over = true));
  while (!over) {
    waiting.shift()?.go();
    await turn();
    assert.ok(waiting.length <= 4);
  }
  assert.deepEqual(errors(await all), []);
});

test('of calls that wait it is known whether more room on the node would help', async () => {
  const { script, waiting } = held();
  const { ask, engine } = setUp(script, { sandboxesMax: 2 });
  const small = testVersion({ instances: { min: 0, max: 1 } });
  for (let i = 0; i < 2; i++) ask(small);
  await until(() => waiting.length === 1);
  assert.deepEqual(whoWaits(engine), [`${small.project} full`]);
  ask(of('p', 'a'));
  await until(() => waiting.length === 2);
  ask(of('q', 'b'));
  assert.deepEqual(whoWaits(engine), [`${small.project} full`, 'q']);
  assert.deepEqual([engine.waitingOf(small), engine.waitingOf(of('p', 'a'))], [1, 0]);
});

function whoWaits(engine: Engine): string[] {
  return [...engine.waitingVersions()]
    .filter(({ calls }) => calls > 0)
    .map(({ version, full }) => `${version.project}${full ? ' full' : ''}`);
}

test('what waits is bounded for a function, a project and the node, and each refusal says when to come again', async () => {
  const limits = { functionQueueBytesMax: 3_000, projectQueueBytesMax: 4_500, projectQueueCallsMax: 5, queueCallsMax: 7 };
  const { ask } = setUp({ onRequest: () => {} }, { ...limits, startsInFlightMax: 1, sandboxesMax: 1 });
  const kilobyte = Buffer.alloc(1_000);
  const codes = (project: string, name: string, count: number, body: Buffer): string[] =>
    Array.from({ length: count }, () => ask(of(project, name), body).call).map((one) => {
      if (!(one instanceof VirgaError)) return 'waits';
      assert.ok((one.retryAfterS ?? 0) >= 1);
      return `${one.status} ${one.code}`;
    });
  assert.deepEqual(codes('p', 'a', 4, kilobyte), ['waits', 'waits', 'waits', '429 function_overloaded']);
  assert.deepEqual(codes('p', 'b', 2, kilobyte), ['waits', '429 project_overloaded']);
  assert.deepEqual(codes('p', 'c', 2, Buffer.alloc(1)), ['waits', '429 project_overloaded']);
  assert.deepEqual(codes('q', 'd', 3, Buffer.alloc(1)), ['waits', 'waits', '503 node_overloaded']);
});

test('at ten times what it can do a function answers what it accepts soon, refuses the rest at once, and is itself again after', async () => {
  const { ask } = setUp(worker(20));
  const version = testVersion({ instances: { min: 0, max: 2 }, queue: 1_000, timeoutMs: 10_000 });
  /** Calls every `everyMs`; counted are those that come after `fromMs`. */
  const flood = async (ms: number, everyMs: number, fromMs = 0) => {
    const times = { accepted: [] as number[], refused: [] as number[], late: 0 };
    const all: Promise<void>[] = [];
    const begin = performance.now();
    for (let sent = 0; performance.now() - begin < ms;) {
      for (; sent < (performance.now() - begin) / everyMs; sent++) {
        const at = performance.now();
        const { done, call } = ask(version);
        const refusedAfter = call instanceof VirgaError ? performance.now() - at : undefined;
        if (at - begin < fromMs) continue;
        all.push(
          done.then((outcome) => {
            if (outcome === 'ok') times.accepted.push(performance.now() - at);
            else if (refusedAfter !== undefined) times.refused.push(refusedAfter);
            else times.late++;
          }),
        );
      }
      await turn();
    }
    await Promise.all(all);
    return times;
  };
  // Two instances with 20 ms a call do at most 100 a second; 1,000 come.
  const during = await flood(2_500, 1, 1_000);
  const p99 = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
  assert.ok(during.accepted.length > 30, `${during.accepted.length} accepted`);
  assert.ok(p99(during.accepted) < 1_500, `p99 of accepted ${p99(during.accepted)} ms`);
  assert.ok(p99(during.refused) < 50, `p99 of refused ${p99(during.refused)} ms`);
  assert.ok(during.late < during.accepted.length / 2, `${during.late} accepted and given up, ${during.accepted.length} served`);
  await sleep(500);
  const after = await flood(500, 40);
  assert.equal(after.refused.length + after.late, 0);
});

test('a handler that computes is not given an instance for each call that waits, one that waits is', async () => {
  const busiest = async (processorMsPerCall: number): Promise<number> => {
    const { ask, sandboxes, engine } = setUp(worker(20), { startsInFlightMax: 50 });
    sandboxes.processorMsPerCall = processorMsPerCall;
    const version = testVersion({ instances: { min: 0, max: 40 }, queue: 1_000, timeoutMs: 10_000 });
    for (let round = 0; round < 5; round++) {
      assert.deepEqual(errors(await Promise.all(Array.from({ length: 60 }, () => ask(version).done))), []);
    }
    await engine.close();
    return sandboxes.guests.length;
  };
  const computing = await busiest(20);
  const waiting = await busiest(0.1);
  assert.ok(computing <= 16, `${computing} instances of one that computes`);
  assert.ok(waiting > computing, `${waiting} instances of one that waits, ${computing} of one that computes`);
});

test('a window keeps its instances ready without a call, also when there were none', async () => {
  const { engine, sandboxes } = setUp(worker(0));
  const windows = [{ cron: '* * * * *', forMs: 120_000, min: 2, timezone: 'UTC' }];
  const version = testVersion({ instances: { min: 0, max: 4, windows }, idleMs: 0 });
  engine.setCurrent([version]);
  await until(() => sandboxes.alive === 2);
  await sleep(600);
  assert.equal(sandboxes.alive, 2);
  engine.setCurrent([]);
  await until(() => sandboxes.alive === 0);
});

test('calls that wait for each other all begin, also of a function that was seen to compute', async () => {
  const { waiting, script } = held();
  let meet = false;
  const { ask, sandboxes } = setUp({
    onRequest: (guest, stream, ...rest) => (meet ? script : worker(50)).onRequest(guest, stream, ...rest),
  });
  const version = testVersion({ concurrency: 40, timeoutMs: 20_000, queue: 20, instances: { min: 0, max: 1 } });
  sandboxes.processorMsPerCall = 50;
  for (let i = 0; i < 12; i++) assert.equal(await ask(version).done, 'ok');
  meet = true;
  sandboxes.processorMsPerCall = 0;
  const calls = Array.from({ length: 20 }, () => ask(version).done);
  const beganMs = performance.now();
  await until(() => waiting.length === 20 || performance.now() - beganMs > 9_000);
  assert.equal(waiting.length, 20);
  for (const { go } of waiting) go();
  assert.deepEqual(errors(await Promise.all(calls)), []);
});
