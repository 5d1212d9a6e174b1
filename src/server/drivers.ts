// Which drivers the sandboxes of this node have: one for `isolation: standard`, by the configuration and by what works
// here, and gVisor for `isolation: strong`, wherever that works. Each has proved itself with a trial sandbox.
// Caller: launcher.ts.
import { basename } from 'node:path';
import type { Config } from '../config/config.ts';
import { BubblewrapDriver } from '../sandbox/bubblewrap/bubblewrap.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import { NodeDriver } from '../sandbox/node-driver.ts';
import { OciDriver } from '../sandbox/oci/oci.ts';
import { RUNTIME_NAMES, findRuntime } from '../sandbox/oci/runtimes.ts';
import { ProcessDriver } from '../sandbox/process/process.ts';
import { StartError } from './start-error.ts';

export interface DriverNeeds {
  scope: string;
  /** Everything that launches mount lies in one of them. */
  folders: string[];
  runFolder: string;
}

type Choice = Pick<Config, 'sandboxDriver' | 'ociRuntime'>;

export async function openDrivers(choice: Choice, needs: DriverNeeds): Promise<NodeDriver> {
  const standard = await openStandard(choice, needs);
  try {
    return new NodeDriver(standard, await openStrong(choice, needs, standard));
  } catch (error) {
    await standard.close();
    throw error;
  }
}

/** `auto` takes the first that works, and none of walls only when there is no other; it says so then. */
async function openStandard({ sandboxDriver, ociRuntime }: Choice, needs: DriverNeeds): Promise<SandboxDriver> {
  const openers = {
    bubblewrap: () => BubblewrapDriver.open(needs),
    oci: () => openOci(ociRuntime, needs),
  };
  const reasons: string[] = [];
  const wanted = sandboxDriver === 'auto' ? (['bubblewrap', 'oci'] as const) : sandboxDriver === 'process' ? [] : [sandboxDriver];
  for (const name of wanted) {
    try {
      return await openers[name]();
    } catch (error) {
      reasons.push(`${name} does not work here: ${(error as Error).message}`);
    }
  }
  if (wanted.length === 1) throw new StartError(`the sandbox driver ${reasons[0]}`);
  const reason = reasons.length === 0 ? 'the configuration asks for it' : reasons.join('; ');
  return ProcessDriver.open({ scope: needs.scope, reason, warn: (text) => process.stderr.write(text) });
}

async function openOci(runtime: string, needs: DriverNeeds): Promise<OciDriver> {
  if (runtime !== 'auto') return OciDriver.open({ ...needs, runtime });
  const reasons: string[] = [];
  for (const name of RUNTIME_NAMES) {
    try {
      return await OciDriver.open({ ...needs, runtime: name });
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new Error(reasons.join('; '));
}

/** A text says why there is none. */
async function openStrong({ ociRuntime }: Choice, needs: DriverNeeds, standard: SandboxDriver): Promise<SandboxDriver | string> {
  const remedy = "install gVisor's runsc (apt-get install runsc) and start Virga again";
  if (standard.status.runtime === 'runsc') return standard;
  const runtime = basename(ociRuntime).startsWith('runsc') ? ociRuntime : 'runsc';
  if (findRuntime(runtime) === null) return `gVisor is not installed; ${remedy}`;
  try {
    return await OciDriver.open({ ...needs, runtime });
  } catch (error) {
    return `gVisor does not work here: ${(error as Error).message}`;
  }
}
