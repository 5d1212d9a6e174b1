// Attacks on what belongs to the host and to others: files, processes, sockets, addresses. Used by probe.ts, which is told
// by the doctor what there is to be found.
import { closeSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { NetConnectOpts } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { anyOf, attempt, codeOf, refused, through } from './attack.ts';
import type { Attack, Outcome } from './attack.ts';

/** What the doctor has put up to be attacked. */
export interface Targets {
  /** In `secretFile`, and in the environment and the command line of the process `victimPid`. */
  secret: string;
  secretFile: string;
  victimPid: number;
  /** Where the doctor's user and Virga keep what is theirs. */
  folders: string[];
  hostname: string;
  /** A unix socket, and one of an abstract name. */
  socketPath: string;
  abstractName: string;
  /** Listeners of the host. */
  loopback: number;
  loopback6: number | null;
  /** An address of the host that is not loopback, and the port there. */
  address: { host: string; port: number } | null;
  /** Where another sandbox listens on all of its addresses. */
  neighbourPort: number;
}

const CONNECT_MS = 1_500;

export function hostAttacks(targets: Targets): Record<string, Attack> {
  const { secret, victimPid } = targets;
  return {
    'host-file': () => anyOf([targets.secretFile, join('/proc/1/root', targets.secretFile)], (file) => readsSecret(file, secret)),
    passwords: () => attempt(() => readFileSync('/etc/shadow') && '/etc/shadow was read'),
    'host-folders': () => anyOf(targets.folders, (folder) => attempt(() => `${readdirSync(folder).length} entries of ${folder}`)),
    'write-root': () => anyOf(['/', '/usr', '/etc', '/var', '/code', '/virga', '/runtime'], writesInto),
    devices: () => anyOf(['mem', 'kmsg', 'port', 'sda', 'vda', 'nvme0n1', 'kvm', 'fuse'], (name) => opens(join('/dev', name))),
    processes: () => anyOf([`/proc/${victimPid}/cmdline`], (file) => readsSecret(file, secret)),
    environment: () => anyOf(environments(), (file) => readsSecret(file, secret)),
    signals: () => {
      const seen = readsSecret(`/proc/${victimPid}/cmdline`, secret);
      return seen.through ? attempt(() => process.kill(victimPid, 'SIGKILL') && 'a process of the host was killed') : seen;
    },
    hostname: () => (hostname() === targets.hostname ? through(`it is ${hostname()}`) : refused(hostname())),
    'unix-socket': () => connects({ path: targets.socketPath }),
    'abstract-socket': () => connects({ path: `\0${targets.abstractName}` }),
    'other-sockets': async () => firstThrough(['/var/run/docker.sock', '/run/dbus/system_bus_socket'].map((path) => connects({ path }))),
    loopback: async () => {
      const ports = [{ host: '127.0.0.1', port: targets.loopback }];
      if (targets.loopback6 !== null) ports.push({ host: '::1', port: targets.loopback6 });
      return firstThrough(ports.map(connects));
    },
    address: async () => (targets.address === null ? refused('the host has none') : connects(targets.address)),
    metadata: () => connects({ host: '169.254.169.254', port: 80 }),
    neighbour: () => connects({ host: '127.0.0.1', port: targets.neighbourPort }),
  };
}

function readsSecret(file: string, secret: string): Outcome {
  return attempt(() => {
    if (!readFileSync(file, 'latin1').includes(secret)) throw new Error('it is not there');
    return `${file.slice(0, 60)} was read`;
  });
}

function environments(): string[] {
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return others.map((pid) => `/proc/${pid}/environ`);
}

function writesInto(folder: string): Outcome {
  const file = join(folder, `.virga-doctor-${process.pid}`);
  return attempt(() => {
    writeFileSync(file, '', { flag: 'wx' });
    rmSync(file);
    return `a file was written to ${folder}`;
  });
}

function opens(file: string): Outcome {
  return attempt(() => {
    closeSync(openSync(file, 'r'));
    return `${file} was opened`;
  });
}

async function connects(to: NetConnectOpts): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const socket = connect({ ...to, timeout: CONNECT_MS });
  // A connection that the relay has taken only to refuse it says nothing: through is who is answered.
  socket.once('connect', () => ('path' in to ? resolve(through(`connected to ${nameOf(to)}`)) : socket.write('GET / HTTP/1.0\r\n\r\n')));
  socket.once('data', () => resolve(through(`${nameOf(to)} answered`)));
  socket.once('close', () => resolve(refused('closed without a word')));
  socket.once('timeout', () => resolve(refused('no answer')));
  socket.once('error', (error) => resolve(refused(codeOf(error))));
  const outcome = await promise;
  socket.destroy();
  return outcome;
}

function nameOf(to: NetConnectOpts): string {
  return 'path' in to && to.path !== undefined ? to.path.replace('\0', '@') : (to as { host: string }).host;
}

async function firstThrough(tries: Promise<Outcome>[]): Promise<Outcome> {
  return anyOf(await Promise.all(tries), (outcome) => outcome);
}
