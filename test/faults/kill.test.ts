// kill -9 of every part: Virga serves again within five seconds, and nothing of the dead is left.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { descendants, eventually, leftovers, processes, startVirga, temporaryFolder } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';

const PROJECT = {
  'virga.yaml': `
project: p
functions:
  f: { source: f.ts, http: [{ path: /f }] }
  stays: { source: stays.ts, timeout: 60s, http: [{ path: /stays }] }
`,
  'f.ts': `export default { fetch: () => new Response('f') };`,
  'stays.ts': `export default { async fetch() { await new Promise((r) => setTimeout(r, 30_000)); return new Response('late'); } };`,
};

/** Calls until there is an answer; how long that took, ms. */
async function servesWithin(virga: Virga, ms: number): Promise<number> {
  const from = performance.now();
  for (;;) {
    try {
      const response = await virga.fetch('p', '/f', { signal: AbortSignal.timeout(2_000) });
      if (response.status === 200 && (await response.text()) === 'f') return performance.now() - from;
    } catch {
      // Not yet.
    }
    assert.ok(performance.now() - from < ms, `it does not serve within ${ms} ms:\n${virga.log().slice(-3_000)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function controlAnswersWithin(virga: Virga, ms: number): Promise<void> {
  const until = performance.now() + ms;
  for (;;) {
    const result = await virga.cli(['projects', '--json']);
    if (result.code === 0 && result.stdout.includes('"p"')) return;
    assert.ok(performance.now() < until, `the control API does not answer within ${ms} ms: ${result.stderr}`);
  }
}

function guestsOf(virga: Virga): number[] {
  const guests = descendants(virga.process.pid!).filter(({ command }) => /guest\.(cjs|py)/.test(command) && !command.startsWith('bwrap'));
  return guests.map(({ pid }) => pid);
}

for (const role of ['edge', 'control', 'launcher', 'postgres']) {
  test(`after kill -9 of ${role} Virga serves within 5 s`, async () => {
    await using virga = await startVirga();
    const deployed = await virga.deploy(PROJECT);
    assert.equal(deployed.code, 0, deployed.stderr);
    await servesWithin(virga, 5_000);
    // A call that is running when the blow falls: its sandbox is the orphan to be.
    const leave = new AbortController();
    const running = virga.fetch('p', '/stays', { signal: leave.signal }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    const guestsBefore = guestsOf(virga);
    assert.ok(guestsBefore.length > 0);
    const before = virga.pids()[role]!;
    assert.ok(before.length > 0, `no process of ${role} among ${JSON.stringify(virga.pids())}`);
    for (const pid of before) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It went with its parent.
      }
    }
    const from = performance.now();
    // An instance of before may have answered with its last breath: what counts is what has come in the dead one's place.
    await eventually(async () => {
      const now = virga.pids()[role] ?? [];
      return now.length > 0 && now.every((pid) => !before.includes(pid)) && /serves again/.test(virga.log()) ? true : undefined;
    });
    await servesWithin(virga, 5_000 - (performance.now() - from));
    await controlAnswersWithin(virga, 5_000);
    if (role === 'edge' || role === 'launcher') {
      const survivors = guestsOf(virga).filter((pid) => guestsBefore.includes(pid));
      assert.deepEqual(survivors, [], 'a guest outlived the role that it belonged to');
    }
    leave.abort();
    await running;
    await virga.stop();
    assert.deepEqual(leftovers(virga.dataFolder), []);
  });
}

test('a launcher that is killed again and again while it starts sweeps what was frozen, and serves within 5 s of the last blow', async () => {
  await using virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  await Promise.all(Array.from({ length: 6 }, () => servesWithin(virga, 10_000)));
  // Instances that were idle for two seconds are frozen: in that state they do not die of a kill -9.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  assert.ok(guestsOf(virga).length > 0);
  for (let blow = 0; blow < 4; blow++) {
    const [pid] = await eventually(async () => virga.pids()['launcher']);
    process.kill(pid!, 'SIGKILL');
    // The next one is on its way, and has hardly begun.
    await eventually(async () => (virga.pids()['launcher']?.some((other) => other !== pid) ? true : undefined));
  }
  const from = performance.now();
  await eventually(async () => (/the launcher role serves again/.test(virga.log()) ? true : undefined));
  await servesWithin(virga, 5_000 - (performance.now() - from));
  await virga.stop();
  assert.deepEqual(leftovers(virga.dataFolder), []);
});

test('after kill -9 of everything the next start finds no orphans, keeps what was deployed, and serves within 5 s', async () => {
  const folder = await temporaryFolder();
  try {
    const first = await startVirga({ dataFolder: join(folder, 'data') });
    const deployed = await first.deploy(PROJECT);
    assert.equal(deployed.code, 0, deployed.stderr);
    await servesWithin(first, 5_000);
    void first.fetch('p', '/stays').catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ended = once(first.process, 'close');
    for (const { pid } of descendants(first.process.pid!)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It went with its parent.
      }
    }
    await ended;
    await using second = await startVirga({ dataFolder: join(folder, 'data') });
    await servesWithin(second, 5_000);
    assert.ok(second.readyMs < 10_000, `ready after ${Math.round(second.readyMs)} ms`);
    await second.stop();
    await first[Symbol.asyncDispose]();
    assert.deepEqual(leftovers(join(folder, 'data')), []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a launcher that is killed as Virga stops leaves nothing', async () => {
  await using virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  await servesWithin(virga, 5_000);
  for (const pid of virga.pids()['launcher']!) process.kill(pid, 'SIGKILL');
  await virga.stop();
  assert.deepEqual(leftovers(virga.dataFolder), []);
});

test('after kill -9 of the supervisor alone everything it started ends within a second', async () => {
  await using virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  await servesWithin(virga, 5_000);
  const family = descendants(virga.process.pid!).map(({ pid }) => pid);
  virga.process.kill('SIGKILL');
  const until = performance.now() + 2_000;
  const alive = (): number[] =>
    family.filter((pid) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    });
  while (alive().length > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(
    processes()
      .filter(({ pid }) => alive().includes(pid))
      .map(({ pid, command }) => `${pid} ${command.slice(0, 200)}`),
    [],
  );
  // Its files stay for the next start.
  assert.deepEqual(
    leftovers(virga.dataFolder).filter((line) => /cgroup|mount/.test(line)),
    [],
  );
});
