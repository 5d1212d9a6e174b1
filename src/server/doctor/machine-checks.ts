// What Virga needs of the machine besides walls: its tools, a disk, a clock, ports, Postgres, Node. None of these is a wall:
// what is missing is said with its remedy, and fails nothing. Used by doctor.ts.
import { once } from 'node:events';
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { PROGRAM_RUNTIMES, findProgram, remedyOf } from '../../runtimes/catalog-programs.ts';
import type { ProgramRuntime } from '../../runtimes/catalog-programs.ts';
import { findBinaries } from '../../store/records/embedded/binaries.ts';
import type { MachineFacts } from './machine.ts';
import { installing } from './remedies.ts';
import type { Check, Theme } from './report.ts';

const GIB = 1024 ** 3;
const FREE_BYTES_MIN = 2 * GIB;
const FSYNCS = 9;
/** A deploy, a durable publish, a commit of Postgres wait for it. */
const FSYNC_MS_MAX = 20;
const NODE_MAJOR_MIN = 24;
/** From then on RLIMIT_NPROC counts by user namespace, and a cgroup ends as a whole by one write (cgroup.kill). */
const KERNEL_MIN = [5, 14] as const;

type Finding = { state: 'holds' | 'lacks'; detail: string; remedy?: string };

export async function machineChecks(config: Config, facts: MachineFacts): Promise<Check[]> {
  const check = (theme: Theme, name: string, title: string, { state, detail, remedy }: Finding): Check => {
    return { theme, name, title, state, detail, remedy: remedy ?? null };
  };
  return [
    ...(['crun', 'runc', 'runsc'] as const).map((name) => check('strong', name, STRONG[name], ociRuntime(name, facts))),
    check('network', 'egress-tools', 'nft and ip, for the network of functions', egressTools(facts)),
    check('machine', 'kernel', `Linux ${KERNEL_MIN.join('.')} or later`, kernel(facts)),
    check('machine', 'node', `Node ${NODE_MAJOR_MIN} or later`, nodeVersion()),
    ...PROGRAM_RUNTIMES.map((name) => check('machine', name, `${name}, for functions of that runtime`, programRuntime(name))),
    check('machine', 'postgres', 'PostgreSQL', await postgres(config)),
    check('machine', 'edge-port', 'the port of the edge is free', await port(config.edgeHost, config.edgePort, '--edge-port')),
    check(
      'machine',
      'control-port',
      'the port of the control API is free',
      await port(config.controlHost, config.controlPort, '--control-port'),
    ),
    check('machine', 'disk', 'room on the disk', room(config)),
    check('machine', 'fsync', 'a disk that confirms quickly', fsyncSpeed(config)),
    check('machine', 'clock', 'a clock that is set', clock()),
  ];
}

const STRONG = {
  crun: 'crun, for containers',
  runc: 'runc, for containers',
  runsc: 'gVisor, a kernel of its own for each sandbox',
};

function ociRuntime(name: keyof typeof STRONG, facts: MachineFacts): Finding {
  const version = facts.tools[name];
  return version === null
    ? { state: 'lacks', detail: 'not installed', remedy: installing(facts, name) }
    : { state: 'holds', detail: version };
}

/** Names of the packages that are missing. */
export function missingEgressTools({ tools: { nft, ip }, packages }: MachineFacts): string[] {
  return [...(nft === null ? ['nftables'] : []), ...(ip === null ? [packages === 'dnf' ? 'iproute' : 'iproute2'] : [])];
}

function egressTools(facts: MachineFacts): Finding {
  const missing = missingEgressTools(facts);
  if (missing.length > 0) return { state: 'lacks', detail: `without ${missing.join(' and ')}`, remedy: installing(facts, ...missing) };
  return { state: 'holds', detail: `${facts.tools.nft}, ${facts.tools.ip}` };
}

