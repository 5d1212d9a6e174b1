// The protocol over real sockets, by hand: what Autobahn's suite asks of a server (fragments, control frames between them, codes,
// UTF-8, limits), each as a row; and compression.
import assert from 'node:assert/strict';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { describe, test } from 'node:test';
import type { CloudEvent, SocketMessage } from '../../protocol/events.ts';
import { echoing } from './hub-under-test.ts';
import { Opcode } from './wire.ts';
import { masked, rawClient } from './wire-under-test.ts';

const { continuation: MORE, text: TEXT, binary: BINARY, close: CLOSE, ping: PING, pong: PONG } = Opcode;
const bytes = (hex: string) => Buffer.from(hex, 'hex');
const code = (value: number, reason = '') => Buffer.concat([Buffer.from([value >> 8, value & 255]), Buffer.from(reason)]);
const LARGE = Buffer.alloc(65_536, 'x');

/** What is sent, and what has to come: messages, or `close` with its code and then the end. */
const CASES: { name: string; send: Buffer[]; text?: string; binary?: Buffer; pong?: Buffer; close?: number; first?: 'pong' }[] = [
  { name: 'a text', send: [masked(TEXT, 'hello')], text: 'hello' },
  { name: 'an empty text', send: [masked(TEXT, '')], text: '' },
  { name: 'a text of 126 bytes', send: [masked(TEXT, 'x'.repeat(126))], text: 'x'.repeat(126) },
  { name: 'a text of 65,536 bytes', send: [masked(TEXT, LARGE)], text: LARGE.toString() },
  { name: 'bytes', send: [masked(BINARY, bytes('00ff10'))], binary: bytes('00ff10') },
  {
    name: 'a text in fragments',
    send: [masked(TEXT, 'he', { fin: false }), masked(MORE, 'l', { fin: false }), masked(MORE, 'lo')],
    text: 'hello',
  },
  {
    name: 'a hundred fragments',
    send: [masked(TEXT, 'x', { fin: false }), ...Array.from({ length: 99 }, () => masked(MORE, 'x', { fin: false })), masked(MORE, '')],
    text: 'x'.repeat(100),
  },
  { name: 'a character cut by fragments', send: [masked(TEXT, bytes('c3'), { fin: false }), masked(MORE, bytes('bc'))], text: 'ü' },
  { name: 'a ping', send: [masked(PING, 'are you there')], pong: Buffer.from('are you there') },
  {
    name: 'a ping between fragments',
    send: [masked(TEXT, 'a', { fin: false }), masked(PING, 'p'), masked(MORE, 'b')],
    pong: Buffer.from('p'),
    text: 'ab',
    first: 'pong',
  },
  { name: 'a pong that nobody asked for', send: [masked(PONG, 'x'), masked(TEXT, 'a')], text: 'a' },
  { name: 'a close', send: [masked(CLOSE, code(1000, 'bye'))], close: 1000 },
  { name: 'a close without a code', send: [masked(CLOSE, '')], close: 1005 },
  { name: 'a close of its own code', send: [masked(CLOSE, code(4001))], close: 4001 },
  { name: 'nothing after a close counts', send: [masked(CLOSE, code(1000)), masked(TEXT, 'late')], close: 1000 },

  { name: 'a frame that is not masked', send: [bytes('8101'), Buffer.from('a')], close: 1002 },
  { name: 'RSV1 without compression', send: [masked(TEXT, 'a', { rsv: 0x40 })], close: 1002 },
  { name: 'RSV2', send: [masked(TEXT, 'a', { rsv: 0x20 })], close: 1002 },
  { name: 'RSV3 on a ping', send: [masked(PING, '', { rsv: 0x10 })], close: 1002 },
  { name: 'an opcode of data that is reserved', send: [masked(3, 'a')], close: 1002 },
  { name: 'an opcode of control that is reserved', send: [masked(11, '')], close: 1002 },
  { name: 'a ping in fragments', send: [masked(PING, 'a', { fin: false })], close: 1002 },
  { name: 'a ping of 126 bytes', send: [masked(PING, 'x'.repeat(126))], close: 1002 },
  { name: 'a close of 126 bytes', send: [masked(CLOSE, code(1000, 'x'.repeat(124)))], close: 1002 },
  { name: 'a close of one byte', send: [masked(CLOSE, bytes('03'))], close: 1002 },
  { name: 'a continuation of nothing', send: [masked(MORE, 'a')], close: 1002 },
  { name: 'a message within a message', send: [masked(TEXT, 'a', { fin: false }), masked(TEXT, 'b')], close: 1002 },
  { name: 'a length that is not minimal', send: [bytes('81fe000512345678'), bytes('0000000000')], close: 1002 },
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000].map((value) => ({
    name: `a close with the code ${value}`,
    send: [masked(CLOSE, code(value))],
    close: 1002,
  })),
  { name: 'a text that is not UTF-8', send: [masked(TEXT, bytes('cebae1bdb9cf83cebcceb5eda080656469746564'))], close: 1007 },
  { name: 'a text that is not UTF-8, in fragments', send: [masked(TEXT, bytes('c3'), { fin: false }), masked(MORE, 'x')], close: 1007 },
  { name: 'an overlong encoding', send: [masked(TEXT, bytes('c080'))], close: 1007 },
  { name: 'a reason that is not UTF-8', send: [masked(CLOSE, Buffer.concat([code(1000), bytes('eda080')]))], close: 1007 },
  { name: 'a message that is too large', send: [masked(BINARY, Buffer.alloc(131_073)).subarray(0, 20)], close: 1009 },
  {
    name: 'fragments that are too large together',
    send: [masked(BINARY, Buffer.alloc(100_000), { fin: false }), masked(MORE, Buffer.alloc(40_000))],
    close: 1009,
  },
];

