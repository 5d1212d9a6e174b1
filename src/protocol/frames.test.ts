import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  FRAME_PAYLOAD_MAX,
  Flag,
  FrameReader,
  FrameType,
  HEADER_BYTES,
  decodeMeta,
  encodeFrame,
  encodeHeader,
  encodeJsonFrame,
  encodeMetaFrame,
} from './frames.ts';
import type { EventRequestMeta, Frame, HttpRequestMeta, ResponseMeta } from './frames.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const frame = fc.record(
  {
    type: fc.constantFrom(...Object.values(FrameType)),
    flags: fc.constantFrom(0, Flag.END),
    stream: u32,
    arg: u32,
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

/** Cuts bytes at the given places, in any order and with repetitions. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

function read(chunks: Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((one) => frames.push({ ...one, payload: Buffer.from(one.payload) }));
  for (const chunk of chunks) reader.push(chunk);
  return frames;
}

describe('frames', () => {
  test('frames come out as they went in, however their bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 40 }), (frames, places) => {
        const bytes = Buffer.concat(frames.map(({ type, ...rest }) => encodeFrame(type, rest)));
        assert.deepEqual(read(cut(bytes, places)), frames);
      }),
    );
  });

  test('frames come out when each byte comes alone', () => {
    const bytes = Buffer.concat([
      encodeFrame(FrameType.STOP, {}),
      encodeFrame(FrameType.BODY, { stream: 7, flags: Flag.END, arg: 9, payload: Buffer.from('body') }),
    ]);
    const frames = read([...bytes].map((byte) => Buffer.from([byte])));
    assert.deepEqual(
      frames.map(({ type, stream, arg, payload }) => [type, stream, arg, payload.toString()]),
      [
        [FrameType.STOP, 0, 0, ''],
        [FrameType.BODY, 7, 9, 'body'],
      ],
    );
  });

  test('a frame is given as soon as its last byte is there, and not before', () => {
    fc.assert(
      fc.property(frame, ({ type, ...rest }) => {
        const bytes = encodeFrame(type, rest);
        let count = 0;
        const reader = new FrameReader(() => count++);
        reader.push(bytes.subarray(0, -1));
        assert.equal(count, 0);
        reader.push(bytes.subarray(-1));
        assert.equal(count, 1);
      }),
    );
  });

  test('the header has the layout that guests in other languages read', () => {
    const bytes = encodeFrame(FrameType.BODY, { flags: Flag.END, stream: 0x01020304, arg: 0xf0000001, payload: Buffer.from([0xaa]) });
    assert.equal(bytes.toString('hex'), ['01000000', '03', '01', '0000', '04030201', '010000f0', 'aa'].join(''));
  });

  test('a header sent before its payload makes the same frame', () => {
    const payload = Buffer.alloc(100_000, 5);
    const apart = Buffer.concat([encodeHeader(FrameType.BODY, { length: payload.length, stream: 3 }), payload]);
    assert.ok(apart.equals(encodeFrame(FrameType.BODY, { stream: 3, payload })));
  });

  test('meta and body survive the way through one frame', () => {
    const any = fc.string({ unit: 'binary', maxLength: 60 });
    const text = any.map((value) => value.replaceAll('\0', ''));
    const named = fc.dictionary(text, any, { noNullPrototype: true, maxKeys: 3 });
    fc.assert(
      fc.property(fc.array(text), fc.webUrl(), named, fc.uint8Array({ maxLength: 500 }), (headers, url, params, bytes) => {
        const meta: HttpRequestMeta = {
          kind: 'http',
          id: 'inv_1',
          trace: '',
          method: 'GET',
          url,
          headers,
          route: '/',
          params,
          client: '::1',
          ...(headers.length % 2 === 0 ? {} : { principal: JSON.stringify({ kind: 'jwt', id: url, scopes: headers, claims: params }) }),
        };
        const encoded = encodeMetaFrame(FrameType.REQUEST, meta, bytes, { flags: Flag.END, stream: 1, arg: 5000 });
        const [only] = read([encoded]);
        const decoded = decodeMeta<HttpRequestMeta>(only!.payload);
        assert.deepEqual(decoded.meta, meta);
        assert.deepEqual([...decoded.body], [...bytes]);
        assert.deepEqual([only!.flags, only!.stream, only!.arg], [Flag.END, 1, 5000]);
      }),
    );
  });

  test('the meta of an event survives the way through one frame', () => {
    const meta: EventRequestMeta = { kind: 'event', id: 'inv_1', trace: 't', trigger: 'invoke', contentType: 'text/plain; é 漢' };
    for (const event of [meta, { ...meta, clientContext: '{"client":{}}' }]) {
      const encoded = encodeMetaFrame(FrameType.REQUEST, event, undefined, { flags: Flag.END, stream: 1, arg: 1 });
      assert.deepEqual(decodeMeta(encoded.subarray(HEADER_BYTES)).meta, event);
    }
  });

  test('a field with a NUL is refused: it cannot pass for two', () => {
    const http: HttpRequestMeta = {
      kind: 'http',
      id: 'i',
      trace: '',
      method: 'GET',
      url: '/',
      headers: [],
      route: '/',
      params: {},
      client: '',
    };
    const response: ResponseMeta = { status: 200, headers: ['x-a', 'b\0x-forged\0c'] };
    const event: EventRequestMeta = { kind: 'event', id: 'i', trace: '', trigger: 'invoke', contentType: 'a\0b' };
    for (const meta of [response, { ...http, url: '/\0' }, { ...http, headers: ['x-a', '1\0x-b\0c'] }, event]) {
      const encoded = encodeMetaFrame(FrameType.REQUEST, meta, undefined, { flags: 0, stream: 1, arg: 0 });
      assert.throws(() => decodeMeta(encoded.subarray(HEADER_BYTES)), RangeError);
    }
  });

  test('a meta frame without a body has an empty one', () => {
    const meta: ResponseMeta = { status: 204, headers: ['x-a', 'é'] };
    const encoded = encodeMetaFrame(FrameType.RESPONSE, meta, undefined, { flags: 0, stream: 1, arg: 0 });
    const { meta: decoded, body } = decodeMeta<ResponseMeta>(encoded.subarray(HEADER_BYTES));
    assert.deepEqual([decoded, body.length], [meta, 0]);
  });

  test('a JSON frame holds UTF-8', () => {
    const [only] = read([encodeJsonFrame(FrameType.HELLO, { runtime: 'ü' })]);
    assert.equal(only!.payload.toString(), '{"runtime":"ü"}');
  });

  test('a payload over the limit is refused from its header alone, one at the limit is not', () => {
    const tooLong = encodeHeader(FrameType.BODY, { length: FRAME_PAYLOAD_MAX + 1 });
    assert.throws(() => read([tooLong]), /a frame of 1048577 bytes; at most 1048576 are allowed/);
    assert.throws(() => read(cut(tooLong, [1, 3, 5])), RangeError);
    const longest = read(cut(encodeFrame(FrameType.BODY, { payload: Buffer.alloc(FRAME_PAYLOAD_MAX) }), [5, 70_000, 900_000]));
    assert.equal(longest[0]!.payload.length, FRAME_PAYLOAD_MAX);
  });

  test('a malformed meta throws an error of two kinds only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decodeMeta(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof RangeError || error instanceof SyntaxError, String(error));
        }
      }),
    );
    assert.throws(() => decodeMeta(Buffer.from([9, 0, 0, 0, 123])), /meta of 9 bytes in a payload of 5/);
  });

  test('many frames in small chunks cost time in proportion to their bytes', () => {
    // A payload of 1 MiB in chunks of 16 bytes: copying what has come with each chunk would move 32 GiB.
    const bytes = encodeFrame(FrameType.BODY, { payload: Buffer.alloc(FRAME_PAYLOAD_MAX) });
    const startedAt = performance.now();
    let count = 0;
    const reader = new FrameReader(() => count++);
    for (let at = 0; at < bytes.length; at += 16) reader.push(bytes.subarray(at, at + 16));
    assert.equal(count, 1);
    assert.ok(performance.now() - startedAt < 1000);
  });
});
