// A thread of the relay that goes from network namespace to network namespace: it makes new ones, and opens in each the
// two sockets that the relay listens on. Sockets belong to the namespace they were made in, whichever thread uses them.
// Invariant: inside a namespace every address is local (so there is no way out, and nothing to be reached but the relay),
// TCP to anything but loopback arrives at RELAY_PORT, DNS of both kinds too, and all else is refused at once.
// Started by namespaces.ts as a worker.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { boundSocket, enterNetwork, leaveForNewNetwork } from './kernel.ts';

/** Below 1024: code in a sandbox cannot take it while the relay is away. */
const RELAY_PORT = 1;
/** Flows that the kernel keeps track of in one namespace; the next is refused. They cost the host about 300 bytes each. */
const FLOWS_MAX = 4_096;
/** Connections, and DNS queries, of one namespace a second; beyond, the kernel refuses them at the cost of who makes them. */
const RATE = '500/second burst 1000 packets';
const SEARCH_PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';

export type ThreadRequest = { op: 'make' } | { op: 'listen'; fd: number };
export type ThreadAnswer = { fd: number } | { tcp: number; udp: number; family: 4 | 6 } | { problem: string };

const ROUTES = `link set lo up
route add local default dev lo src 127.0.0.1
route add local ::/0 dev lo
`;

const RULES = `table inet virga {
  chain untracked { type filter hook output priority -300;
    ip daddr 127.0.0.0/8 tcp dport != { 53, ${RELAY_PORT} } tcp sport != { 53, ${RELAY_PORT} } notrack
    ip6 daddr ::1 tcp dport != { 53, ${RELAY_PORT} } tcp sport != { 53, ${RELAY_PORT} } notrack
  }
  chain redirected { type nat hook output priority -100;
    meta l4proto { tcp, udp } th dport 53 redirect to :${RELAY_PORT}
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
    meta l4proto tcp redirect to :${RELAY_PORT}
  }
  chain refused { type filter hook output priority 0;
    meta l4proto tcp ct state new ct count over ${FLOWS_MAX} reject with tcp reset
    ct state new ct count over ${FLOWS_MAX} reject with icmpx port-unreachable
    tcp dport ${RELAY_PORT} ct state new limit rate over ${RATE} reject with tcp reset
    udp dport ${RELAY_PORT} limit rate over ${RATE} reject with icmpx port-unreachable
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    reject with icmpx port-unreachable
  }
}
`;

const SYSCTLS = {
  // How long the kernel remembers a flow that is over, seconds: its defaults (120, 30) let a busy function run into FLOWS_MAX.
  'netfilter/nf_conntrack_tcp_timeout_time_wait': '2',
  'netfilter/nf_conntrack_tcp_timeout_close': '2',
  'netfilter/nf_conntrack_tcp_timeout_last_ack': '5',
  'netfilter/nf_conntrack_udp_timeout': '5',
  'netfilter/nf_conntrack_udp_timeout_stream': '10',
  // Bytes that may wait in a socket: what lies on the relay's side is the host's memory, and over loopback there is no
  // distance that more would bridge.
  'ipv4/tcp_rmem': '4096 65536 262144',
  'ipv4/tcp_wmem': '4096 65536 262144',
};

parentPort?.on('message', (request: ThreadRequest) => {
  let answer: ThreadAnswer;
  try {
    answer = request.op === 'make' ? { fd: make() } : listen(request.fd);
  } catch (error) {
    answer = { problem: (error as Error).message };
  }
  parentPort?.postMessage(answer);
});

function make(): number {
  leaveForNewNetwork();
  // This thread's own, which is what its children inherit.
  const fd = openSync('/proc/thread-self/ns/net', 'r');
  try {
    // Where the machine has no IPv6, its line alone fails, and there is nothing to keep anybody from.
    run('ip', { package: 'iproute2', args: ['-force', '-batch', '-'], input: ROUTES, mayFail: 3 });
    run('nft', { package: 'nftables', args: ['-f', '-'], input: RULES });
    // As the rest of /proc/sys/net, these are of the namespace that the writing thread is in.
    for (const [name, value] of Object.entries(SYSCTLS)) setUnlessUnknown(`/proc/sys/net/${name}`, value);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function listen(fd: number): { tcp: number; udp: number; family: 4 | 6 } {
  enterNetwork(fd);
  const tcp = boundSocket('tcp', RELAY_PORT);
  try {
    const udp = boundSocket('udp', RELAY_PORT);
    return { tcp: tcp.fd, udp: udp.fd, family: udp.family };
  } catch (error) {
    closeSync(tcp.fd);
    throw error;
  }
}

function setUnlessUnknown(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch {
    // A kernel that has no such setting, or keeps it to the host, goes by its defaults: bounds are wider, no wall is lower.
  }
}

interface Run {
  /** Where the program comes from. */
  package: string;
  args: string[];
  input: string;
  /** A line of the input. */
  mayFail?: number;
}

function run(program: string, { package: package_, args, input, mayFail }: Run): void {
  try {
    execFileSync(program, args, { input, stdio: 'pipe', env: { PATH: SEARCH_PATH } });
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    if (code === 'ENOENT') throw new Error(`there is no program '${program}'; install the package ${package_}`, { cause: error });
    const said = (stderr?.toString() ?? String(error)).trim();
    const failed = [...said.matchAll(/^Command failed -:(\d+)$/gm)].map(([, line]) => Number(line));
    if (mayFail !== undefined && failed.length > 0 && failed.every((line) => line === mayFail)) return;
    throw new Error(`${program} failed: ${said.slice(0, 300)}`, { cause: error });
  }
}
