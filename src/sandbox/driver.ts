// The driver contract inside the sandbox port: how the launcher starts one sandbox on this machine. Drivers are
// siblings (bubblewrap/, oci/, process/) and pass one suite, conformance.ts.
// Invariant: when `exited` resolves, nothing of the sandbox is left: no process, no cgroup, no mount. A driver knows
// neither runtimes nor artifacts: it is given an argv and the folders that must be visible.
// Caller: launcher/service.ts.
import type { Socket } from 'node:net';
import type { Isolation } from '../protocol/settings.ts';
import type { NetworkPolicy, SandboxControls, SandboxDriverStatus, SandboxExit } from './sandbox.ts';

/** A file or folder of the host, shown read-only at `target`. */
export interface Mount {
  source: string;
  target: string;
}

export interface Launch {
  /** `sbx_…`, unique. */
  id: string;
  /** Paths in `argv`, `env` and `cwd` are as seen inside, at or below the targets of `mounts`. */
  argv: string[];
  /** The whole environment: nothing is added but what the driver must set. */
  env: Record<string, string>;
  mounts: Mount[];
  /** Folders inside that are empty at first, for show() to fill: targets of mounts to come. Only where the status says lateFiles. */
  lateTargets: string[];
  cwd: string;
  /** Path of a network namespace to join; null: a new and empty one. */
  network: string | null;
  /** Boot with what the machine has to spare, until promote(). */
  background: boolean;
  isolation: Isolation;
  memoryMiB: number;
  cpus: number | null;
  tmpMiB: number;
  pids: number;
}

/**
 * Where launches name networks: the user namespace from which those can be joined (null: from the launcher's) and one to try it with.
 */
export interface Networking {
  userNamespace: string | null;
  trial: string;
}

/** A network namespace with a way out of it, for one sandbox (network/network.ts). */
export interface Network {
  /** Of the namespace, for as long as this process lives. */
  readonly path: string;
  /** From now on its connections go where this allows. Once; waits for nothing. `log` is for the function's log. */
  assign(policy: NetworkPolicy, log: (level: 'info' | 'warn', text: string) => void): void;
  /** The sandbox has ended: everything of it is cut. Safe to call twice. */
  release(): void;
}

/** Takes raw output; answers whether more is welcome now. When it was not, `onceWelcome` is called once it is again. */
export interface OutputSink {
  write(text: string): boolean;
  onceWelcome(resume: () => void): void;
}

export interface LaunchedSandbox {
  /** Of the outermost process. */
  readonly pid: number;
  readonly controls: SandboxControls;
  /** Where a path of `Launch`, or of a mount that was shown since, is for the guest. */
  inside(path: string): string;
  /** Fills late targets: read-only, without copying, visible when it resolves. */
  show(mounts: Mount[]): Promise<void>;
  /** Its CPU share is that of any sandbox from now on. */
  promote(): void;
  readonly exited: Promise<SandboxExit>;
  /** Ends everything in it at once; resolves with `exited`. Safe to call twice. */
  kill(): Promise<void>;
}

export interface SandboxDriver {
  readonly status: SandboxDriverStatus;
  /** `channel` becomes the guest's fd 3; the caller still owns its copy and closes it afterwards. */
  start(launch: Launch, channel: Socket, output: OutputSink): Promise<LaunchedSandbox>;
  /** Kills all of its sandboxes and frees what it can without waiting: the process is about to end. */
  closeNow(): void;
  /** Frees what the driver holds; its sandboxes have been killed before. */
  close(): Promise<void>;
}

/** Marks every process of one Virga's sandboxes: `VIRGA_SANDBOX_MARK=<scope>/<sandbox id>` in its first environment. */
export const MARK_VARIABLE = 'VIRGA_SANDBOX_MARK';
