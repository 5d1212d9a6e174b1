// Versions of a function behind one route: pinned, a share of the visitors at another, copies for a third.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const project = (said: string, traffic = '') => ({
  'virga.yaml': `
project: staged
functions:
  web:
    source: web.mjs
    http: [/, '/{all+}']
    ${traffic}
`,
  'web.mjs': `export default { fetch: (request) => { if (request.url.endsWith('/log')) console.log('asked'); return new Response('${said}'); } };`,
});

let virga: Virga;
before(async () => {
  virga = await startVirga();
  await deploy(project('one'));
});
after(() => virga[Symbol.asyncDispose]());

async function deploy(files: Record<string, string>): Promise<{ kind: string; detail: string[]; version?: number }[]> {
  const deployed = await virga.deploy(files);
  assert.equal(deployed.code, 0, deployed.stderr);
  return deployed.json<{ changes: { kind: string; detail: string[]; version?: number }[] }>().changes;
}

async function ask(cookie?: string) {
  const answer = await virga.fetch('staged', '/', cookie === undefined ? {} : { headers: { cookie } });
  return { body: await answer.text(), version: answer.headers.get('x-virga-version'), cookie: answer.headers.getSetCookie()[0] };
}

test('a deployed version waits while another is live, and gets its share when it is the canary', async () => {
  const changes = await deploy(project('two', 'live: {version: 1}'));
  assert.deepEqual(changes.find(({ kind }) => kind === 'function')?.detail.at(-1), 'live version 1');
  assert.deepEqual(await ask(), { body: 'one', version: '1', cookie: undefined });
  // Direct invocations go where the requests go, or to the version that they name.
  assert.match((await virga.cli(['functions', '-p', 'staged'])).stdout, /web +1 +nodejs26/);

  await deploy(project('two', 'live: {version: 1, canary: {version: new, percent: 30}}'));
  assert.match((await virga.cli(['functions', '-p', 'staged'])).stdout, /web +1 \+ 30 % 2 +nodejs26/);
  const visitors = await Promise.all(Array.from({ length: 60 }, () => ask()));
  const canaries = visitors.filter(({ body }) => body === 'two');
  assert.ok(canaries.length > 0 && canaries.length < 60, String(canaries.length));
  for (const { body, version } of visitors) assert.equal(version, body === 'two' ? '2' : '1');

  // Half of the visitors: those of before, and others.
  await deploy(project('two', 'live: {version: 1, canary: {version: 2, percent: 70}}'));
  for (const { cookie } of canaries) assert.equal((await ask(cookie!.split(';')[0])).body, 'two');

  await deploy(project('two'));
  assert.deepEqual(await ask(), { body: 'two', version: null, cookie: undefined });
  assert.equal((await virga.cli(['rollback', '-p', 'staged'])).code, 0);
  assert.notEqual((await ask()).version, null);
});

test('copies go to the version that is tried, whose other answers are in its records', async () => {
  await deploy(project('three', 'live: {version: 1}\n    shadow: {version: new, percent: 100}'));
  const answer = await virga.fetch('staged', '/log');
  assert.equal(await answer.text(), 'one');
  type Invocation = { trigger: string; version: number; error: string | null; status: number };
  let copies: Invocation[] = [];
  while (copies.length === 0) {
    await sleep(50);
    const { stdout } = await virga.cli(['invocations', 'web', '-p', 'staged', '--json']);
    copies = (JSON.parse(stdout) as Invocation[]).filter(({ trigger }) => trigger === 'shadow');
  }
  assert.deepEqual(
    copies.map(({ version, error, status }) => ({ version, error, status })),
    [{ version: 3, error: 'differs from version 1: body', status: 200 }],
  );
  assert.match(virga.log(), /version 3 of function 'web' answers otherwise than version 1: body/);
});

test('requests move between versions without a build', async () => {
  await deploy(project('four', 'live: {version: 1}'));
  const cli = async (...args: string[]) => await virga.cli([...args, '-p', 'staged']);
  const started = await cli('canary', 'web', '--percent', '100');
  assert.equal(started.code, 0, started.stderr);
  assert.match(started.stderr, /say there of 'web': live: \{version: 1, canary: \{version: 4, percent: 100, sticky: cookie\}\}/);
  assert.deepEqual([(await ask()).body, (await ask()).version], ['four', '4']);
  assert.equal((await cli('canary', 'web', '--percent', '0')).code, 0);
  assert.equal((await ask()).body, 'one');
  assert.match((await cli('promote', 'web')).stderr, /'web' has no canary; name a version with --version/);
  assert.equal((await cli('promote', 'web', '--version', '4')).code, 0);
  assert.deepEqual(await ask(), { body: 'four', version: null, cookie: undefined });
  assert.match((await cli('canary', 'web', '--percent', '5')).stderr, /version 4 gets all requests of 'web' already/);
  assert.match((await cli('canary', 'web', '--percent', '500')).stderr, /--percent is "500"/);
});

test('versions that are not there, and shares that are none, are refused', async () => {
  const wrong = async (traffic: string) => (await virga.deploy(project('four', traffic))).stderr;
  assert.match(
    await wrong('live: {version: 9}'),
    /functions\.web\.live\.version.* names a version that the function does not have; it has 1, 2, 3, 4/,
  );
  assert.match(
    await wrong('live: {canary: {version: new, percent: 101}}'),
    /virga\.yaml:7:\d+: .*percent is 101; expected a number of percent from 0 to 100/,
  );
  assert.match(await wrong('live: {version: newest}'), /live\.version is .*expected the number of a version, such as 7, or new/);
  assert.match(await wrong('shadow: {version: 1, percent: 5, stick: 1}'), /shadow has no key 'stick'/);
});
