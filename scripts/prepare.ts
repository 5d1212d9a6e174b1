// Sees to the system packages that npm cannot bring, before `npm start` and `npm test`: as root on a Debian-like system
// it installs what is missing and says so; otherwise it prints the one command to run and exits 1. Invariant: it changes
// nothing when nothing is missing (and then takes a few ms), so it can run each time.
//   prepare.ts [--for start|test]
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

interface Need {
  package: string;
  /** What it is for, for the person who is asked to install it. */
  why: string;
  isThere(): boolean;
  onlyFor?: 'test';
}

const PYTHON_MIN = [3, 9] as const;

const NEEDS: Need[] = [
  { package: 'bubblewrap', why: 'the sandbox', isThere: () => find('bwrap') !== null },
  { package: 'nftables', why: 'nft, which leads what functions send over the network to the relay', isThere: () => find('nft') !== null },
  { package: 'iproute2', why: 'ip, which sets up the networks of sandboxes', isThere: () => find('ip') !== null },
  { package: 'python3', why: `the python3 runtime, ${PYTHON_MIN.join('.')} or later`, isThere: hasPython },
  { package: 'util-linux', why: 'setpriv, with which a child gives up its privileges', isThere: () => find('setpriv') !== null },
  { package: 'procps', why: 'ps, with which tests look for processes left behind', isThere: () => find('ps') !== null, onlyFor: 'test' },
  {
    package: 'cmake',
    why: 'with which aws-lambda-ric of npm builds its native part',
    isThere: () => find('cmake') !== null,
    onlyFor: 'test',
  },
  { package: 'g++', why: 'the compiler of that native part', isThere: () => find('g++') !== null, onlyFor: 'test' },
  { package: 'make', why: 'the same', isThere: () => find('make') !== null, onlyFor: 'test' },
  { package: 'xz-utils', why: 'which unpacks its sources', isThere: () => find('xz') !== null, onlyFor: 'test' },
  { package: 'curl', why: 'a client that the tests did not write themselves', isThere: () => find('curl') !== null, onlyFor: 'test' },
  { package: 'openssl', why: 'which makes the certificates of tests', isThere: () => find('openssl') !== null, onlyFor: 'test' },
  { package: 'pebble', why: 'an ACME server that certificates are got from', isThere: () => find('pebble') !== null, onlyFor: 'test' },
  {
    package: 'python3-flask',
    why: "Flask, with which Python's web apps and Google's functions are tested",
    isThere: () => existsSync('/usr/lib/python3/dist-packages/flask'),
    onlyFor: 'test',
  },
  {
    package: 'busybox-static',
    why: 'a static binary that serves HTTP, for the runtime web',
    isThere: () => find('busybox') !== null,
    onlyFor: 'test',
  },
];

/** Bun and Deno are no part of `npm ci` (94 MB to fetch), but the tests run them. */
const RUNTIMES = ['bun', 'deno'] as const;

/** With which pages are tested: CORS, server-sent events, WebSockets, the page of an OpenAPI document. */
const BROWSER = 'chromium-headless-shell';

function main(): number {
  const purpose = process.argv[process.argv.indexOf('--for') + 1] === 'test' ? 'test' : 'start';
  if (process.platform !== 'linux') {
    say(`this is ${process.platform}: there is no sandbox with walls here; functions run with the process driver`);
    return 0;
  }
  const missing = missingFor(purpose);
  if (missing.length > 0) {
    const names = missing.map((need) => need.package);
    for (const need of missing) say(`missing: ${need.package} (${need.why})`);
    const apt = find('apt-get');
    if (apt === null) {
      say(`install these with the package manager of this system, then run the command again: ${names.join(' ')}`);
      return 1;
    }
    if (process.getuid?.() !== 0) {
      say('run this once, then run the command again:');
      say(`  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${names.join(' ')}`);
      return 1;
    }
    say(`installing with apt-get: ${names.join(' ')}`);
    if (!install(apt, names)) return 1;
    const still = missingFor(purpose);
    if (still.length > 0) {
      say(`apt-get ended well, yet this is still missing: ${still.map((need) => `${need.package} (${need.why})`).join(', ')}`);
      return 1;
    }
  }
  if (purpose === 'test') {
    installRuntimes();
    installBrowser();
  }
  return checkNamespaces() || purpose === 'start' ? 0 : 1;
}

