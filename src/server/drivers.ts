// Which drivers the sandboxes of this node have: one for `isolation: standard`, by the configuration and by what works
// here, and gVisor for `isolation: strong`, wherever that works; and the networks that they join.
// Invariant: each driver has proved itself with a trial sandbox, in a network if it is to join any. Callers: launcher.ts,
// doctor/doctor.ts.
import { basename } from 'node:path';
import type { Config } from '../config/config.ts';
import { BubblewrapDriver } from '../sandbox/bubblewrap/bubblewrap.ts';
import type { Networking, SandboxDriver } from '../sandbox/driver.ts';
import type { SandboxNetworks } from '../sandbox/network/network.ts';
import { NodeDriver } from '../sandbox/node-driver.ts';
import { OciDriver } from '../sandbox/oci/oci.ts';
import { RUNTIME_NAMES, findRuntime } from '../sandbox/oci/runtimes.ts';
import { ProcessDriver } from '../sandbox/process/process.ts';
import { StartError } from './start-error.ts';

interface Needs {
  scope: string;
  /** Everything that launches mount lies in one of them. */
  folders: string[];
  runFolder: string;
  /** Where it is said loudly that there are no walls; stderr if not given. */
  warn?: (text: string) => void;
}

export interface Opened {
  driver: NodeDriver;
  /** null: sandboxes reach nothing, or (process driver) whatever they like. */
  networks: SandboxNetworks | null;
}

type Choice = Pick<Config, 'sandboxDriver' | 'ociRuntime'>;

/** `networks` are closed when no driver joins them. Fails with StartError. */
export async function openDrivers(choice: Choice, needs: Needs, opening: Promise<SandboxNetworks> | null): Promise<Opened> {
  const networks = await opening;
  let standard: SandboxDriver | undefined;
  try {
    standard = await openStandard(choice, needs, networks);
    const driver = new NodeDriver(standard, await openStrong(choice, needs, { networks, standard }));
    if (driver.joinsNetworks('standard') || driver.status.strong?.enforcement.network === 'relay') return { driver, networks };
    await networks?.close();
    return { driver, networks: null };
  } catch (error) {
    await standard?.close();
    await networks?.close();
    throw error;
  }
}

/** `auto` takes the first that works, and one without walls only when there is no other; that says so. */
async function openStandard({ sandboxDriver, ociRuntime }: Choice, needs: Needs, networks: SandboxNetworks | null): Promise<SandboxDriver> {
  const openers = {
    bubblewrap: () => withNetworks(networks, (networking) => BubblewrapDriver.open({ ...needs, networking })),
    oci: () => openOci(ociRuntime, needs, networks),
  };
  const reasons: string[] = [];
  const wanted = sandboxDriver === 'auto' ? (['bubblewrap', 'oci'] as const) : sandboxDriver === 'process' ? [] : [sandboxDriver];
  for (const name of wanted) {
    try {
      return await openers[name]();
    } catch (error) {
      reasons.push(`'${name}' does not work here: ${(error as Error).message}`);
    }
  }
  if (wanted.length === 1) throw new StartError(`the sandbox driver ${reasons[0]}`);
  const reason = reasons.length === 0 ? 'the configuration asks for it' : reasons.join('; ');
  return ProcessDriver.open({ scope: needs.scope, reason, warn: needs.warn ?? ((text) => process.stderr.write(text)) });
}

async function openOci(wanted: string, needs: Needs, networks: SandboxNetworks | null): Promise<SandboxDriver> {
  const reasons: string[] = [];
  for (const runtime of wanted === 'auto' ? RUNTIME_NAMES : [wanted]) {
    try {
      return await withNetworks(networks, (networking) => OciDriver.open({ ...needs, runtime, networking }));
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new Error(reasons.join('; '));
}

/** A text says why there is none. */
async function openStrong(
  { sandboxDriver, ociRuntime }: Choice,
  needs: Needs,
  { networks, standard }: { networks: SandboxNetworks | null; standard: SandboxDriver },
): Promise<SandboxDriver | string> {
  if (standard.status.runtime === 'runsc') return standard;
  if (sandboxDriver === 'process') return 'the configuration asks for sandboxes without walls (VIRGA_SANDBOX=process)';
  const runtime = basename(ociRuntime).startsWith('runsc') ? ociRuntime : 'runsc';
  if (findRuntime(runtime) === null) return 'gVisor is not installed; install its runsc (apt-get install runsc) and start Virga again';
  try {
    return await openOci(runtime, needs, networks);
  } catch (error) {
    return `gVisor does not work here: ${(error as Error).message}`;
  }
}

/** In networks where they work together; else without, so that functions reach nothing, and the status says why. */
async function withNetworks<D extends SandboxDriver>(
  networks: SandboxNetworks | null,
  open: (networking: Networking | null) => Promise<D>,
): Promise<D> {
  let note = networks?.note ?? 'functions reach nothing on the network';
  if (networks?.available === true) {
    const trial = await networks.take();
    try {
      return await open({ userNamespace: networks.userNamespace, trial: trial.path });
    } catch (error) {
      note = `functions reach nothing on the network: a trial sandbox cannot join one: ${(error as Error).message}`;
    } finally {
      trial.release();
    }
  }
  const driver = await open(null);
  driver.status.enforcement.notes.push(note);
  return driver;
}
