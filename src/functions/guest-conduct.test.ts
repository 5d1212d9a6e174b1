// What a guest is held to, by itself. That the edge stays whole under all of it is shown by test/faults/hostile-protocol.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { CREDIT_WINDOW, Flag, FrameType } from '../protocol/frames.ts';
import type { Frame } from '../protocol/frames.ts';
import type { Call } from './call.ts';
import { Conduct } from './guest-conduct.ts';

const frame = (type: number, options: Partial<Frame> = {}): Frame => ({
  type,
  flags: 0,
  stream: 1,
  arg: 0,
  payload: Buffer.alloc(0),
  ...options,
});
const newCall = (): Call => ({ receiveWindow: CREDIT_WINDOW, sendWindow: 0 }) as Call;

test('an answer may fill its window, and not more', () => {
  const conduct = new Conduct(new PassThrough(), 1);
  const call = newCall();
  conduct.answered(call, CREDIT_WINDOW);
  assert.throws(() => conduct.answered(call, 1), /credit/);
});

test('the handshake is over once the guest is ready', () => {
  const conduct = new Conduct(new PassThrough(), 1);
  for (const type of [FrameType.HELLO, FrameType.READY, FrameType.FAILED]) {
    conduct.admit(frame(type), true);
    assert.throws(() => conduct.admit(frame(type), false), /after it was ready/);
  }
});

test('who grants credit must have read what was sent', () => {
  const channel = new PassThrough({ highWaterMark: 0 });
  const conduct = new Conduct(channel, 1);
  assert.equal(conduct.granted(newCall(), 0xffff_ffff), true);
  channel.cork();
  channel.write(Buffer.alloc(2 * 1024 * 1024));
  assert.throws(() => conduct.granted(newCall(), 1), /has not read/);
});

test('credit never adds up to more than a window', () => {
  const call = newCall();
  new Conduct(new PassThrough(), 1).granted(call, 0xffff_ffff);
  assert.equal(call.sendWindow, CREDIT_WINDOW);
});

test('a guest that sends too many small frames is read more slowly; one that answers is not', async () => {
  const channel = new PassThrough();
  const conduct = new Conduct(channel, 1);
  channel.resume();
  for (let n = 0; n < 200_000; n++) conduct.admit(frame(FrameType.RESPONSE, { flags: Flag.END }), false);
  conduct.pace();
  assert.equal(channel.isPaused(), false);
  for (let n = 0; n < 50_400; n++) conduct.admit(frame(FrameType.LOG), false);
  conduct.pace();
  assert.equal(channel.isPaused(), true);
  await once(channel, 'resume');
});

test('a guest that asks its node for much is read more slowly, by what it costs', async () => {
  const channel = new PassThrough();
  const conduct = new Conduct(channel, 1);
  channel.resume();
  const request = frame(FrameType.SERVICE, { flags: Flag.END, payload: Buffer.alloc(1_024 * 1_024 - 64) });
  for (let n = 0; n < 20; n++) conduct.admit(request, false);
  conduct.pace();
  assert.equal(channel.isPaused(), false, 'what is usual passes');
  for (let n = 0; n < 8; n++) conduct.admit(request, false);
  conduct.pace();
  assert.equal(channel.isPaused(), true);
  await once(channel, 'resume');
});

test('answers that a guest does not read are kept up to a bound', () => {
  const channel = new PassThrough({ highWaterMark: 0 });
  const conduct = new Conduct(channel, 1);
  channel.cork();
  assert.equal(conduct.readsAnswers, true);
  channel.write(Buffer.alloc(40 * 1_024 * 1_024));
  assert.equal(conduct.readsAnswers, false);
});
