import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { createPlatformLog } from './platform-log.ts';
import type { LogStream } from './platform-log.ts';

function sink(terminal: { isTTY?: boolean; hasColors?: () => boolean } = {}): { out: LogStream; text: () => string } {
  let text = '';
  const out = new Writable({ decodeStrings: false, write: (chunk: string, _encoding, done) => ((text += chunk), done()) });
  return { out: Object.assign(out, terminal), text: () => text };
}

test('a JSON line has the time, the level, the role, the message, then the fields, which replace none of them', () => {
  const { out, text } = sink();
  createPlatformLog('edge', 'json', out)('warn', 'slow', { ms: 3, level: 'mine', big: 10n });
  assert.match(text(), /^\{"at":"\d{4}-[^"]+Z","level":"warn","role":"edge","message":"slow","ms":3,"big":"10"\}\n$/);
});

test('a line for people has no terminal sequences of strangers, and no colours off a terminal', () => {
  const { out, text } = sink();
  const log = createPlatformLog('control', 'people', out);
  log('debug', 'not for people');
  log('error', 'two\nlines \u001b[31m', { path: '/a', count: 2, nothing: undefined });
  assert.match(text(), /^\d\d:\d\d:\d\d error control: two\n {2}lines \\x1b\[31m path=\/a count=2\n$/);
});

test('colours appear on a terminal that has them, and not on one that was told not to', () => {
  const colourful = sink({ isTTY: true, hasColors: () => true });
  createPlatformLog('edge', 'people', colourful.out)('info', 'hello');
  assert.match(colourful.text(), /\u001b\[36minfo \u001b\[39m/);
  const plain = sink({ isTTY: true, hasColors: () => false });
  createPlatformLog('edge', 'people', plain.out)('info', 'hello');
  assert.doesNotMatch(plain.text(), /\u001b/);
});

test('what cannot be printed, what is huge, and a stream that is gone are no reason to throw', () => {
  const { out, text } = sink();
  const log = createPlatformLog('edge', 'json', out);
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  log('info', 'circle', { circle });
  log('info', 'x'.repeat(100_000));
  log('error', 'failed', { error: Object.assign(new Error('boom'), { code: 'EIO' }) });
  const lines = text()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.match(String(lines[0]!['fields']), /cannot be printed: /);
  assert.equal(lines[1]!['cut'], true);
  assert.equal((lines[2]!['error'] as { code: string }).code, 'EIO');
  createPlatformLog('edge', 'people', out)('info', 'circle', { circle, when: Symbol('s') });
  const broken = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })) });
  const lost = createPlatformLog('edge', 'json', broken);
  lost('info', 'nobody reads this');
  lost('info', 'nor this');
});
