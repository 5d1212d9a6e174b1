// Quotas of usage plans: what is counted survives a restart of the node and a crash of the edge, and `virga usage` tells it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { rm } from 'node:fs/promises';
import { eventually, freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: plans
gateway:
  plans:
    free: {quota: {limit: 10, per: day}}
    monthly: {quota: {limit: 100, per: month}, throttle: {rate: 3/h}}
functions:
  echo:
    source: echo.mjs
    http:
      - path: /
        plan: free
      - path: /also
        plan: free
      - path: /monthly
        plan: monthly
      - /open
`,
  'echo.mjs': `export default { fetch: () => new Response('fine') };`,
};

interface Usage {
  subject: string;
  plan: string;
  period: string;
  used: number;
  limit: number | null;
  resetsAt: string;
}

let folder: string;
let ports: { edgePort: number; controlPort: number };
let virga: Virga;
before(async () => {
  folder = await temporaryFolder();
  ports = { edgePort: await freePort(), controlPort: await freePort() };
  virga = await startVirga({ dataFolder: join(folder, 'data'), ...ports });
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const get = async (path: string) => {
  const answer = await virga.fetch('plans', path);
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text };
};
const usage = async (...args: string[]) => {
  const { code, stdout, stderr } = await virga.cli(['usage', '--project', 'plans', '--json', ...args]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Usage[];
};
const secondsToMidnight = () => 86_400 - (Math.floor(Date.now() / 1_000) % 86_400);

test('a caller without a plan of its own is counted by address, over all routes of the plan', async () => {
  const first = await get('/');
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('ratelimit-policy'), '"quota";q=10;w=86400');
  assert.match(first.headers.get('ratelimit')!, /^"quota";r=9;t=\d+$/);
  assert.match((await get('/also')).headers.get('ratelimit')!, /^"quota";r=8;t=\d+$/);
  assert.equal((await get('/open')).headers.get('ratelimit'), null);
  const listed = await eventually(async () => {
    const items = await usage();
    return items.length > 0 ? items : undefined;
  });
  const today = new Date().toISOString().slice(0, 10);
  const tomorrow = new Date(Date.parse(today) + 86_400_000).toISOString();
  assert.deepEqual(listed, [{ subject: 'ip:127.0.0.1', plan: 'free', period: today, used: 2, limit: 10, resetsAt: tomorrow }]);
  assert.deepEqual(await usage('--key', 'ip:127.0.0.1'), listed);
  assert.deepEqual(await usage('--key', 'k_none'), []);
  assert.deepEqual(await usage('--plan', 'monthly'), []);
});

test('a stop writes all that was counted, and the next start goes on from there', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await get('/')).status, 200);
  await virga[Symbol.asyncDispose]();
  virga = await startVirga({ dataFolder: join(folder, 'data'), ...ports });
  assert.match((await get('/')).headers.get('ratelimit')!, /^"quota";r=4;/);
});

test('after kill -9 of the edge what was written counts', async () => {
  await eventually(async () => ((await usage())[0]?.used === 6 ? true : undefined));
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  const answer = await eventually(async () => {
    try {
      const got = await get('/');
      return got.status === 200 ? got : undefined;
    } catch {
      return undefined;
    }
  });
  assert.match(answer.headers.get('ratelimit')!, /^"quota";r=3;/);
});

test('what is used up is refused until midnight UTC, and a larger quota counts at once', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await get('/')).status, 200);
  const refused = await get('/');
  assert.equal(refused.status, 429);
  assert.match(refused.text, /"code":"quota_exceeded","message":"the 10 requests a day of the plan 'free' are used up"/);
  const retryAfter = Number(refused.headers.get('retry-after'));
  assert.ok(Math.abs(retryAfter - secondsToMidnight()) <= 2, `${retryAfter} of ${secondsToMidnight()}`);
  assert.equal((await get('/also')).status, 429);
  const larger = await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('limit: 10,', 'limit: 20,') });
  assert.equal(larger.code, 0, larger.stderr);
  assert.match((await get('/')).headers.get('ratelimit')!, /^"quota";r=9;/);
});

test('a plan may have a quota by month, and a rate', async () => {
  const first = await get('/monthly');
  const now = new Date();
  const days = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 0)).getUTCDate();
  assert.equal(first.headers.get('ratelimit-policy'), `"plan";q=3;w=3600, "quota";q=100;w=${days * 86_400}`);
  assert.match(first.headers.get('ratelimit')!, /^"plan";r=2;t=\d+, "quota";r=99;t=\d+$/);
  await get('/monthly');
  await get('/monthly');
  const refused = await get('/monthly');
  assert.equal(refused.status, 429);
  assert.match(refused.text, /"code":"rate_limited","message":"the limit of 3\/h of the plan 'monthly'/);
  // What the rate refuses is not counted.
  assert.match(refused.headers.get('ratelimit')!, /"quota";r=97;/);
});

test('a plan that there is not is refused at deploy, with its place', async () => {
  const wrong = await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('plan: free', 'plan: fre') });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /virga\.yaml:12:\d+.*plan is \\"fre\\", which is no plan of gateway\.plans; did you mean 'free'/);
  const people = await virga.cli(['usage', '--project', 'plans']);
  assert.match(people.stdout, /ip:127\.0\.0\.1\s+free\s+\S+\s+\d+\s+20/);
  assert.equal((await virga.cli(['usage', '--project', 'nobody'])).code, 1);
});
