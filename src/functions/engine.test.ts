// The engine against scripted guests (testing.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirgaError } from '../protocol/errors.ts';
import { FrameType, LogLevel, encodeFrame, encodeJsonFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { InitPayload } from '../protocol/frames.ts';
import type { Call, CallSink } from './call.ts';
import { Engine } from './engine.ts';
import { MemoryRecorder, ScriptedSandboxes, TEST_LIMITS, testVersion } from './testing.ts';
import type { Guest, GuestScript } from './testing.ts';
import type { DeployedVersion } from './version.ts';

class Answer implements CallSink {
  text = '';
  readonly done: Promise<string>;
  #settle = { resolve: (() => {}) as (text: string) => void, reject: (() => {}) as (error: Error) => void };
  constructor() {
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {});
  }
  bodyWanted(): void {}
  head(_status: number, _headers: string[], body: Buffer, end: boolean): void {
    this.body(body, end);
  }
  body(chunk: Buffer, end: boolean): void {
    this.text += chunk.toString();
    if (end) this.#settle.resolve(this.text);
  }
  failed(error: VirgaError): void {
    this.#settle.reject(error);
  }
}

let ids = 0;
function setUp(script: GuestScript, limits: { sandboxMemoryMiB?: number } = {}) {
  const sandboxes = new ScriptedSandboxes(script);
  const recorder = new MemoryRecorder();
  const engine = new Engine({
    sandboxes,
    recorder,
    limits: { ...TEST_LIMITS, ...limits },
  });
  const call = (v: DeployedVersion): { answer: Answer; call: Call | VirgaError } => {
    const answer = new Answer();
    const id = `inv_${ids++}`;
    const made = engine.invoke({
      version: v,
      meta: { kind: 'event', id, trace: '', trigger: 'invoke', contentType: 'application/json' },
      traceId: '',
      body: Buffer.from('1'),
      bodyEnds: true,
      trigger: 'invoke',
      requestLine: null,
      sink: answer,
    });
    return { answer, call: made };
  };
  return { sandboxes, recorder, engine, call };
}

const failsWith = (code: string) => (error: unknown) => error instanceof VirgaError && error.code === code;

test('a cold call starts an instance, the next one reuses it, and both leave a record with a receipt', async () => {
  const { engine, call, recorder, sandboxes } = setUp({ onRequest: (guest, stream) => guest.answer(stream, 'hi') });
  assert.equal(await call(testVersion()).answer.done, 'hi');
  assert.equal(await call(testVersion()).answer.done, 'hi');
  assert.equal(sandboxes.guests.length, 1);
  assert.deepEqual(
    recorder.records.map((r) => [r.outcome, r.receipt.cold]),
    [
      ['ok', true],
      ['ok', false],
    ],
  );
  assert.ok(recorder.records[0]!.receipt.billedMs >= 1);
  await engine.close();
  assert.equal(sandboxes.alive, 0);
});

test('concurrent calls of a version with concurrency 1 get an instance each, up to instances.max', async () => {
  const waiting: (() => void)[] = [];
  const { engine, call, sandboxes } = setUp({ onRequest: (guest, stream) => waiting.push(() => guest.answer(stream, 'x')) });
  const v = testVersion({ instances: { min: 0, max: 2 } });
  const answers = [call(v), call(v), call(v)].map((c) => c.answer.done);
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sandboxes.guests.length, 2);
  waiting.splice(0).forEach((go) => go());
  while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
  waiting.splice(0).forEach((go) => go());
  assert.deepEqual(await Promise.all(answers), ['x', 'x', 'x']);
  assert.equal(sandboxes.guests.length, 2);
  await engine.close();
});

test('a call beyond the queue is refused at once and leaves no record', async () => {
  const { engine, call, recorder } = setUp({ onRequest: () => {} });
  const v = testVersion({ instances: { min: 0, max: 1 }, queue: 1 });
  const first = call(v);
  const second = call(v);
  const third = call(v);
  assert.ok(!(first.call instanceof VirgaError) && !(second.call instanceof VirgaError));
  assert.ok(failsWith('function_overloaded')(third.call));
  await engine.close();
  assert.ok(recorder.records.every((record) => record.outcome !== 'function_overloaded'));
});

