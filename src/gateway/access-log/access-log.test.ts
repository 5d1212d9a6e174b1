import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { LogFile } from './log-file.ts';
import { commonLine, jsonLine } from './log-line.ts';
import type { LoggedRequest } from './log-line.ts';
import { redactUrl } from './redact.ts';

test('values that look like secrets are left out of URLs, whatever their names are written like', () => {
  const cases: [url: string, logged: string][] = [
    ['/a/b', '/a/b'],
    ['/a?page=2&sort=key', '/a?page=2&sort=key'],
    ['/a?token=t&x=1', '/a?token=***&x=1'],
    [
      '/a?access_token=t&refreshToken=r&API-KEY=k&X-Amz-Signature=s',
      '/a?access_token=***&refreshToken=***&API-KEY=***&X-Amz-Signature=***',
    ],
    ['/cb?code=c&state=s&session_state=z', '/cb?code=***&state=***&session_state=***'],
    ['/a?user%5Bpassword%5D=p&to%6ben=t&%2574oken=u', '/a?user%5Bpassword%5D=***&to%6ben=***&%2574oken=***'],
    ['/a?token', '/a?token'],
    ['/a?%E0%A4%A=x&key=k', '/a?%E0%A4%A=x&key=***'],
    ['https://user:word@host.test/p?sig=1#frag', 'https://host.test/p?sig=***'],
    ['/a?keyboard=x&zipcode=1', '/a?keyboard=x&zipcode=1'],
  ];
  for (const [url, logged] of cases) assert.equal(redactUrl(url, 2_000), logged);
  assert.equal(redactUrl(`/${'a'.repeat(50)}`, 10).length, 10);
});

const LINE: LoggedRequest = {
  at: Date.UTC(2026, 0, 5, 3, 4, 5, 6),
  requestId: 'r',
  client: '192.0.2.1',
  method: 'GET',
  host: 'h',
  path: '/p?q=1',
  protocol: 'HTTP/2.0',
  tls: 'TLSv1.3',
  status: 200,
  bytes: 12,
  durationMs: 1.5,
  project: 'p',
  function: 'f',
  version: 3,
  route: '/p',
  principal: undefined,
  referer: undefined,
  userAgent: 'curl/8 "x"',
};

test('a line is as the Combined Log Format has it', () => {
  assert.equal(commonLine(LINE), '192.0.2.1 - - [05/Jan/2026:03:04:05 +0000] "GET /p?q=1 HTTP/2.0" 200 12 "-" "curl/8 \\"x\\""\n');
});

test('whatever a client sends, a request is one line and its fields stay where they are', () => {
  const texts = fc.record({
    path: fc.string({ unit: 'binary' }),
    method: fc.string({ unit: 'binary' }),
    host: fc.string({ unit: 'binary' }),
    principal: fc.string({ unit: 'binary' }),
    referer: fc.string({ unit: 'binary' }),
    userAgent: fc.string({ unit: 'binary' }),
  });
  fc.assert(
    fc.property(texts, (given) => {
      const json = jsonLine({ ...LINE, ...given });
      assert.match(json, /^[^\n\r\u2028\u2029\u0085]*\n$/);
      assert.equal((JSON.parse(json) as LoggedRequest).status, 200);
      const common = commonLine({ ...LINE, ...given });
      assert.match(common, /^[\x20-\x7e]*\n$/);
      const quoted = '"(?:[^"\\\\]|\\\\.)*"';
      assert.match(common, new RegExp(`^192\\.0\\.2\\.1 - \\S+ \\[[^\\]]*\\] ${quoted} 200 12 ${quoted} ${quoted}\n$`));
    }),
  );
});

test('a file that is full makes way for a new one, the last five are kept, and no line is lost', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'access-log-'));
  try {
    const path = join(folder, 'access.log');
    for (let round = 0; round < 8; round++) {
      const file = new LogFile({ path, bytesMax: 100, onTrouble: (message) => assert.fail(message) });
      file.add(`${String(round).repeat(59)}\n`);
      await file.close();
    }
    assert.deepEqual((await readdir(folder)).toSorted(), ['access.log', ...[1, 2, 3, 4, 5].map((i) => `access.log.${i}`)]);
    assert.match(await readFile(path, 'utf8'), /^7+\n$/);
    assert.match(await readFile(`${path}.5`, 'utf8'), /^2+\n$/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a file that cannot be written costs its lines and is said, but never the caller', async () => {
  const said: string[] = [];
  const file = new LogFile({ path: '/nowhere/access.log', bytesMax: 1_000, onTrouble: (message) => said.push(message) });
  for (let i = 0; i < 3; i++) file.add('x\n');
  await file.close();
  assert.equal(said.length, 1);
  assert.match(said[0]!, /cannot be written.*ENOENT/);
  const full = new LogFile({ path: '/nowhere/access.log', bytesMax: 1_000, onTrouble: (message) => said.push(message) });
  for (let i = 0; i < 100; i++) full.add('x'.repeat(100_000));
  assert.match(said[1]!, /faster than they can be written/);
  await full.close();
});
