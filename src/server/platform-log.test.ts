import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createPlatformLog } from './platform-log.ts';

function sink(): { stream: Writable; text(): string } {
  let text = '';
  const stream = new Writable({ decodeStrings: false, write: (chunk: string, _encoding, done) => ((text += chunk), done()) });
  return { stream, text: () => text };
}

const now = (): number => Date.UTC(2026, 0, 2, 3, 4, 5, 6);

test('a JSON line has the time, the level, the role, the message, then the fields, which replace none of them', () => {
  const { stream, text } = sink();
  createPlatformLog('edge', 'json', { stream, now })('warn', 'slow', { ms: 3, level: 'mine', big: 10n });
  assert.equal(text(), '{"at":"2026-01-02T03:04:05.006Z","level":"warn","role":"edge","message":"slow","ms":3,"big":"10"}\n');
});

test('a line for people is one line without terminal sequences, and without colours off a terminal', () => {
  const { stream, text } = sink();
  const log = createPlatformLog('control', 'people', { stream, now });
  log('debug', 'not for people');
  log('error', 'two\nlines \u001b[31m', { path: '/a', reason: 'no "room"', nothing: undefined });
  assert.equal(text(), '03:04:05.006 error control    two\\nlines \\x1b[31m path=/a reason="no \\"room\\""\n');
});

test('colours appear when they are asked for', () => {
  const { stream, text } = sink();
  createPlatformLog('edge', 'people', { stream, now, colours: true })('info', 'hello');
  assert.match(text(), /\u001b\[32minfo \u001b\[39m/);
});

test('what cannot be printed, what is huge, and a stream that is gone are no reason to throw', () => {
  const { stream, text } = sink();
  const log = createPlatformLog('edge', 'json', { stream, now });
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  log('info', 'circle', { circle });
  log('info', 'x'.repeat(100_000));
  log('error', 'failed', { error: Object.assign(new Error('boom'), { code: 'EIO' }) });
  const lines = text().trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.match(String(lines[0]!['fields']), /cannot be printed: /);
  assert.equal(lines[1]!['cut'], true);
  assert.equal((lines[2]!['error'] as { code: string }).code, 'EIO');
  createPlatformLog('edge', 'people', { stream, now })('info', 'circle', { circle, when: Symbol('s') });
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })) });
  const lost = createPlatformLog('edge', 'json', { stream: broken });
  lost('info', 'nobody reads this');
  lost('info', 'nor this');
});
