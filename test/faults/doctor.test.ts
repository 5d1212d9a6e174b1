// `virga doctor` on this machine, through its command line: with walls, without (a doctor that cannot fail is of no use),
// as an ordinary user, and beside a Virga that runs.
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { ROOT, cgroupsLeft, eventually, leftovers, startVirga } from '../system/virga.ts';

interface Check {
  theme: string;
  name: string;
  state: 'holds' | 'fails' | 'lacks';
  detail: string;
  remedy: string | null;
}
interface Report {
  driver: string;
  isolates: boolean;
  checks: Check[];
  summary: Record<Check['state'], number>;
}

const NOBODY = 65_534;
const VIRGA = join(ROOT, 'bin/virga');
const TIMEOUT_MS = 60_000;

/** Runs the doctor in a temporary folder that must be empty again afterwards. `as`: what to put before the command. */
async function doctor(
  args: string[],
  options: { as?: string[]; uid?: number } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  // Another user cannot pass through the folder that the test run keeps for itself.
  const folder = mkdtempSync(join(options.uid === undefined ? tmpdir() : '/tmp', 'virga-doctor-test-'));
  const [tmp, home] = ['tmp', 'home'].map((name) => join(folder, name)) as [string, string];
  for (const made of [tmp, home]) mkdirSync(made);
  if (options.uid !== undefined) for (const made of [folder, tmp, home]) chownSync(made, options.uid, options.uid);
  const { VIRGA_DATA: _, ...env } = process.env;
  const [program, ...rest] = [...(options.as ?? []), VIRGA, 'doctor', ...args];
  try {
    const result = await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(program!, rest, { env: { ...env, TMPDIR: tmp, HOME: home }, cwd: home, timeout: TIMEOUT_MS }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
    });
    assert.deepEqual(readdirSync(tmp), [], 'the doctor left something behind');
    assert.deepEqual(leftovers(tmp), []);
    return result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function reportOf({ stdout, stderr }: { stdout: string; stderr: string }): Report {
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Report;
}

function inState({ checks }: Report, state: Check['state']): string[] {
  return checks.filter((check) => check.state === state).map(({ name }) => name);
}

/** Whether bubblewrap works here, as root or as an ordinary user. */
function wallsWork(as: string[] = []): boolean {
  const bwrap = ['bwrap', '--ro-bind', '/', '/', '--unshare-all', 'true'];
  return spawnSync('env', [...as, ...bwrap]).status === 0;
}

const root = process.getuid?.() === 0;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];

