// `throttle` and `concurrency` as clients meet them: what passes, what is refused and when to come back, and that what was
// counted outlives a deployment.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: limits
gateway:
  defaults:
    throttle: {rate: 3/d, by: project}
functions:
  echo:
    source: echo.mjs
    http:
      - path: /ip
        throttle: {rate: 3/h}
      - path: /tenant
        throttle: [{rate: 2/h, by: "header:x-tenant"}, {rate: 5/h, by: route}]
      - path: /quick
        throttle: {rate: 2/s, burst: 1}
      - path: /free
        throttle: false
      - /one
      - /two
  slow:
    source: slow.mjs
    concurrency: 10
    http:
      - path: /slow
        throttle: false
        concurrency: 2
  socket:
    runtime: web
    source: server.mjs
    http:
      - path: /socket
        throttle: false
        concurrency: 1
`,
  'echo.mjs': `export default { fetch: () => new Response('fine', { headers: { 'ratelimit-policy': '"own";q=9' } }) };`,
  // Answers begin at once and end when the client leaves, or with /slow?end.
  'slow.mjs': `export default { fetch: (request) => request.url.endsWith('end') ? new Response('done') : new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('begun')); } })) };`,
  'server.mjs': `import { createServer } from 'node:http';
const server = createServer((request, response) => response.end('plain'));
server.on('upgrade', (request, socket) => { socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n'); socket.pipe(socket); });
server.listen(process.env.PORT);`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const get = async (path: string, headers: Record<string, string> = {}) => {
  const answer = await virga.fetch('limits', path, { headers });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, code: (/"code":"(\w+)"/.exec(text) ?? [])[1] };
};

test('what the rate allows passes, one more is told when to come back, and every answer says what is left', async () => {
  const first = await get('/ip');
  assert.deepEqual([first.status, first.text], [200, 'fine']);
  assert.equal(first.headers.get('ratelimit-policy'), '"own";q=9, "ip";q=3;w=3600');
  assert.match(first.headers.get('ratelimit')!, /^"ip";r=2;t=1[12]\d\d$/);
  for (const left of [1, 0]) assert.match((await get('/ip')).headers.get('ratelimit')!, new RegExp(`^"ip";r=${left};t=1`));
  const refused = await get('/ip');
  assert.deepEqual([refused.status, refused.code], [429, 'rate_limited']);
  assert.match(refused.text, /the limit of 3\/h by ip for \/ip is used up/);
  assert.match(refused.text, /"detail":\{"policies":\["ip"\]\}/);
  const retryAfter = Number(refused.headers.get('retry-after'));
  assert.ok(retryAfter > 1_100 && retryAfter <= 1_200, String(retryAfter));
  assert.equal(refused.headers.get('ratelimit'), `"ip";r=0;t=${retryAfter}`);
  assert.equal(refused.headers.get('ratelimit-policy'), '"ip";q=3;w=3600');
});

test('of several limits all have to allow it, and a request that is refused uses none of them up', async () => {
  const ask = async (tenant: string) => (await get('/tenant', { 'x-tenant': tenant })).status;
  assert.deepEqual([await ask('a'), await ask('a'), await ask('a'), await ask('a')], [200, 200, 429, 429]);
  assert.deepEqual([await ask('b'), await ask('b')], [200, 200]);
  // The route's fifth, since what was refused did not count.
  assert.equal(await ask('c'), 200);
  const last = await get('/tenant', { 'x-tenant': 'd' });
  assert.equal(last.status, 429);
  assert.match(last.headers.get('ratelimit')!, /^"x-tenant";r=2, "route";r=0;t=\d+$/);
  assert.match(last.text, /5\/h by route/);
});

test('a client that waits as long as Retry-After says is served again', async () => {
  let answer = await get('/quick');
  while (answer.status === 200) answer = await get('/quick');
  assert.equal(answer.headers.get('retry-after'), '1');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.equal((await get('/quick')).status, 200);
});

test('one bucket for all routes of a project, none for a route that says so, and both outlive a deployment', async () => {
  assert.deepEqual([(await get('/one')).status, (await get('/two')).status, (await get('/one')).status], [200, 200, 200]);
  assert.equal((await get('/two')).status, 429);
  const free = await get('/free');
  assert.deepEqual([free.status, free.headers.get('ratelimit')], [200, null]);
  const again = await virga.deploy({ ...PROJECT, 'echo.mjs': PROJECT['echo.mjs'].replace('fine', 'better') });
  assert.equal(again.code, 0, again.stderr);
  assert.equal((await get('/free')).text, 'better');
  assert.equal((await get('/one')).status, 429);
});

/** Sends a request and resolves once its answer has begun. */
async function open(path: string, extra = ''): Promise<{ socket: Socket; head: string }> {
  const socket = connect(Number(new URL(virga.edgeUrl).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`GET /@limits${path} HTTP/1.1\r\nHost: x\r\n${extra}\r\n`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  return { socket, head: first.toString() };
}

test('no more requests of a route at once than it allows, and clients that leave make room', async () => {
  const [one, two] = [await open('/slow'), await open('/slow')];
  assert.match(one.head, /^HTTP\/1\.1 200/);
  assert.match(two.head, /\nratelimit: "concurrency";r=0\r\n/i);
  const refused = await get('/slow');
  assert.deepEqual([refused.status, refused.code, refused.headers.get('retry-after')], [429, 'rate_limited', '1']);
  assert.equal(refused.headers.get('ratelimit-policy'), '"concurrency";q=2;qu="concurrent-requests"');
  one.socket.destroy();
  await eventually(async () => ((await get('/slow?end')).status === 200 ? true : undefined));
  // What ends by itself makes room too: as many as come one after the other.
  for (let i = 0; i < 5; i++) assert.equal((await get('/slow?end')).status, 200);
  two.socket.destroy();
});

test('requests that wait behind another on their connection make room as well when the client leaves', async () => {
  const { socket } = await open('/slow');
  const request = 'GET /@limits/slow HTTP/1.1\r\nHost: x\r\n\r\n';
  socket.write(request);
  await eventually(async () => ((await get('/slow?end')).status === 429 ? true : undefined));
  socket.destroy();
  const [one, two] = await eventually(async () => {
    const both = [await open('/slow'), await open('/slow')] as const;
    if (both.every(({ head }) => head.startsWith('HTTP/1.1 200'))) return both;
    for (const each of both) each.socket.destroy();
    return undefined;
  });
  one.socket.destroy();
  two.socket.destroy();
});

test('a connection that was upgraded counts until it ends', async () => {
  const upgrade = 'Connection: Upgrade\r\nUpgrade: echo\r\n';
  const { socket, head } = await open('/socket', upgrade);
  assert.match(head, /^HTTP\/1\.1 101/);
  assert.match((await open('/socket', upgrade)).head, /^HTTP\/1\.1 429/);
  assert.equal((await get('/socket')).status, 429);
  socket.end();
  await eventually(async () => ((await get('/socket')).text === 'plain' ? true : undefined));
});

test('limits that mean nothing are refused with their place', async () => {
  const wrong = async (rules: string) => {
    const { code, stderr } = await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: limits\nfunctions:\n  echo:\n    source: echo.mjs\n    http:\n      - path: /\n        ${rules}\n`,
    });
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(await wrong('throttle: {rate: 10}'), /virga\.yaml:7:\d+.*throttle\.rate is 10; expected a rate such as \\"100\/s\\"/);
  assert.match(await wrong('throttle: {rate: 0/s}'), /throttle\.rate is \\"0\/s\\".*of at least 1/);
  assert.match(await wrong('throttle: {rate: 1/s, by: user}'), /throttle\.by is \\"user\\"; expected whom to count: ip, principal/);
  assert.match(await wrong('throttle: {rate: 1/s, bursts: 2}'), /throttle has no key 'bursts'; did you mean 'burst'/);
  assert.match(await wrong('concurrency: 0'), /concurrency is 0; expected a whole number of requests from 1/);
});

test('the node holds every client address to a rate, whatever it asks for', async () => {
  await using small = await startVirga({ env: { VIRGA_LIMIT_CLIENT_REQUESTS_PER_SECOND: '5' } });
  const answers = await Promise.all(Array.from({ length: 40 }, () => small.fetch('nobody', '/')));
  const refused = answers.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 20 && refused.length <= 30, String(refused.length));
  assert.equal(answers.length - refused.length, answers.filter(({ status }) => status === 404).length);
  assert.match(await refused[0]!.text(), /this node takes 5 requests a second of one address/);
  assert.equal(refused[0]!.headers.get('retry-after'), '1');
});