/** Without one its tests show that it is refused at deploy, and say that they did no more. */
function installRuntimes(): void {
  for (const name of RUNTIMES) {
    const folder = join(import.meta.dirname, '..', 'runtimes', name);
    if (existsSync(join(folder, 'node_modules', '.package-lock.json'))) continue;
    say(`installing ${name} with npm`);
    const { status } = spawnSync('npm', ['ci', '--prefix', folder, '--ignore-scripts'], { stdio: ['ignore', 2, 2] });
    if (status !== 0) say(`npm could not install ${name}, so functions of it are not tested; what it printed above says why`);
  }
}

/** 64 MB to fetch, and not to be had everywhere by apt-get: without it the tests of pages say that they were left out. */
function installBrowser(): void {
  const apt = find('apt-get');
  if (find(BROWSER) !== null || find('chromium') !== null || apt === null || process.getuid?.() !== 0) return;
  say(`installing with apt-get: ${BROWSER}`);
  if (!install(apt, [BROWSER])) say('so the tests of pages in a browser are left out');
}

function missingFor(purpose: 'start' | 'test'): Need[] {
  return NEEDS.filter((need) => (need.onlyFor === undefined || need.onlyFor === purpose) && !need.isThere());
}

function install(apt: string, packages: string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Our own stdout stays clean; apt's progress goes to stderr. A lock held by an automatic update is waited for.
  const run = (...args: string[]) =>
    spawnSync(apt, ['-o', 'DPkg::Lock::Timeout=120', ...args], { env, stdio: ['ignore', 2, 2] }).status === 0;
  if (!run('update')) say('apt-get update failed; trying with the package lists that are there');
  if (run('install', '--yes', '--no-install-recommends', ...packages)) return true;
  say(`apt-get could not install ${packages.join(' ')}; what it printed above says why`);
  return false;
}

/** Whether this user may make namespaces; if not, says what forbids it and what allows it. */
function checkNamespaces(): boolean {
  const bwrap = find('bwrap');
  if (bwrap === null) return false;
  const probe = spawnSync(bwrap, ['--ro-bind', '/', '/', '--unshare-all', '--die-with-parent', '/bin/true'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (probe.status === 0) return true;
  say(`bubblewrap cannot make a sandbox here: ${probe.stderr.trim() || probe.error?.message || `it exited ${probe.status}`}`);
  if (sysctl('kernel/apparmor_restrict_unprivileged_userns') === '1') {
    say('this Ubuntu lets only programs with an AppArmor profile make user namespaces. To allow it until the next boot:');
    say('  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0');
  } else if (sysctl('kernel/unprivileged_userns_clone') === '0') {
    say('user namespaces are switched off for users other than root. To allow them until the next boot:');
    say('  sudo sysctl -w kernel.unprivileged_userns_clone=1');
  } else if (sysctl('user/max_user_namespaces') === '0') {
    say('the number of user namespaces is limited to 0. To allow them until the next boot:');
    say('  sudo sysctl -w user.max_user_namespaces=10000');
  } else {
    say('inside a container, start it with the right to make namespaces (docker: --security-opt seccomp=unconfined --cap-add SYS_ADMIN)');
  }
  return false;
}

function sysctl(name: string): string | null {
  try {
    return readFileSync(join('/proc/sys', name), 'utf8').trim();
  } catch {
    return null;
  }
}

function hasPython(): boolean {
  // Only the system's own Python is mounted into sandboxes, not one from a version manager earlier on the PATH.
  const path = findIn(['/usr/bin', '/usr/local/bin', '/bin'], 'python3');
  if (path === null) return false;
  const version =
    /python(\d+)\.(\d+)$/.exec(realpathSync(path)) ??
    /Python (\d+)\.(\d+)/.exec(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout);
  if (version === null) return false;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  return major === PYTHON_MIN[0] && minor >= PYTHON_MIN[1];
}

function find(program: string): string | null {
  // The sbin folders are not on every user's PATH.
  return findIn([...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/sbin', '/sbin'], program);
}

function findIn(folders: string[], program: string): string | null {
  for (const folder of folders) {
    if (folder === '') continue;
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // not in this one
    }
  }
  return null;
}

function say(line: string): void {
  process.stderr.write(`prepare: ${line}\n`);
}

process.exitCode = main();