test('a handler that never answers is timed out, its instance is killed, and the next call gets a new one', async () => {
  let requests = 0;
  const { engine, call, sandboxes, recorder } = setUp({
    onRequest: (guest, stream) => void (requests++ > 0 && guest.answer(stream, 'ok')),
  });
  const v = testVersion({ timeoutMs: 100 });
  await assert.rejects(call(v).answer.done, failsWith('function_timeout'));
  assert.equal(await call(v).answer.done, 'ok');
  assert.equal(sandboxes.guests.length, 2);
  assert.equal(recorder.records[0]!.outcome, 'function_timeout');
  assert.match(recorder.lines[0]!.text, /did not answer within its timeout of 100 ms/);
  await engine.close();
});

test('calls beside one that times out go on in the same instance', async () => {
  const { engine, call, sandboxes } = setUp({
    onRequest: (guest, stream) => void (stream === 2 && setTimeout(() => guest.answer(stream, 'late'), 300)),
  });
  const v = testVersion({ timeoutMs: 600, concurrency: 2, instances: { min: 0, max: 1 } });
  const first = call(v).answer.done;
  await new Promise((resolve) => setTimeout(resolve, 400));
  const second = call(v).answer.done;
  await assert.rejects(first, failsWith('function_timeout'));
  assert.equal(await second, 'late');
  assert.equal(sandboxes.guests.length, 1);
  await engine.close();
});

test('an instance that is killed for its memory says so, and an exit is told apart from it', async () => {
  let outOfMemory = true;
  const { engine, call } = setUp({ onRequest: (guest) => guest.end(outOfMemory ? { signal: 'SIGKILL', outOfMemory: true } : { code: 3 }) });
  await assert.rejects(
    call(testVersion()).answer.done,
    (error: VirgaError) => error.code === 'function_out_of_memory' && error.message.includes('100 MiB'),
  );
  outOfMemory = false;
  await assert.rejects(
    call(testVersion()).answer.done,
    (error: VirgaError) => error.code === 'function_crashed' && error.message.includes('code 3'),
  );
  await engine.close();
});

test('code that does not load fails every call that waits for it, with the stack, and is not tried in a loop', async () => {
  const { engine, call, sandboxes } = setUp({
    onInit: (guest) => guest.send(encodeJsonFrame(FrameType.FAILED, { name: 'SyntaxError', message: 'oops', stack: 'at user.ts:3' })),
    onRequest: () => {},
  });
  const answers = [call(testVersion()), call(testVersion())].map((c) => c.answer.done);
  for (const answer of answers) {
    await assert.rejects(
      answer,
      (error: VirgaError) => error.code === 'function_load_failed' && JSON.stringify(error.detail).includes('user.ts:3'),
    );
  }
  assert.ok(sandboxes.guests.length <= 2);
  await engine.close();
});

test('a guest that breaks the protocol is ended and its call fails clearly', async () => {
  const attacks: [string, (guest: Guest, stream: number) => void][] = [
    ['a frame that is too large', (guest) => guest.send(Buffer.from('ffffffff130000000100000000000000', 'hex'))],
    ['an unknown type', (guest, stream) => guest.send(encodeFrame(99 as never, { stream }))],
    ['a body before its head', (guest, stream) => guest.send(encodeFrame(FrameType.BODY, { stream, payload: Buffer.from('x') }))],
    [
      'a status of 99',
      (guest, stream) =>
        guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 99, headers: [] }, undefined, { flags: 1, stream, arg: 0 })),
    ],
    [
      'a head that is not JSON',
      (guest, stream) => guest.send(encodeFrame(FrameType.RESPONSE, { stream, payload: Buffer.from([2, 0, 0, 0, 123, 123]) })),
    ],
    ['an error that is not JSON', (guest, stream) => guest.send(encodeFrame(FrameType.ERROR, { stream, payload: Buffer.from('{') }))],
  ];
  for (const [name, attack] of attacks) {
    const { engine, call, sandboxes } = setUp({ onRequest: attack });
    await assert.rejects(call(testVersion()).answer.done, failsWith('function_crashed'), name);
    assert.equal(sandboxes.alive, 0, name);
    await engine.close();
  }
});

