// The contract with src/protocol/frames.ts: what one side encodes the other decodes, and both mean the same numbers.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import {
  BODY_CHUNK_MAX,
  CREDIT_WINDOW,
  FRAME_PAYLOAD_MAX,
  Flag,
  FrameReader,
  FrameType,
  HEADER_BYTES,
  LOG_LINE_MAX,
  LogLevel,
  decodeMeta,
  encodeFrame,
  encodeJsonFrame,
  encodeMetaFrame,
} from '../../protocol/frames.ts';
import type { Frame, FrameType as Type, RequestMeta, ResponseMeta } from '../../protocol/frames.ts';
import { PYTHON, PYTHON_FLAGS } from './guest-under-test.ts';

/** Runs Python with `frames` imported: bytes in, bytes out. */
function inPython(program: string, input: Buffer = Buffer.alloc(0)): Buffer {
  const prelude = `import sys, os, json; sys.path.insert(0, sys.argv[1]); from virga_guest import frames\n`;
  const { status, stdout, stderr } = spawnSync(PYTHON, [...PYTHON_FLAGS, '-c', prelude + program, import.meta.dirname], {
    input,
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

function framesIn(bytes: Buffer): Frame[] {
  const found: Frame[] = [];
  new FrameReader((frame) => found.push({ ...frame, payload: Buffer.from(frame.payload) })).push(bytes);
  return found;
}

test('Python and TypeScript name the same numbers', () => {
  const inTypeScript = {
    ...FrameType,
    ...{ HEADER_BYTES, FRAME_PAYLOAD_MAX, CREDIT_WINDOW, BODY_CHUNK_MAX, LOG_LINE_MAX },
    END: Flag.END,
    ...{ DEBUG: LogLevel.debug, INFO: LogLevel.info, WARN: LogLevel.warn, FAULT: LogLevel.error },
  };
  const names = JSON.stringify(Object.keys(inTypeScript));
  const found = JSON.parse(inPython(`print(json.dumps({name: getattr(frames, name) for name in ${names}}))`).toString()) as unknown;
  assert.deepEqual(found, inTypeScript);
});

test('frames written by TypeScript are read by Python, wherever the stream is cut', () => {
  const meta: RequestMeta = { kind: 'event', id: 'inv_1', trace: 't', trigger: 'invoke', contentType: 'text/plain; é 漢 😀' };
  const http: RequestMeta = {
    kind: 'http',
    id: 'inv_2',
    trace: '',
    method: 'POST',
    url: 'http://p.localhost/a?b=é',
    headers: ['x-empty', '', 'x-é', 'ü'],
    route: '/{漢}',
    params: { 漢: 'a\0b' },
    client: '::1',
  };
  const known: RequestMeta = {
    ...http,
    headers: [],
    params: {},
    principal: JSON.stringify({ kind: 'jwt', id: 'ü', claims: { nul: '\0' } }),
  };
  const large = Buffer.alloc(FRAME_PAYLOAD_MAX, 'abc');
  const input = Buffer.concat([
    encodeJsonFrame(FrameType.INIT, { env: { A: 'é' } }),
    encodeMetaFrame(FrameType.REQUEST, meta, Buffer.from([0, 255, 10]), { flags: 1, stream: 0xffff_fffe, arg: 0xffff_ffff }),
    encodeMetaFrame(FrameType.REQUEST, http, undefined, { flags: 1, stream: 1, arg: 1 }),
    encodeMetaFrame(FrameType.REQUEST, known, undefined, { flags: 1, stream: 2, arg: 1 }),
    encodeFrame(FrameType.BODY, { stream: 7, payload: large }),
    encodeFrame(FrameType.STOP, {}),
  ]);
  // A pipe gives at most 64 KiB a read, so the large frame arrives in pieces; the reads of 1 to 50 bytes cut all others.
  for (const readBytes of [1, 7, 50, 65_536].map((bytes) => (bytes < 65_536 ? bytes : undefined))) {
    const bytes = readBytes === undefined ? input : input.subarray(0, input.length - large.length - 32);
    const program = `${readBytes === undefined ? '' : `frames._READ_BYTES = ${readBytes}\n`}for type, flags, stream, arg, payload in frames.read_frames(0):
    meta, body = frames.split_meta(payload) if type == frames.REQUEST else (None, payload)
    print(json.dumps([type, flags, stream, arg, len(body), meta, list(body[:3])]))`;
    const lines = inPython(program, bytes).toString().trim().split('\n');
    const init = JSON.stringify({ env: { A: 'é' } });
    const expected: unknown[] = [
      [FrameType.INIT, 0, 0, 0, Buffer.byteLength(init), null, [...Buffer.from(init).subarray(0, 3)]],
      [FrameType.REQUEST, 1, 0xffff_fffe, 0xffff_ffff, 3, meta, [0, 255, 10]],
      [FrameType.REQUEST, 1, 1, 1, 0, http, []],
      [FrameType.REQUEST, 1, 2, 1, 0, known, []],
    ];
    if (readBytes === undefined)
      expected.push([FrameType.BODY, 0, 7, 0, large.length, null, [97, 98, 99]], [FrameType.STOP, 0, 0, 0, 0, null, []]);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      expected,
    );
  }
});

test('frames written by Python are read by TypeScript', () => {
  const output = inPython(`
prefix = frames.meta_prefix(201, ["x-a", "caf\\xe9"])
out = frames.header(frames.RESPONSE, len(prefix) + 3, 9, frames.END, 1234) + prefix + bytes([0, 1, 255])
out += frames.header(frames.STATS, arg=2**40) + frames.header(frames.CREDIT, 0, 4294967295, 0, 65536)
sys.stdout.buffer.write(out)`);
  const [response, stats, credit, ...more] = framesIn(output) as [Frame, Frame, Frame];
  assert.equal(more.length, 0);
  const { meta, body } = decodeMeta<ResponseMeta>(response.payload);
  assert.deepEqual({ ...response, payload: null }, { type: FrameType.RESPONSE, flags: 1, stream: 9, arg: 1234, payload: null });
  assert.deepEqual(meta, { status: 201, headers: ['x-a', 'café'] });
  assert.deepEqual([...body], [0, 1, 255]);
  // What does not fit into 32 bits is the largest that does.
  assert.equal(stats.arg, 0xffff_ffff);
  assert.deepEqual([credit.stream, credit.arg], [0xffff_ffff, 65_536]);
});

test('every frame that Python passes through comes back as the same bytes', () => {
  const types: Type[] = Object.values(FrameType);
  const input = Buffer.concat(
    types.map((type, i) => encodeFrame(type, { flags: i % 2, stream: i * 1000, arg: i, payload: Buffer.alloc(i, i) })),
  );
  const program = `for type, flags, stream, arg, payload in frames.read_frames(0):
    sys.stdout.buffer.write(frames.header(type, len(payload), stream, flags, arg) + payload)`;
  assert.deepEqual(inPython(program, input), input);
});

test('a frame over the limit is refused before its payload is read', () => {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(FRAME_PAYLOAD_MAX + 1, 0);
  const output = inPython(
    `
try:
    list(frames.read_frames(0))
except frames.ProtocolError as error:
    print(error)`,
    header,
  );
  assert.match(output.toString(), /a frame of 1048577 bytes; at most 1048576 are allowed/);
});
