// What a function asks of its node, and what it answers to events of WebSockets, in the Python guest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import { FrameType, encodeJsonFrame } from '../../protocol/frames.ts';
import type { Frame } from '../../protocol/frames.ts';
import { GuestUnderTest } from './guest-under-test.ts';

const CODE = `
import asyncio

def ask(event, context):
    connections = context.connections
    if "bytes" in event:
        return context.publish({"type": "x", "data": bytes(event["bytes"])})
    if "call" in event:
        name, args = event["call"]
        try:
            return {"value": getattr(connections, name)(*[bytes(arg) if isinstance(arg, list) else arg for arg in args])}
        except Exception as error:
            return {"code": getattr(error, "code", None), "message": str(error)}
    return {"bytes": b"\\x00\\xff", "both": {"send": b"\\x00\\xff", "groups": ["a"]}, "text": "text", "nothing": None}[event["answer"]]

def handler(event, context):
    return ask(event, context)

async def later(event, context):
    return await asyncio.to_thread(ask, event, context)
`;

for (const [name, concurrency] of [
  ['handler', 1],
  ['handler', 4],
  ['later', 4],
] as const) {
  test(`requests leave with their bytes, and their answers come back: ${name}, concurrency ${concurrency}`, async () => {
    await using guest = await GuestUnderTest.start({ code: CODE, init: { handler: `main.py#${name}`, concurrency } });
    const asked = async (given: unknown[] | object, answer: object) => {
      let service: Frame | undefined;
      guest.onFrame = (frame) => {
        if (frame.type === FrameType.SERVICE) service = { ...frame, payload: Buffer.from(frame.payload) };
      };
      const invocation = guest.invoke(Array.isArray(given) ? { call: given } : given);
      await guest.until(() => service !== undefined);
      const { arg, payload } = service!;
      const end = 4 + payload.readUInt32LE(0);
      guest.write(encodeJsonFrame(FrameType.SERVED, answer, { arg }));
      const { body } = await invocation.outcome;
      return [JSON.parse(payload.subarray(4, end).toString()), payload.subarray(end).toString(), JSON.parse(body.toString())] as unknown[];
    };
    assert.deepEqual(await asked(['send', ['con_1', 'hello ü']], { value: null }), [
      { op: 'connections.send', id: 'con_1', binary: false },
      'hello ü',
      { value: null },
    ]);
    assert.deepEqual(await asked(['broadcast', [null, [65], 'con_1']], { value: { sent: 2 } }), [
      { op: 'connections.broadcast', group: null, binary: true, except: 'con_1' },
      'A',
      { value: 2 },
    ]);
    const [, published] = await asked({ bytes: [0, 255] }, { value: [{ id: 'e' }] });
    assert.deepEqual(JSON.parse(published as string), [{ type: 'x', data_base64: 'AP8=' }]);
    assert.deepEqual(await asked(['leave', ['con_1', 'g']], { error: { code: 'connection_not_found', message: 'gone' } }), [
      { op: 'connections.leave', id: 'con_1', group: 'g' },
      '',
      { code: 'connection_not_found', message: 'gone' },
    ]);
    const refused = (await guest.result({ call: ['send', ['con_1', 7]] })) as { message: string };
    assert.match(refused.message, /use json\.dumps/);
  });
}

test('bytes that answer an event of a WebSocket travel as bytes, alone or in base64', async () => {
  await using guest = await GuestUnderTest.start({ code: CODE });
  const answered = async (answer: string) => {
    const meta = { kind: 'event', id: 'inv_1', trace: '', trigger: 'websocket', contentType: CLOUD_EVENT_TYPE } as const;
    const stream = guest.call(meta, JSON.stringify({ answer }));
    const { body } = await stream.outcome;
    return [stream.headers[1], body.toString('latin1')];
  };
  assert.deepEqual(await answered('bytes'), ['application/octet-stream', '\0\xff']);
  assert.deepEqual(await answered('both'), ['application/json', '{"send":{"base64":"AP8="},"groups":["a"]}']);
  assert.deepEqual(await answered('text'), ['application/json', '"text"']);
  assert.deepEqual(await answered('nothing'), ['application/json', 'null']);
});