test('frames for calls that do not exist are ignored', async () => {
  const { engine, call } = setUp({
    onRequest: (guest, stream) => {
      guest.answer(777, 'forged');
      guest.answer(stream, 'mine');
    },
  });
  assert.equal(await call(testVersion()).answer.done, 'mine');
  await engine.close();
});

test('when a new version is current the old one finishes its calls and goes', async () => {
  const waiting: (() => void)[] = [];
  const { engine, call, sandboxes } = setUp({ onRequest: (guest, stream) => waiting.push(() => guest.answer(stream, 'old')) });
  const old = testVersion();
  engine.setCurrent([old]);
  const running = call(old).answer.done;
  while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
  engine.setCurrent([testVersion({}, 'f', 2)]);
  assert.equal(sandboxes.alive, 1);
  waiting[0]!();
  assert.equal(await running, 'old');
  while (sandboxes.alive > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(engine.stats().length, 0);
  await engine.close();
});

test('an idle instance of another function makes room when the node is full', async () => {
  const { engine, call, sandboxes } = setUp({ onRequest: (guest, stream) => guest.answer(stream, 'x') }, { sandboxMemoryMiB: 150 });
  await call(testVersion({}, 'a')).answer.done;
  await call(testVersion({}, 'b')).answer.done;
  assert.equal(sandboxes.guests.length, 2);
  assert.equal(sandboxes.alive, 1);
  await engine.close();
});

test('a client that leaves abandons its call: the guest hears CANCEL, the record says so', async () => {
  const { engine, call, sandboxes, recorder } = setUp({ onRequest: () => {} });
  const made = call(testVersion()).call as Call;
  while (made.state !== 'running') await new Promise((resolve) => setImmediate(resolve));
  made.abandon();
  const guest = sandboxes.guests[0]!;
  while (!guest.seen.some((frame) => frame.type === FrameType.CANCEL)) await new Promise((resolve) => setImmediate(resolve));
  guest.send(encodeJsonFrame(FrameType.ERROR, { name: 'AbortError', message: '', stack: '' }, { stream: 1 }));
  while (recorder.records.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(recorder.records[0]!.outcome, 'client_closed_request');
  await engine.close();
});

test('a call waits for a launcher that is away for a moment, and fails clearly when it stays away', async () => {
  const { engine, call, sandboxes } = setUp({ onRequest: (guest, stream) => guest.answer(stream, 'back') });
  sandboxes.refuse = new VirgaError('sandbox_unavailable', 'the launcher is being restarted');
  const waiting = call(testVersion()).answer.done;
  await new Promise((resolve) => setTimeout(resolve, 50));
  sandboxes.refuse = undefined;
  assert.equal(await waiting, 'back');
  await engine.close();
});

test('an instance that crashes while it loads compiled code costs its call nothing but time; that code is not used again', async () => {
  const { engine, call, sandboxes } = setUp({
    onInit: (guest) => {
      const init = JSON.parse(guest.seen.at(-1)!.payload.toString()) as InitPayload;
      if (init.compiledFolder !== undefined) guest.end({ signal: 'SIGSEGV' });
      else guest.send(encodeJsonFrame(FrameType.READY, { loadMs: 1, initMs: 1, exports: ['handler'] }));
    },
    onRequest: (guest, stream) => guest.answer(stream, 'from source'),
  });
  sandboxes.compiledFolder = '/compiled';
  assert.equal(await call(testVersion()).answer.done, 'from source');
  assert.deepEqual([sandboxes.guests.length, sandboxes.compiledFolder], [2, null]);
  await engine.close();
});

for (const [exit, code] of [
  [{ signal: 'SIGSEGV', outOfMemory: true }, 'function_out_of_memory'],
  // Tried again for a while: whoever kills a sandbox in its start is nobody of the function's.
  [{ signal: 'SIGKILL' }, 'sandbox_unavailable'],
  [{ code: 1 }, 'function_load_failed'],
] as const) {
  test(`an end while loading that is no crash (${JSON.stringify(exit)}) is ${code}, and its compiled code stays`, async () => {
    const { engine, call, sandboxes } = setUp({ onInit: (guest) => guest.end(exit), onRequest: () => {} });
    sandboxes.compiledFolder = '/compiled';
    await assert.rejects(call(testVersion()).answer.done, failsWith(code));
    assert.equal(sandboxes.compiledFolder, '/compiled');
    await engine.close();
  });
}

test('what becomes current is prepared once', async () => {
  const { engine, sandboxes } = setUp({ onRequest: () => {} });
  engine.setCurrent([testVersion()]);
  engine.setCurrent([testVersion(), testVersion({}, 'g')]);
  engine.setCurrent([testVersion({}, 'g')]);
  assert.deepEqual(sandboxes.prepared, ['a', 'a']);
  await engine.close();
});

test('instances.min are started when the version becomes current and replaced when they die', async () => {
  const { engine, sandboxes } = setUp({ onRequest: () => {} });
  engine.setCurrent([testVersion({ instances: { min: 2, max: 4 } })]);
  while (sandboxes.alive < 2) await new Promise((resolve) => setImmediate(resolve));
  while (engine.stats()[0]!.idle < 2) await new Promise((resolve) => setImmediate(resolve));
  sandboxes.guests[0]!.end({ code: 1 });
  while (sandboxes.guests.length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sandboxes.alive, 2);
  await engine.close();
});

test('log lines carry the invocation, and a flood of them is cut and counted', async () => {
  const { engine, call, recorder } = setUp({
    onRequest: (guest, stream) => {
      for (let i = 0; i < 100; i++)
        guest.send(encodeFrame(FrameType.LOG, { stream, arg: LogLevel.info, payload: Buffer.from('x'.repeat(1000)) }));
      guest.answer(stream, 'done');
    },
  });
  await call(testVersion()).answer.done;
  assert.equal(recorder.lines.length, 17);
  assert.equal(recorder.lines[0]!.invocation, recorder.records[0]!.id);
  await engine.close();
});

test('an idle instance goes after idleMs, down to instances.min, and a later call is cold again', async () => {
  const { engine, call, sandboxes, recorder } = setUp({ onRequest: (guest, stream) => guest.answer(stream, 'x') });
  const v = testVersion({ idleMs: 20 });
  await call(v).answer.done;
  while (sandboxes.alive > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await call(v).answer.done;
  assert.deepEqual(
    recorder.records.map(({ receipt }) => receipt.cold),
    [true, true],
  );
  const kept = testVersion({ idleMs: 20, instances: { min: 1, max: 2 } }, 'kept');
  engine.setCurrent([kept]);
  await Promise.all([call(kept).answer.done, call(kept).answer.done]);
  const idle = (): number => engine.stats().find((one) => one.function === 'kept')!.idle;
  while (idle() !== 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(idle(), 1);
  await engine.close();
});

test('a kill names its limit, the peak, how long the call ran and the setting; the last lines go into the record alone', async () => {
  const { engine, call, recorder } = setUp({
    onRequest: (guest, stream) => {
      for (let i = 0; i < 30; i++) {
        guest.send(
          encodeFrame(FrameType.LOG, { stream, arg: LogLevel.info, payload: Buffer.from(`line ${i} ${'x'.repeat(i === 28 ? 5_000 : 5)}`) }),
        );
      }
      const usage = { peakMemoryBytes: 100 * 1024 * 1024, pidsRefused: 0, memoryLimitOf: 'kernel' as const };
      setImmediate(() => guest.end({ signal: 'SIGKILL', outOfMemory: true, usage }));
    },
  });
  const error = (await call(testVersion()).answer.done.catch((e: VirgaError) => e)) as VirgaError;
  assert.match(
    error.message,
    /^function 'f' was killed at its 100 MiB memory limit after \d+ ms \(peak 100 MiB\); raise `memory` in virga\.yaml$/,
  );
  const [record] = recorder.records;
  const { cause, limit, setting, lastLines, peakMemoryBytes } = record!.explanation!;
  assert.deepEqual([cause, limit, setting, peakMemoryBytes], ['memory', '100 MiB', 'memory', 104_857_600]);
  assert.equal(lastLines.length, 10);
  assert.ok(lastLines.join('').length <= 4 * 1024);
  assert.match(lastLines.at(-1)!, /^line 29 /);
  assert.equal(record!.peakMemoryBytes, 104_857_600);
  assert.match(recorder.lines.at(-1)!.text, /the kernel killed it at its memory limit/);
  await engine.close();
});

test('a timeout says whether the instance computed or waited', async () => {
  const { engine, call, recorder, sandboxes } = setUp({ onRequest: () => {} });
  // Half of it is the window in which its use is measured: this process may be kept waiting for most of that.
  const v = testVersion({ timeoutMs: 800 });
  const times: [share: number, said: RegExp][] = [
    [1, /busy on the CPU/],
    [0, /waiting, not computing/],
    [0.3, /within its timeout of 800 ms; its instance/],
  ];
  for (const [share, said] of times) {
    sandboxes.cpu = () => ({ ranMs: (performance.now() * share) / 2, queuedMs: (performance.now() * share) / 2 });
    await assert.rejects(call(v).answer.done, said);
  }
  assert.deepEqual(
    recorder.records.map(({ explanation }) => [explanation!.cause, explanation!.setting, explanation!.cpu!.windowMs > 0]),
    [1, 2, 3].map(() => ['timeout', 'timeout', true]),
  );
  await engine.close();
});

test('a crash after refused processes names the pids limit, and an error that is a full /tmp names its size', async () => {
  let how: GuestScript['onRequest'] = (guest) =>
    guest.end({ code: 1, usage: { peakMemoryBytes: null, pidsRefused: 7, memoryLimitOf: null } });
  const { engine, call, recorder } = setUp({ onRequest: (...request) => how(...request) });
  await assert.rejects(call(testVersion()).answer.done, /refused 7 more processes or threads at its limit of 16; raise `pids`/);
  for (const [thrown, advice] of [
    ['ENOSPC: no space left on device, write', /holds 1 MiB; raise `tmp`/],
    ['spawn /bin/true EAGAIN', /may have 16 processes and threads.*raise `pids`/],
  ] as const) {
    how = (guest, stream) => guest.send(encodeJsonFrame(FrameType.ERROR, { name: 'Error', message: thrown, stack: '' }, { stream }));
    await assert.rejects(
      call(testVersion()).answer.done,
      (error: VirgaError) => error.code === 'function_error' && advice.test(error.message),
    );
  }
  assert.deepEqual(
    recorder.records.map(({ explanation }) => explanation!.cause),
    ['pids', 'tmp', 'pids'],
  );
  await engine.close();
});

test('calls that run when Virga stops, or whose launcher is lost, fail for a reason of the platform', async () => {
  const { engine, call, sandboxes } = setUp({
    onRequest: (guest) => void (sandboxes.guests.length === 1 && guest.end({ signal: 'SIGKILL', lost: true })),
  });
  await assert.rejects(call(testVersion()).answer.done, failsWith('unavailable'));
  const running = call(testVersion()).answer.done;
  while (sandboxes.guests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await engine.close();
  await assert.rejects(running, failsWith('unavailable'));
});