function kernel({ kernel: version }: MachineFacts): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor >= KERNEL_MIN[1])) return { state: 'holds', detail: version };
  const remedy =
    'install a newer kernel of the distribution: without one, processes are limited by cgroups alone, and a fork bomb is ended one by one';
  return { state: 'lacks', detail: version, remedy };
}

function nodeVersion(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  const detail = `v${process.versions.node}`;
  if (major >= NODE_MAJOR_MIN) return { state: 'holds', detail };
  return { state: 'lacks', detail, remedy: 'run npm ci: it brings the Node that Virga runs on' };
}

function programRuntime(name: ProgramRuntime): Finding {
  const found = findProgram(name);
  return found === null
    ? { state: 'lacks', detail: 'not installed', remedy: remedyOf(name) }
    : { state: 'holds', detail: `${found.version}, as npm brings it` };
}

async function postgres(config: Config): Promise<Finding> {
  if (config.postgresUrl !== null) return { state: 'holds', detail: 'the one of VIRGA_POSTGRES_URL (not tried)' };
  try {
    const { version, origin } = await findBinaries();
    return { state: 'holds', detail: `${version} (${origin === 'package' ? 'comes with Virga' : 'of the system'})` };
  } catch (error) {
    return { state: 'lacks', detail: (error as Error).message, remedy: 'run npm ci again, or set VIRGA_POSTGRES_URL' };
  }
}

async function port(host: string, number: number, flag: string): Promise<Finding> {
  const server = createServer();
  try {
    await once(server.listen(number, host), 'listening');
    return { state: 'holds', detail: `${host}:${number}` };
  } catch (error) {
    const detail = `${host}:${number}: ${(error as NodeJS.ErrnoException).code}`;
    return { state: 'lacks', detail, remedy: `unless it is a Virga that runs there: give another with ${flag}` };
  } finally {
    server.close();
  }
}

/** The data folder, or where it would be made. */
function existingFolder({ dataFolder }: Config): string {
  let folder = dataFolder;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function room(config: Config): Finding {
  const folder = existingFolder(config);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const detail = `${(free / GIB).toFixed(1)} GiB free at ${folder}`;
  if (free >= FREE_BYTES_MIN) return { state: 'holds', detail };
  return { state: 'lacks', detail, remedy: `free some space: below ${FREE_BYTES_MIN / GIB} GiB deploys and records soon fail` };
}

function fsyncSpeed(config: Config): Finding {
  const folder = existingFolder(config);
  const file = join(folder, `.virga-doctor-${process.pid}`);
  const times: number[] = [];
  try {
    const fd = openSync(file, 'wx');
    try {
      for (let i = 0; i < FSYNCS; i++) {
        const from = performance.now();
        writeSync(fd, Buffer.alloc(4_096, i));
        fsyncSync(fd);
        times.push(performance.now() - from);
      }
    } finally {
      closeSync(fd);
      rmSync(file);
    }
  } catch (error) {
    const detail = `${folder} cannot be written to: ${(error as NodeJS.ErrnoException).code}`;
    return { state: 'lacks', detail, remedy: 'give a folder of this user with --data' };
  }
  const median = times.toSorted((a, b) => a - b)[Math.floor(FSYNCS / 2)]!;
  const detail = `fsync of 4 KiB: ${median.toFixed(2)} ms in the median`;
  if (median <= FSYNC_MS_MAX) return { state: 'holds', detail };
  return { state: 'lacks', detail, remedy: 'put the data folder (--data) on a faster disk: commits and deploys wait for it' };
}

/** Only what can be wrong without asking anybody: a machine without a battery starts in 1970. */
function clock(): Finding {
  const now = new Date();
  const detail = now.toISOString();
  if (now.getUTCFullYear() >= 2026) return { state: 'holds', detail };
  return { state: 'lacks', detail, remedy: 'set the clock, e.g. by chrony or systemd-timesyncd: ids, logs and tokens go by it' };
}
