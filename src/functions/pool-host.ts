// What the pool of one version is given by the engine: what all pools share, and the start of an instance.
// Implemented by engine.ts, used by version-pool.ts.
import type { Admission } from './admission.ts';
import type { Call } from './call.ts';
import type { VirtualTime } from './fair-share.ts';
import type { Instance, InstanceEvents } from './instance.ts';
import type { MachineLoad } from './machine-load.ts';
import type { Room } from './room.ts';
import type { RunGate } from './run-gate.ts';
import type { DeployedVersion } from './version.ts';
import type { StartLimits } from './waiting-calls.ts';

export interface PoolHost {
  readonly room: Room;
  readonly gate: RunGate;
  readonly time: VirtualTime;
  readonly admission: Admission;
  readonly limits: StartLimits;
  /** Of this machine. */
  readonly processors: number;
  readonly load: MachineLoad;
  /** Starts a sandbox and loads the code; the returned instance is live. */
  start(version: DeployedVersion, events: InstanceEvents, onSandbox: (instance: Instance) => void): Promise<Instance>;
  callEnded(instance: Instance | undefined, call: Call): void;
  log: InstanceEvents['log'];
  /** The pool has neither instances nor calls any more. */
  empty(): void;
}
