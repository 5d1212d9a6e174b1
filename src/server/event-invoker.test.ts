// Calls for events: which version they get, what counts as an attempt, and what becomes of them when the node stops.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { topologyOf } from '../events/topology.ts';
import { Call } from '../functions/call.ts';
import type { CallRequest } from '../functions/call.ts';
import type { DeployedVersion } from '../functions/version.ts';
import type { ServedProject } from '../gateway/read-model.ts';
import { VirgaError } from '../protocol/errors.ts';
import { EventInvoker } from './event-invoker.ts';

const version = (number: number): DeployedVersion =>
  ({ project: 'shop', function: 'ship', version: number, settings: { instances: { min: 0, max: 4 }, concurrency: 3 } }) as DeployedVersion;

function start(answer: (call: Call) => void | VirgaError, options: { random?: number; canary?: number } = {}) {
  const calls: Call[] = [];
  const [live, canary] = [version(1), version(2)];
  const project = {
    functions: new Map([['ship', live]]),
    canaries: new Map(options.canary === undefined ? [] : [['ship', { version: canary, percent: options.canary }]]),
    versions: [live, canary],
    topology: topologyOf('shop', {}, ['ship']),
  } as unknown as ServedProject;
  const engine = {
    waiting: 0,
    /** All of version 1. */
    full: false,
    waitingOf: () => engine.waiting,
    waitingVersions: () => (engine.waiting === 0 ? [] : [{ version: live, calls: engine.waiting, full: engine.full }]),
    invoke: (request: CallRequest) => {
      const call = new Call(request, performance.now(), Date.now());
      calls.push(call);
      return answer(call) ?? call;
    },
  };
  const invoker = new EventInvoker({
    engine,
    model: { project: (name) => (name === 'shop' ? project : undefined) },
    version: ({ version: number }) => Promise.resolve(number === 9 ? version(9) : undefined),
    answerBytesMax: 1_000,
    random: () => options.random ?? 0.5,
  });
  return { invoker, engine, calls };
}

const CALL = { project: 'shop', function: 'ship', trigger: 'queue', contentType: 'application/json', body: Buffer.from('{}') };
const answers = (status: number, body: string) => (call: Call) => {
  queueMicrotask(() => call.request.sink.head(status, ['Content-Type', 'text/plain'], Buffer.from(body), true));
};
const fails = (error: VirgaError, options: { ran: boolean }) => (call: Call) => {
  if (options.ran) call.runningAt = 1;
  queueMicrotask(() => call.request.sink.failed(error, false));
};

test('a call is an event with its trigger and its line for the record, and its answer comes back', async () => {
  const { invoker, calls } = start(answers(200, 'shipped'));
  const outcome = await invoker.invoke({ ...CALL, requestLine: 'QUEUE orders (10)', id: 'inv_x' });
  assert.deepEqual(outcome, {
    ok: true,
    invocation: 'inv_x',
    version: 1,
    status: 200,
    headers: ['Content-Type', 'text/plain'],
    contentType: 'text/plain',
    body: Buffer.from('shipped'),
  });
  const { request } = calls[0]!;
  assert.deepEqual(
    [request.meta.kind, request.trigger, request.requestLine, request.version.version],
    ['event', 'queue', 'QUEUE orders (10)', 1],
  );
  assert.equal(invoker.capacity('shop', 'ship'), 12);
  assert.equal(invoker.capacity('shop', 'other'), undefined);
});

test('a larger body is handed over as the guest takes it', async () => {
  const body = Buffer.alloc(200_000, 7);
  const { invoker, calls } = start((call) => {
    const taken: Buffer[] = [];
    call.state = 'running';
    call.host = {
      writeBody: (_call, chunk, end) => {
        taken.push(Buffer.from(chunk));
        if (end) call.request.sink.head(200, [], Buffer.from(String(Buffer.concat(taken).equals(body))), true);
        return true;
      },
      consumed: () => {},
      abandon: () => {},
    };
    queueMicrotask(() => call.request.sink.bodyWanted(call));
  });
  const outcome = await invoker.invoke({ ...CALL, body });
  assert.ok(outcome.ok && outcome.body.toString() === 'true');
  assert.deepEqual([calls[0]!.request.bodyEnds, calls[0]!.heldBytes], [false, 200_000]);
});

