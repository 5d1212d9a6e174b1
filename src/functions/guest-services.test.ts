// What a guest may ask of its node: answered under its own number, as its own project; what is malformed ends the instance, and
// what is too much is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType, SERVICES_MAX, encodeFrame } from '../protocol/frames.ts';
import type { Frame, ServiceAnswer, ServiceRequest } from '../protocol/frames.ts';
import { Engine } from './engine.ts';
import type { GuestServices } from './guest-services.ts';
import { ServiceDesk } from './guest-services.ts';
import { MemoryRecorder, ScriptedSandboxes, TEST_LIMITS, testVersion } from './testing.ts';

function asked(request: unknown, data = '', arg = 7): Frame {
  const head = Buffer.from(JSON.stringify(request));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return { type: FrameType.SERVICE, flags: 0, stream: 0, arg, payload: Buffer.concat([length, head, Buffer.from(data)]) };
}

function desk(services?: GuestServices) {
  const sent: { arg: number; answer: ServiceAnswer }[] = [];
  const made = new ServiceDesk(testVersion(), services, (frame) => {
    assert.equal(frame[4], FrameType.SERVED);
    sent.push({ arg: frame.readUInt32LE(12), answer: JSON.parse(frame.subarray(16).toString()) as ServiceAnswer });
  });
  return { desk: made, sent };
}

test('a request is served as the project of the instance, and answered under its number', () => {
  const seen: unknown[] = [];
  const { desk: made, sent } = desk({
    serve({ project }, request, data, answer) {
      seen.push([project, request, data.toString()]);
      answer({ value: 1 });
    },
  });
  made.onFrame(asked({ op: 'connections.send', id: 'con_1', project: 'another' }, 'hello'));
  assert.deepEqual(seen, [['p', { op: 'connections.send', id: 'con_1', project: 'another' }, 'hello']]);
  assert.deepEqual(sent, [{ arg: 7, answer: { value: 1 } }]);
});

test('without a service, or with too many requests open, the answer is an error', () => {
  const none = desk();
  none.desk.onFrame(asked({}));
  assert.ok('error' in none.sent[0]!.answer);
  const open: ((answer: ServiceAnswer) => void)[] = [];
  const busy = desk({ serve: (_caller, _request: ServiceRequest, _data, answer) => void open.push(answer) });
  for (let i = 0; i <= SERVICES_MAX; i++) busy.desk.onFrame(asked({}, '', i));
  assert.equal(open.length, SERVICES_MAX);
  assert.match(JSON.stringify(busy.sent), /"arg":256.*function_overloaded/);
  open[0]!({ value: null });
  busy.desk.onFrame(asked({}, '', 1_000));
  assert.equal(open.length, SERVICES_MAX + 1);
});

test('a malformed request ends the instance that sent it', async () => {
  const payloads = ['', '\x05\0\0\0', '\x02\0\0\0[', '\x04\0\0\0null', '\x02\0\0\x7f{}'].map((text) => Buffer.from(text, 'latin1'));
  for (const payload of payloads) {
    const sandboxes = new ScriptedSandboxes({
      onRequest: (guest) => guest.send(encodeFrame(FrameType.SERVICE, { arg: 1, payload })),
    });
    const services: GuestServices = { serve: () => assert.fail('it was served') };
    const engine = new Engine({ sandboxes, recorder: new MemoryRecorder(), limits: TEST_LIMITS, services });
    const failed = await new Promise<string>((resolve) => {
      engine.invoke({
        version: testVersion(),
        meta: { kind: 'event', id: 'inv_1', trace: '', trigger: 'invoke', contentType: 'application/json' },
        traceId: '',
        body: Buffer.from('1'),
        bodyEnds: true,
        trigger: 'invoke',
        requestLine: null,
        sink: { bodyWanted() {}, head() {}, body() {}, failed: ({ message }) => resolve(message) },
      });
    });
    assert.match(failed, /protocol/);
    await engine.close();
  }
});