suite('virga doctor', () => {
  test('with walls none of them fails, and the exit status says so', async (t) => {
    if (!wallsWork()) return t.skip('bubblewrap does not work here');
    const result = await doctor(['--json', '--sandbox', 'bubblewrap']);
    const report = reportOf(result);
    assert.deepEqual(
      report.checks.filter(({ state }) => state === 'fails'),
      [],
    );
    assert.deepEqual([result.code, report.driver, report.isolates, report.summary.fails], [0, 'bubblewrap', true, 0]);
    assert.ok(report.checks.length > 50);
    for (const { name, state, remedy } of report.checks) if (state === 'holds') assert.equal(remedy, null, name);
    const held = inState(report, 'holds');
    const walls = [
      'host-file',
      'environment',
      'signals',
      'write-root',
      'capabilities',
      'seccomp',
      'mount',
      'ptrace',
      'loopback',
      'neighbour',
      'memory',
    ];
    assert.deepEqual(
      walls.filter((name) => !held.includes(name)),
      [],
    );
  });

  test('without walls the attacks come through, it says so loudly, and the exit status is 1', async () => {
    const result = await doctor(['--json', '--sandbox', 'process']);
    const report = reportOf(result);
    assert.deepEqual([result.code, report.driver, report.isolates], [1, 'process', false]);
    const failed = inState(report, 'fails');
    const open = [
      'walls',
      'host-file',
      'host-folders',
      'processes',
      'environment',
      'signals',
      'unix-socket',
      'abstract-socket',
      'hostname',
      'own-uid',
    ];
    const rights = ['no-new-privs', 'seccomp', 'ptrace', 'pids', 'tmp', 'cpu', 'loopback', 'neighbour'];
    assert.deepEqual(
      [...open, ...rights].filter((name) => !failed.includes(name)),
      [],
      result.stdout,
    );
    assert.ok(inState(report, 'holds').includes('memory'), 'the watcher holds it there');
    const told = await doctor(['--sandbox', 'process']);
    assert.match(told.stdout, /THERE ARE NO WALLS/);
    assert.match(told.stdout, /FAILS {2}files of the host are out of sight/);
    assert.doesNotMatch(told.stdout, /\x1b\[/, 'colours are for terminals');
  });

  test('an ordinary user has the walls too, and learns what root would add', async (t) => {
    if (!root) return t.skip('the test runs as an ordinary user already: the first test is this one');
    if (!wallsWork(AS_NOBODY)) return t.skip('ordinary users may not make user namespaces here');
    if (spawnSync(AS_NOBODY[0]!, [...AS_NOBODY.slice(1), VIRGA, '--version']).status !== 0)
      return t.skip('this folder is closed to others');
    const result = await doctor(['--json'], { as: AS_NOBODY, uid: NOBODY });
    const report = reportOf(result);
    assert.deepEqual(
      report.checks.filter(({ state }) => state === 'fails'),
      [],
    );
    assert.equal(report.driver, 'bubblewrap');
    assert.match(report.checks.find(({ name }) => name === 'own-uid')!.remedy!, /as root/);
    for (const { name, theme, state, remedy } of report.checks) {
      if (state === 'lacks' && theme === 'limits') assert.match(remedy!, /root|Delegate/, name);
    }
  });

  test('beside a Virga that runs it disturbs nothing, and sees that its ports are taken', async () => {
    await using virga = await startVirga();
    const deployed = await virga.deploy({
      'virga.yaml': 'project: p\nfunctions:\n  f: { source: f.ts, http: [{ path: / }] }\n',
      'f.ts': `export default { fetch: () => new Response('here') };`,
    });
    assert.equal(deployed.code, 0, deployed.stderr);
    assert.equal(await (await virga.fetch('p', '/')).text(), 'here');
    const port = new URL(virga.controlUrl).port;
    const report = reportOf(await doctor(['--json', '--control-port', port]));
    assert.deepEqual(
      inState(report, 'lacks').filter((name) => name === 'control-port'),
      ['control-port'],
    );
    assert.equal(await (await virga.fetch('p', '/')).text(), 'here');
    const { stdout } = await virga.cli(['invocations', 'f', '--project', 'p', '--json']);
    assert.doesNotMatch(stdout, /function_crashed/);
  });

  test('Ctrl-C ends it with all that it has put up', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virga-doctor-test-'));
    const { VIRGA_DATA: _, ...env } = process.env;
    const child = spawn(VIRGA, ['doctor'], { env: { ...env, TMPDIR: folder }, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'exit');
    const startedAt = performance.now();
    // It says what it does once that takes longer than a second: then there is something to be left behind.
    await once(child.stderr, 'data');
    child.kill('SIGINT');
    assert.deepEqual(await ended, [130, null]);
    assert.ok(performance.now() - startedAt < TIMEOUT_MS);
    assert.deepEqual(readdirSync(folder), []);
    await eventually(async () => (leftovers(folder).length === 0 ? true : undefined));
    rmSync(folder, { recursive: true });
  });

  test('Ctrl-C in the middle of its first sandbox leaves nothing either', async (context) => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'virga-doctor-test-')));
    const { VIRGA_DATA: _, ...env } = process.env;
    const child = spawn(VIRGA, ['doctor'], { env: { ...env, TMPDIR: folder }, cwd: folder, stdio: 'ignore' });
    const ended = once(child, 'exit');
    const own = await eventually(async () => readdirSync(folder).find((name) => name.startsWith('virga-doctor-')));
    let seen: string[] = [];
    while (child.exitCode === null && (seen = cgroupsLeft(join(folder, own))).length === 0) await new Promise(setImmediate);
    if (seen.length === 0) return context.skip('this user has no cgroups');
    child.kill('SIGINT');
    assert.deepEqual(await ended, [130, null]);
    assert.deepEqual(cgroupsLeft(join(folder, own)), []);
    await eventually(async () => (leftovers(folder).length === 0 ? true : undefined));
    rmSync(folder, { recursive: true });
  });

  test('wrong usage is exit status 2, and nothing is tried', async () => {
    const { code, stderr } = await doctor(['--sandbox', 'strong']);
    assert.equal(code, 2);
    assert.match(stderr, /--sandbox is 'strong'/);
  });
});