test('the canary has its share of events, and a version that is named gets its own', async () => {
  const versionOf = async (options: { random: number; canary: number }, number?: number) => {
    const { invoker, calls } = start(answers(200, ''), options);
    await invoker.invoke({ ...CALL, ...(number === undefined ? {} : { version: number }) });
    return calls[0]?.request.version.version;
  };
  assert.equal(await versionOf({ random: 0.09, canary: 10 }), 2);
  assert.equal(await versionOf({ random: 0.11, canary: 10 }), 1);
  assert.equal(await versionOf({ random: 0, canary: 10 }, 1), 1);
  assert.equal(await versionOf({ random: 0.5, canary: 10 }, 2), 2);
  assert.equal(await versionOf({ random: 0.5, canary: 10 }, 9), 9, 'not current');
  assert.equal(await versionOf({ random: 0.5, canary: 10 }, 8), undefined);
});

test('only what ran, or could not be loaded, is an attempt', async () => {
  const refusedBy = async (error: VirgaError, options: { ran: boolean }) => {
    const outcome = await start(fails(error, options)).invoker.invoke(CALL);
    return outcome.ok ? undefined : outcome.refused;
  };
  const attempts: [VirgaError['code'], boolean, boolean][] = [
    ['function_error', true, false],
    ['function_timeout', true, false],
    ['function_out_of_memory', true, false],
    ['function_load_failed', false, false],
    ['internal', true, false],
    ['internal', false, true],
    ['function_overloaded', false, true],
    ['sandbox_unavailable', false, true],
    ['unavailable', true, true],
  ];
  for (const [code, ran, refused] of attempts)
    assert.equal(await refusedBy(new VirgaError(code, 'x'), { ran }), refused, `${code}, ran: ${ran}`);
});

test('what the engine refuses at once, and a function that is not there, are refusals with the time to wait', async () => {
  const full = start(() => new VirgaError('function_overloaded', 'full', { retryAfterS: 3 }));
  assert.deepEqual(await full.invoker.invoke(CALL), {
    ok: false,
    invocation: null,
    refused: true,
    code: 'function_overloaded',
    message: 'full',
    retryAfterMs: 3_000,
  });
  const gone = await full.invoker.invoke({ ...CALL, function: 'gone' });
  assert.deepEqual([gone.ok, !gone.ok && gone.refused, !gone.ok && gone.code], [false, true, 'function_not_found']);
});

test('what a handler threw is told to operators', async () => {
  const error = new VirgaError('function_error', 'it threw; see the logs', { cause: 'TypeError: x is not a function' });
  const outcome = await start(fails(error, { ran: true })).invoker.invoke(CALL);
  assert.ok(!outcome.ok && outcome.thrown === 'TypeError: x is not a function' && outcome.message === 'it threw; see the logs');
});

test('a call that is called off was no attempt, and holds nothing up', async () => {
  const { invoker, calls } = start(() => {});
  const stop = new AbortController();
  const called = invoker.invoke({ ...CALL, signal: stop.signal });
  await new Promise(setImmediate);
  stop.abort();
  const outcome = await called;
  assert.ok(!outcome.ok && outcome.refused && outcome.code === 'unavailable');
  assert.equal(calls[0]!.abandoned, true);
});

test('an answer that is larger than is held fails the call', async () => {
  const outcome = await start(answers(200, 'x'.repeat(1_001))).invoker.invoke(CALL);
  assert.ok(!outcome.ok && !outcome.refused && outcome.code === 'function_bad_response');
});

test('requests of clients that wait press; calls of events that wait do not', async () => {
  const { invoker, engine, calls } = start(() => {});
  engine.waiting = 1;
  assert.equal(invoker.pressed, true);
  void invoker.invoke(CALL);
  await new Promise(setImmediate);
  assert.equal(invoker.pressed, false);
  calls[0]!.state = 'running';
  assert.equal(invoker.pressed, true);
});

test('requests that wait for the instances of their own function, all busy, press nobody else, and leave its events one call', async () => {
  const { invoker, engine } = start(() => {});
  assert.equal(invoker.capacity('shop', 'ship'), 12);
  engine.waiting = 5;
  engine.full = true;
  assert.equal(invoker.pressed, false, 'the events of others go on');
  assert.equal(invoker.capacity('shop', 'ship'), 1);
  engine.full = false;
  assert.equal(invoker.pressed, true, 'they wait for room on the node');
});
