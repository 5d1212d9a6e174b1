// What to do about what is missing or does not hold, worded as commands for this very machine where they are known. Pure.
// Used by doctor.ts and the tables of checks beside it.
import type { MachineFacts } from './machine.ts';

/** e.g. `apt-get install bubblewrap`. */
export function installing(facts: MachineFacts, ...names: string[]): string {
  const all = names.join(' ');
  const command = {
    'apt-get': `apt-get install ${all}`,
    dnf: `dnf install ${all}`,
    apk: `apk add ${all}`,
    pacman: `pacman -S ${all}`,
    zypper: `zypper install ${all}`,
  };
  return facts.packages === null ? `install ${all}` : `run: ${sudo(facts)}${command[facts.packages]}`;
}

/** Why bubblewrap, the driver with walls, does not work, as far as the machine shows it; `said` is what it said itself. */
export function wallsRemedy(facts: MachineFacts, said: string): string {
  if (process.platform !== 'linux') return 'sandboxes with walls need Linux: run Virga in a virtual machine or on a server';
  if (facts.tools.bwrap === null) return installing(facts, 'bubblewrap');
  const linuxTools = (['unshare', 'nsenter', 'prlimit'] as const).filter((name) => facts.tools[name] === null);
  if (linuxTools.length > 0) return `${linuxTools.join(' and ')} of util-linux cannot be found; ${installing(facts, 'util-linux')}`;
  if (facts.appArmorRestricts && !facts.root) return APPARMOR;
  if (facts.namespacesForbiddenBy !== null) {
    const name = facts.namespacesForbiddenBy;
    const value = name === 'user.max_user_namespaces' ? '15000' : '1';
    return `user namespaces are switched off on this machine; run: echo ${name}=${value} | ${sudo(facts)}tee /etc/sysctl.d/60-virga.conf && ${sudo(facts)}sysctl --system`;
  }
  if (/Operation not permitted|Permission denied|EPERM/.test(said)) {
    return 'something around this process forbids namespaces: in a container give it --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN; or run Virga outside of it';
  }
  return `see what it says by itself: bwrap --ro-bind / / --unshare-all true`;
}

/** For limits that need a cgroup which this user may write to. */
export function cgroupRemedy(facts: MachineFacts): string {
  if (facts.root) {
    return 'the cgroup file systems are read-only or not mounted: mount /sys/fs/cgroup read-write (in a container: --cgroupns=private --privileged)';
  }
  return facts.systemd
    ? 'let systemd hand a cgroup over: start Virga by `systemd-run --user --scope -p Delegate=yes virga start`, or as a service with these two lines: [Service] and Delegate=yes; or start it as root'
    : 'start Virga as root, or in a cgroup that this user may write to';
}

export function seccompRemedy(): string {
  return process.arch === 'x64' || process.arch === 'arm64'
    ? 'this kernel lacks CONFIG_SECCOMP_FILTER: use one of the distribution'
    : `there is no system call filter for ${process.arch} yet: use a machine of x64 or arm64 for code that is not trusted`;
}

function sudo(facts: MachineFacts): string {
  return facts.root ? '' : 'sudo ';
}

const APPARMOR = `AppArmor lets only programs with a profile make user namespaces (Ubuntu 23.10 and later). Either give bubblewrap one:
  sudo tee /etc/apparmor.d/virga-bwrap <<'END'
  abi <abi/4.0>,
  include <tunables/global>
  profile virga-bwrap /usr/bin/bwrap flags=(unconfined) { userns, }
  profile virga-unshare /usr/bin/unshare flags=(unconfined) { userns, }
  END
  sudo apparmor_parser -r /etc/apparmor.d/virga-bwrap
or allow it to all programs: echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-virga.conf && sudo sysctl --system
or start Virga as root, which needs neither`;
