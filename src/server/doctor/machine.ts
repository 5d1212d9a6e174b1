// What the doctor knows of this machine before it tries anything: who it is run by, which system, which kernel settings
// forbid what sandboxes need, which tools there are. Reads only. Used by doctor.ts; what follows from it: remedies.ts.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { release, userInfo } from 'node:os';
import { promisify } from 'node:util';

export interface MachineFacts {
  root: boolean;
  user: string;
  kernel: string;
  /** PRETTY_NAME of os-release, e.g. `Debian GNU/Linux 12 (bookworm)`. */
  system: string;
  /** Which installs packages here: the family of the distribution. */
  packages: 'apt-get' | 'dnf' | 'apk' | 'pacman' | 'zypper' | null;
  systemd: boolean;
  /** Ubuntu 23.10 and later: unprivileged user namespaces only for programs with a profile. */
  appArmorRestricts: boolean;
  /** Name of the sysctl that forbids user namespaces altogether. */
  namespacesForbiddenBy: string | null;
  /** First line of what each says of its version; null: it is not there. */
  tools: Record<(typeof TOOLS)[number], string | null>;
}

const TOOLS = ['bwrap', 'unshare', 'nsenter', 'prlimit', 'nft', 'ip', 'crun', 'runc', 'runsc'] as const;
const TOOL_TIMEOUT_MS = 5_000;
/** Root's tools are not on the path of every user. */
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const FAMILIES: [words: RegExp, packages: NonNullable<MachineFacts['packages']>][] = [
  [/debian|ubuntu/, 'apt-get'],
  [/fedora|rhel|centos/, 'dnf'],
  [/alpine/, 'apk'],
  [/arch/, 'pacman'],
  [/suse/, 'zypper'],
];

export async function readMachine(): Promise<MachineFacts> {
  const osRelease = read('/etc/os-release');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(osRelease)?.[1] ?? '';
  const family = `${field('ID')} ${field('ID_LIKE')}`;
  const versions = await Promise.all(TOOLS.map(async (name) => [name, await versionOf(name)] as const));
  return {
    root: process.getuid?.() === 0,
    user: userInfo().username,
    kernel: release(),
    system: field('PRETTY_NAME') || process.platform,
    packages: FAMILIES.find(([words]) => words.test(family))?.[1] ?? null,
    systemd: existsSync('/run/systemd/system'),
    appArmorRestricts: read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns').trim() === '1',
    namespacesForbiddenBy: forbiddenBy(),
    tools: Object.fromEntries(versions) as MachineFacts['tools'],
  };
}

function forbiddenBy(): string | null {
  if (read('/proc/sys/kernel/unprivileged_userns_clone').trim() === '0') return 'kernel.unprivileged_userns_clone';
  if (read('/proc/sys/user/max_user_namespaces').trim() === '0') return 'user.max_user_namespaces';
  return null;
}

async function versionOf(tool: string): Promise<string | null> {
  const flag = tool === 'ip' ? '-V' : '--version';
  try {
    const { stdout } = await promisify(execFile)(tool, [flag], { timeout: TOOL_TIMEOUT_MS, env: { PATH: SEARCH_PATH } });
    return stdout.trim().split('\n')[0] ?? '';
  } catch (error) {
    // It is there, and only does not know the question.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : tool;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
