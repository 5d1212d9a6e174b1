// The access log: a line for each request, by JSON and in the Combined Log Format, without what is secret.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import { makeAuthority } from './certificates.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
functions:
  echo:
    source: echo.mjs
    http: ["/items/{id}", /stream]
`,
  'echo.mjs': `
export default {
  fetch(request) {
    if (!request.url.endsWith('/stream')) return new Response('twelve bytes');
    const body = new ReadableStream({ pull: (to) => to.enqueue(new TextEncoder().encode('more')) });
    return new Response(body);
  },
};`,
};

interface Line {
  time: string;
  requestId: string;
  client: string;
  method: string;
  host: string;
  path: string;
  protocol: string;
  tls?: string;
  status: number;
  bytes: number;
  durationMs: number;
  project?: string;
  function?: string;
  version?: number;
  route?: string;
  referer?: string;
  userAgent?: string;
}

const curl = async (...args: string[]): Promise<void> => {
  await promisify(execFile)('curl', ['--silent', '--show-error', '--output', '/dev/null', ...args]);
};

test('a line of JSON for each request says what there is to know of it, and nothing secret', async () => {
  const folder = await temporaryFolder();
  const authority = makeAuthority(folder);
  authority.certify(join(folder, 'default'), ['shop.localhost']);
  const port = await freePort();
  const virga = await startVirga({
    dataFolder: join(folder, 'data'),
    args: ['--https-port', String(port)],
    env: { VIRGA_ACCESS_LOG: 'json', VIRGA_TLS_CERTIFICATES: folder },
  });
  await using _ = virga;
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  const secrets = ['-H', 'Authorization: Bearer zzsecret', '-H', 'Cookie: session=zzsecret', '-H', 'X-Request-Id: mine-1'];
  await curl(...secrets, '-e', 'https://a.test/?token=zzsecret', `${virga.edgeUrl}/@shop/items/7?access_token=zzsecret&page=2`);
  await curl(
    '--http2',
    '--cacert',
    authority.file,
    '--resolve',
    `shop.localhost:${port}:127.0.0.1`,
    `https://shop.localhost:${port}/items/8`,
  );
  await curl(`${virga.edgeUrl}/@shop/nothing`);
  await curl('-A', 'one\ttwo"\u2028', `${virga.edgeUrl}/@other/`);
  const leaver = connect(Number(new URL(virga.edgeUrl).port), '127.0.0.1');
  leaver.write('GET /@shop/stream HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(leaver, 'data');
  leaver.destroy();
  await virga.stop();
  const file = join(virga.dataFolder, 'access.log');
  const text = await readFile(file, 'utf8');
  assert.ok(!text.includes('zzsecret'), text);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  const by = (path: string): Line => lines.find((line) => line.path.includes(path))!;
  const { time, durationMs, ...first } = by('/items/7');
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000 && durationMs > 0);
  assert.deepEqual(first, {
    requestId: 'mine-1',
    client: '127.0.0.1',
    method: 'GET',
    host: new URL(virga.edgeUrl).host,
    path: '/@shop/items/7?access_token=***&page=2',
    protocol: 'HTTP/1.1',
    status: 200,
    bytes: 12,
    project: 'shop',
    function: 'echo',
    version: 1,
    route: '/items/{id}',
    referer: 'https://a.test/?token=***',
    userAgent: first.userAgent,
  });
  const second = by('/items/8');
  assert.deepEqual([second.protocol, second.tls, second.bytes, second.host], ['HTTP/2.0', 'TLSv1.3', 12, `shop.localhost:${port}`]);
  assert.deepEqual([by('/nothing').status, by('/nothing').project], [404, undefined]);
  assert.equal(by('/@other/').status, 404);
  assert.ok(by('/stream').bytes > 0);
  assert.equal(lines.length, 5);
  await rm(folder, { recursive: true, force: true });
});

test('in the Combined Log Format, in files of a bounded size', async () => {
  const folder = await temporaryFolder();
  const virga = await startVirga({
    env: { VIRGA_ACCESS_LOG: 'common', VIRGA_ACCESS_LOG_FILE: join(folder, 'web.log'), VIRGA_LIMIT_ACCESS_LOG_BYTES: '4096' },
  });
  await using _ = virga;
  const file = join(folder, 'web.log');
  for (let round = 0; round < 3; round++) {
    const asked = Array.from({ length: 30 }, (_one, i) =>
      fetch(`${virga.edgeUrl}/@none/${round}/${i}?key=k`, { headers: { 'user-agent': 'me "x"' } }),
    );
    await Promise.all(asked.map(async (answer) => await (await answer).text()));
    // The next round comes when this one is written.
    while (!(await readFile(file, 'utf8').catch(() => '')).includes(`/@none/${round}/`));
  }
  await virga.stop();
  const files = await readdir(folder);
  assert.ok(files.includes('web.log.1'), files.join(' '));
  const text = (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('');
  const lines = text.trimEnd().split('\n');
  assert.equal(lines.length, 90);
  for (const line of lines)
    assert.match(
      line,
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/@none\/\d\/\d+\?key=\*\*\* HTTP\/1\.1" 404 \d+ "-" "me \\"x\\""$/,
    );
  await rm(folder, { recursive: true, force: true });
});
