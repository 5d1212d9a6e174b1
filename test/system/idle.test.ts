// What a function costs between its calls, and what the next call finds: an idle instance is stopped by the kernel, goes
// on where it was, and is not stopped while something that a call left behind is still at work; one that is scaled to
// zero answers from a blank.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, startVirga } from './virga.ts';
import type { Virga } from './virga.ts';

const PROJECT = {
  'virga.yaml': `
project: idle
functions:
  ticks: { source: ticks.mjs, http: GET /ticks }
  later: { source: later.mjs, http: GET /later }
  cold: { source: ticks.mjs, http: GET /cold }
  other: { source: ticks.mjs, env: { OTHER: yes }, http: GET /other }
  snake: { source: snake.py, http: GET /snake }
`,
  // With a heartbeat: what a function does on its own while no call runs.
  'ticks.mjs': `
let ticks = 0;
setInterval(() => ticks++, 10);
export default { fetch: () => Response.json({ ticks, pid: process.pid, other: process.env.OTHER ?? null, upMs: performance.now() }) };
`,
  'later.mjs': `
export default {
  fetch(request, context) {
    context.waitUntil(new Promise((resolve) => setTimeout(resolve, 3_500)).then(() => console.log('the work is done')));
    return new Response('accepted');
  },
};
`,
  'snake.py': `
def handler(event, context):
    return {'statusCode': 200, 'body': 'hiss'}
`,
};

interface Ticks {
  ticks: number;
  pid: number;
  other: string | null;
}

let virga: Virga;
/** Whether this machine's kernel lets us stop a cgroup. */
let freezes: boolean;
let blanks: boolean;

before(async () => {
  virga = await startVirga();
  const { code, stderr } = await virga.deploy(PROJECT);
  assert.equal(code, 0, stderr);
  const status = JSON.parse((await virga.cli(['status', '--json'])).stdout) as {
    edge: { sandbox: { lateFiles: boolean; enforcement: { memory: string } } };
  };
  freezes = status.edge.sandbox.enforcement.memory.startsWith('cgroup');
  blanks = status.edge.sandbox.lateFiles;
});

after(() => virga[Symbol.asyncDispose]());

async function ticks(path: string): Promise<Ticks> {
  const response = await virga.fetch('idle', path);
  assert.equal(response.status, 200);
  return (await response.json()) as Ticks;
}

test('an idle instance is stopped, and the next call finds it as it was left', async (t) => {
  if (!freezes) return t.skip('this machine has no cgroups of ours');
  const first = await ticks('/ticks');
  await sleep(5_000);
  const second = await ticks('/ticks');
  assert.equal(second.pid, first.pid);
  const passed = second.ticks - first.ticks;
  // It is stopped after two seconds: some 225 ticks instead of 500.
  assert.ok(passed < 350, `${passed} ticks of 10 ms in 5 s`);
  assert.ok(passed > 50, `${passed} ticks: stopped at once`);
});

test('what a call left to waitUntil is not stopped', async () => {
  assert.equal((await virga.fetch('idle', '/later')).status, 200);
  await sleep(3_800);
  const lines = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'later', '--project', 'idle', '--json']);
    return stdout.includes('the work is done') ? stdout : undefined;
  });
  assert.match(lines, /the work is done/);
});

test('a cold start takes a blank: nothing is booted while the call waits, and each version has a sandbox of its own', async (t) => {
  if (!blanks) return t.skip('this machine shows no files to sandboxes that run');
  await eventually(async () => {
    const { stdout } = await virga.cli(['status', '--json']);
    const status = JSON.parse(stdout) as { edge: { blanks: { runtime: string; ready: number }[] } };
    const ready = status.edge.blanks.filter((shelf) => shelf.ready >= 2).map((shelf) => shelf.runtime);
    return ready.includes('nodejs26') && ready.includes('python3') ? true : undefined;
  });
  for (const path of ['/cold', '/other', '/snake']) {
    const from = performance.now();
    const response = await virga.fetch('idle', path);
    const elapsedMs = performance.now() - from;
    assert.equal(response.status, 200);
    assert.match(response.headers.get('server-timing') ?? '', /^cold/);
    if (path === '/snake') continue;
    const { upMs } = (await response.json()) as { upMs: number };
    assert.ok(upMs > elapsedMs, `its process is ${upMs} ms old, and the call took ${elapsedMs} ms`);
  }
  const [cold, other] = [await ticks('/cold'), await ticks('/other')];
  assert.deepEqual([cold.other, other.other], [null, 'yes']);
});
