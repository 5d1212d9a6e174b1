// The attacks of inside/ by name: which wall each proves, and what to do when it comes through. Invariant: an attack
// of which nothing is heard counts as come through. Pure. Used by doctor.ts.
import type { Enforcement, SandboxDriverStatus } from '../../sandbox/sandbox.ts';
import type { Outcome } from './inside/attack.ts';
import type { MachineFacts } from './machine.ts';
import { cgroupRemedy, seccompRemedy } from './remedies.ts';
import type { Check, Theme } from './report.ts';

interface Wall {
  theme: Theme;
  title: string;
  /** Where this is null the driver does not claim to hold it. */
  claim?: Exclude<keyof Enforcement, 'notes'>;
  /** Only a launcher that is root can give it. */
  needsRoot?: true;
  remedy?: (facts: MachineFacts) => string;
}

const hostWall = (title: string): Wall => ({ theme: 'host', title, claim: 'isolation' });
const kernelWall = (title: string, remedy?: Wall['remedy']): Wall => ({
  theme: 'kernel',
  title,
  claim: 'isolation',
  ...(remedy === undefined ? {} : { remedy }),
});
const networkWall = (title: string): Wall => ({ theme: 'network', title, claim: 'network' });
const limit = (title: string, claim: Wall['claim']): Wall => ({
  theme: 'limits',
  title,
  remedy: cgroupRemedy,
  ...(claim === undefined ? {} : { claim }),
});

/** In the order in which they are told. */
export const WALLS: Record<string, Wall> = {
  'host-file': hostWall('files of the host are out of sight'),
  'host-folders': hostWall("home folders and Virga's data folder are out of sight"),
  passwords: hostWall('/etc/shadow is out of sight'),
  'write-root': hostWall('the root, its code and its runtime are read-only'),
  devices: hostWall('no devices of the machine'),
  processes: hostWall('processes of others are out of sight'),
  environment: hostWall('environments of others are out of sight'),
  signals: hostWall('processes of others cannot be signalled'),
  'unix-socket': hostWall('unix sockets of the host cannot be reached'),
  'abstract-socket': { ...hostWall('nor those of an abstract name'), claim: 'network' },
  'other-sockets': hostWall("nor Docker's and the system bus's"),
  hostname: hostWall('a hostname of its own'),
  'own-uid': { ...hostWall('a uid of its own, also on the host'), needsRoot: true },
  root: kernelWall('it does not run as root'),
  capabilities: kernelWall('no capabilities'),
  'no-new-privs': kernelWall('no new privileges'),
  seccomp: kernelWall('a system call filter', seccompRemedy),
  'core-dumps': kernelWall('no core dumps'),
  'user-namespace': kernelWall('no user namespaces inside'),
  'other-namespaces': kernelWall('no other namespaces inside'),
  'enter-namespace': kernelWall('namespaces of others cannot be entered'),
  mount: kernelWall('nothing can be mounted'),
  'device-node': kernelWall('no device nodes can be made'),
  ptrace: kernelWall('no tracing'),
  keyring: kernelWall('no kernel keyrings', seccompRemedy),
  bpf: kernelWall('no eBPF'),
  perf: kernelWall('no perf events', seccompRemedy),
  'io-uring': kernelWall('no io_uring', seccompRemedy),
  userfaultfd: kernelWall('no userfaultfd', seccompRemedy),
  'file-handles': kernelWall('no files by handle'),
  modules: kernelWall('no kernel modules'),
  'kernel-log': kernelWall("the kernel's log is out of sight"),
  sysctl: kernelWall('kernel settings cannot be written'),
  cgroups: kernelWall('its own limits cannot be written'),
  memory: limit('memory ends at the limit', 'memory'),
  pids: limit('a fork bomb ends at the limit', 'pids'),
  cpu: limit('CPU is held to its quota', 'cpus'),
  tmp: limit('/tmp ends at its size', 'tmp'),
  inodes: limit('the number of files is bounded', 'tmp'),
  descriptors: limit('descriptors are bounded', undefined),
  endless: limit('an endless loop can be ended', undefined),
  loopback: networkWall("the host's loopback cannot be reached"),
  address: networkWall("the host's other addresses cannot be reached"),
  metadata: networkWall("the cloud's metadata address cannot be reached"),
  neighbour: networkWall('other sandboxes cannot be reached'),
  'raw-sockets': networkWall('no raw sockets'),
  vsock: networkWall('no sockets to the hypervisor'),
};

/** What became of the attack `name`, given what the driver claims. `undefined`: nothing was heard of it. */
export function judge(
  name: string,
  outcome: Outcome | undefined,
  { status, facts }: { status: SandboxDriverStatus; facts: MachineFacts },
): Check {
  const { theme, title, claim, remedy, needsRoot } = WALLS[name]!;
  const { through, detail } = outcome ?? { through: true, detail: 'the probe ended before it could tell' };
  const isolates = status.driver !== 'process';
  const claimed = claim === undefined || status.enforcement[claim] !== null;
  // A limit that nothing enforces does not hold because it was not met this time, e.g. on a machine that is busy anyway.
  const lucky = !through && theme === 'limits' && !claimed;
  const check = { theme, name, title, detail: lucky ? `${detail}, though nothing enforces it` : detail };
  if (!through && !lucky) return { ...check, state: 'holds', remedy: null };
  if (!isolates) return { ...check, state: 'fails', remedy: null };
  if (needsRoot && !facts.root) return { ...check, state: 'lacks', remedy: ROOT_GIVES };
  // What a node does not claim is refused at deploy, where it is a setting.
  if (!claimed) return { ...check, state: 'lacks', remedy: remedy?.(facts) ?? null };
  return { ...check, state: 'fails', remedy: remedy?.(facts) ?? UNEXPECTED };
}

const ROOT_GIVES =
  'start Virga as root: it gives each sandbox a uid that nothing else has; as an ordinary user it has only its own (the other walls do not depend on it)';

const UNEXPECTED =
  'this is a hole in a wall that Virga claims: report it as SECURITY.md says, and use this node for trusted code only until then';