describe('frames', () => {
  for (const { name, send, text, binary, pong, close } of CASES) {
    for (const way of ['at once', 'byte by byte'] as const) {
      if (way === 'byte by byte' && Buffer.concat(send).length > 1_000) continue;
      test(`${name}, ${way}`, async () => {
        await using gateway = await echoing();
        await using client = await rawClient(gateway.port, '/chat');
        const all = Buffer.concat(send);
        if (way === 'at once') client.socket.write(all);
        else for (const byte of all) client.socket.write(Buffer.from([byte]));
        if (pong !== undefined) assert.deepEqual(await client.frame(), { opcode: PONG, compressed: false, payload: pong });
        if (text !== undefined) assert.equal((await client.frame())?.payload.toString(), text);
        if (binary !== undefined) assert.deepEqual((await client.frame())?.payload, binary);
        if (close === undefined) return;
        const answer = await client.frame();
        assert.equal(answer?.opcode, CLOSE);
        assert.equal(answer.payload.length === 0 ? 1005 : answer.payload.readUInt16BE(0), close);
        assert.equal(await client.frame(), undefined);
      });
    }
  }
});

describe('compression', () => {
  const small = (text: string) => deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
  const deflate = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' };
  const open = async (headers: Record<string, string> = deflate) => {
    const gateway = await echoing({ perMessageDeflate: true });
    const client = await rawClient(gateway.port, '/chat', headers);
    return { client, [Symbol.asyncDispose]: async () => (await client[Symbol.asyncDispose](), await gateway[Symbol.asyncDispose]()) };
  };

  test('is agreed on without takeover of contexts, and used both ways, in fragments too', async () => {
    await using opened = await open();
    const { client } = opened;
    assert.match(client.head, /sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n/i);
    const text = 'again and again '.repeat(100);
    for (const send of [
      [masked(TEXT, small(text), { rsv: 0x40 })],
      [masked(TEXT, small(text).subarray(0, 9), { rsv: 0x40, fin: false }), masked(MORE, small(text).subarray(9))],
    ]) {
      client.socket.write(Buffer.concat(send));
      const frame = (await client.frame())!;
      assert.ok(frame.compressed && frame.payload.length < 200);
      const whole = Buffer.concat([frame.payload, Buffer.from('0000ffff', 'hex')]);
      assert.equal(inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH }).toString(), text);
    }
    client.socket.write(masked(TEXT, 'short'));
    assert.deepEqual(await client.frame(), { opcode: TEXT, compressed: false, payload: Buffer.from('short') });
  });

  test('is not agreed on where the offer cannot be met', async () => {
    for (const offer of [
      'permessage-deflate; server_max_window_bits=8',
      'permessage-deflate; nonsense',
      'x-other',
      'permessage-deflate; server_max_window_bits=10; server_max_window_bits=11',
    ]) {
      await using opened = await open({ 'Sec-WebSocket-Extensions': offer });
      assert.doesNotMatch(opened.client.head, /extensions/i);
    }
    await using second = await open({
      'Sec-WebSocket-Extensions': 'permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10',
    });
    assert.match(second.client.head, /server_max_window_bits=10\r\n/);
  });

  test('a bomb is closed with 1009, what is no deflate with 1007', async () => {
    const bomb = deflateRawSync(Buffer.alloc(50_000_000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    for (const [payload, expected] of [
      [bomb, 1009],
      [Buffer.from('ffffffff', 'hex'), 1007],
    ] as const) {
      await using opened = await open();
      opened.client.socket.write(masked(BINARY, payload, { rsv: 0x40 }));
      assert.equal((await opened.client.frame())?.payload.readUInt16BE(0), expected);
    }
  });
});

test('messages come to the function in order, one at a time', async () => {
  let running = 0;
  let most = 0;
  const seen: string[] = [];
  await using gateway = await echoing({}, async (event: CloudEvent<SocketMessage>) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (event.type === 'virga.websocket.message') seen.push(event.data!.text!);
    return event.data!.text;
  });
  await using client = await rawClient(gateway.port, '/chat');
  const sent = Array.from({ length: 200 }, (_, i) => `m${i}`);
  client.socket.write(Buffer.concat(sent.map((text) => masked(TEXT, text))));
  for (const text of sent) assert.equal((await client.frame())?.payload.toString(), text);
  assert.deepEqual([seen, most], [sent, 1]);
});
