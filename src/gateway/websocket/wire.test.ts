// Frames as bytes: whatever a client sends, cut wherever, comes out whole, or as the one breach that it is; what is made is what
// section 5.2 of RFC 6455 says. Random tests print their seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CloseCode, Opcode, WireReader, encodeClose, encodeWire, isBreach, maySayCode } from './wire.ts';
import type { Breach, WireFrame } from './wire.ts';
import { masked } from './wire-under-test.ts';

const MAX = 1 << 20;

function framesIn(chunks: Buffer[], max = MAX, deflate = false): (WireFrame | Breach)[] {
  const reader = new WireReader(deflate);
  const found: (WireFrame | Breach)[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let next = reader.next(max); next !== undefined; next = reader.next(max)) {
      found.push(isBreach(next) ? next : { ...next, payload: Buffer.from(next.payload) });
      if (isBreach(next)) return found;
    }
    reader.compact();
  }
  return found;
}

function cut(bytes: Buffer, at: number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}

const frame = fc.record({
  opcode: fc.constantFrom(Opcode.continuation, Opcode.text, Opcode.binary),
  fin: fc.boolean(),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.constantFrom(125, 126, 127, 65_535, 65_536, 70_000).map((length) => new Uint8Array(length).fill(7)),
  ),
});

test('frames come out as they were put in, wherever the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 8 }), (frames, places) => {
      const bytes = Buffer.concat(frames.map(({ opcode, fin, payload }) => masked(opcode, payload, { fin })));
      const found = framesIn(cut(bytes, places)) as WireFrame[];
      assert.deepEqual(
        found.map(({ opcode, fin, payload }) => ({ opcode, fin, payload })),
        frames.map(({ opcode, fin, payload }) => ({ opcode, fin, payload: Buffer.from(payload) })),
      );
    }),
  );
});

test('any bytes at all give frames, a breach, or a wait, and never hold more than came', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, places) => {
      for (const found of framesIn(cut(Buffer.from(bytes), places), 1_000, true)) {
        if (isBreach(found)) assert.ok(found.code === CloseCode.protocol || found.code === CloseCode.tooBig);
        else assert.ok(found.payload.length <= 1_000);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('what is made can be read by who reads as RFC 6455 says', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70_000 }), (payload) => {
      const made = encodeWire(Opcode.binary, payload);
      assert.equal(made[0], 0x82);
      const short = made[1]!;
      const [length, at] = short < 126 ? [short, 2] : short === 126 ? [made.readUInt16BE(2), 4] : [Number(made.readBigUInt64BE(2)), 10];
      assert.equal(length, payload.length);
      assert.ok(made.subarray(at).equals(payload));
    }),
    { numRuns: 50 },
  );
});

test('a length is refused before anything of the payload is there', () => {
  const header = masked(Opcode.binary, Buffer.alloc(70_000)).subarray(0, 14);
  assert.deepEqual(framesIn([header], 1_000), [{ code: CloseCode.tooBig, reason: 'more than 1000 bytes' }]);
  const huge = Buffer.from('82ffffffffffffffffff00000000', 'hex');
  assert.deepEqual(framesIn([huge], 1_000), [{ code: CloseCode.tooBig, reason: 'more than 1000 bytes' }]);
});

test('the rest of a large chunk does not keep it alive', () => {
  const reader = new WireReader(false);
  const chunk = Buffer.concat([masked(Opcode.binary, Buffer.alloc(60_000)), Buffer.from([0x82])]);
  reader.push(chunk);
  reader.next(MAX);
  assert.equal(reader.next(MAX), undefined);
  reader.compact();
  assert.equal(reader.heldBytes, 1);
});

test('reasons are cut to whole characters that fit a control frame', () => {
  const made = encodeClose(1011, 'ü'.repeat(100));
  assert.ok(made.length <= 127);
  assert.equal(made.subarray(4).toString(), 'ü'.repeat(61));
});

test('codes that a peer may say', () => {
  const may = [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999];
  const mayNot = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535];
  assert.deepEqual([...may, ...mayNot].filter(maySayCode), may);
});
