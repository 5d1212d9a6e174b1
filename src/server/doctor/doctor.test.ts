// The doctor's judgement and remedies, which are pure; doctor.integration.test.ts has the attacks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Enforcement, SandboxDriverStatus } from '../../sandbox/sandbox.ts';
import { WALLS, judge } from './attacks.ts';
import { refused, through } from './inside/attack.ts';
import type { MachineFacts } from './machine.ts';
import { cgroupRemedy, installing, wallsRemedy } from './remedies.ts';
import { remediesOf, summaryOf } from './report.ts';

const FACTS: MachineFacts = {
  root: true,
  user: 'root',
  kernel: '6.8.0',
  system: 'Ubuntu 24.04 LTS',
  packages: 'apt-get',
  systemd: true,
  appArmorRestricts: false,
  namespacesForbiddenBy: null,
  tools: { bwrap: '0.9', unshare: '2', nsenter: '2', prlimit: '2', nft: '1', ip: '6', crun: null, runc: null, runsc: null },
};
const ALL: Enforcement = {
  isolation: 'namespaces',
  memory: 'cgroup v2',
  cpus: 'cgroup v2',
  pids: 'cgroup v2',
  tmp: 'tmpfs',
  network: 'namespace',
  notes: [],
};
const WALLED: SandboxDriverStatus = { driver: 'bubblewrap', runtime: null, lateFiles: true, enforcement: ALL };
const BARE: SandboxDriverStatus = {
  driver: 'process',
  runtime: null,
  lateFiles: true,
  enforcement: { ...ALL, isolation: null, cpus: null, pids: null, tmp: null, network: null },
};
const nobody = { ...FACTS, root: false, user: 'nobody' };

test('an attack that is refused holds, one that comes through fails, and one of which nothing is heard fails too', () => {
  const states = [refused('EPERM'), through('got it'), undefined].map((outcome) =>
    judge('mount', outcome, { status: WALLED, facts: FACTS }),
  );
  assert.deepEqual(
    states.map(({ state }) => state),
    ['holds', 'fails', 'fails'],
  );
  assert.equal(states[0]!.remedy, null);
  assert.match(states[1]!.remedy!, /SECURITY\.md/);
  assert.match(states[2]!.detail, /ended before it could tell/);
});

test('what the driver does not claim to enforce is lacking, with the remedy, even if it was not met this time', () => {
  const status = { ...WALLED, enforcement: { ...ALL, cpus: null } };
  for (const outcome of [through('1.00 CPUs of 0.25'), refused('0.24 CPUs of 0.25')]) {
    const { state, remedy } = judge('cpu', outcome, { status, facts: nobody });
    assert.equal(state, 'lacks');
    assert.match(remedy!, /Delegate=yes/);
  }
  assert.equal(judge('own-uid', through('uid 1000'), { status: WALLED, facts: nobody }).state, 'lacks');
  assert.equal(judge('own-uid', through('uid 0'), { status: WALLED, facts: FACTS }).state, 'fails');
});

test('with the driver that isolates nothing everything that comes through fails, claimed or not', () => {
  for (const name of Object.keys(WALLS)) assert.equal(judge(name, through(''), { status: BARE, facts: FACTS }).state, 'fails', name);
  assert.equal(judge('pids', refused(''), { status: BARE, facts: FACTS }).state, 'fails');
  assert.equal(judge('memory', refused(''), { status: BARE, facts: FACTS }).state, 'holds');
});

test('a remedy is a command for this machine', () => {
  const without = (tool: keyof MachineFacts['tools']): MachineFacts['tools'] => ({ ...FACTS.tools, [tool]: null });
  assert.equal(wallsRemedy({ ...FACTS, tools: without('bwrap') }, ''), 'run: apt-get install bubblewrap');
  assert.equal(wallsRemedy({ ...nobody, packages: 'dnf', tools: without('bwrap') }, ''), 'run: sudo dnf install bubblewrap');
  assert.equal(installing({ ...FACTS, packages: null }, 'crun'), 'install crun');
  assert.match(
    wallsRemedy({ ...nobody, appArmorRestricts: true }, 'Permission denied'),
    /apparmor_parser -r[\s\S]*kernel\.apparmor_restrict_unprivileged_userns=0/,
  );
  assert.doesNotMatch(wallsRemedy({ ...FACTS, appArmorRestricts: true }, 'Permission denied'), /AppArmor/);
  assert.match(wallsRemedy({ ...nobody, namespacesForbiddenBy: 'user.max_user_namespaces' }, ''), /user\.max_user_namespaces=15000/);
  assert.match(wallsRemedy(FACTS, 'bwrap: Creating new namespace failed: Operation not permitted'), /in a container/);
  assert.match(cgroupRemedy({ ...nobody, systemd: false }), /as root/);
});

test('the summary counts, and a remedy is told once with all that it is for', () => {
  const checks = ['ptrace', 'keyring', 'bpf'].map((name) => judge(name, through('got it'), { status: WALLED, facts: FACTS }));
  assert.deepEqual(summaryOf(checks), { holds: 0, fails: 3, lacks: 0 });
  assert.deepEqual(
    remediesOf(checks).map(({ names }) => names),
    [['ptrace', 'bpf'], ['keyring']],
  );
});
