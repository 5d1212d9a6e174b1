// The sandbox port: one isolated operating-system environment with a runtime in it and a socket to it on fd 3.
// Invariant: when `exited` resolves, nothing of the sandbox is left: no process, cgroup, mount or socket.
// The engine (functions/) calls it; sandbox/launcher implements it by asking the launcher role, which starts sandboxes
// through one of the drivers (bubblewrap/, process/).
import type { Duplex } from 'node:stream';
import type { RuntimeName } from '../protocol/settings.ts';

export interface SandboxSpec {
  /** `sbx_…`, unique. */
  id: string;
  runtime: RuntimeName;
  /** sha256 of the artifact; its files appear read-only at the folder that `Sandbox.codeFolder` names. */
  artifact: string;
  memoryMiB: number;
  /** null: no quota. */
  cpus: number | null;
  tmpMiB: number;
  pids: number;
}

export interface SandboxExit {
  /** Exit code; null when a signal ended it. */
  code: number | null;
  signal: string | null;
  /** The kernel or the watcher killed it at its memory limit. */
  outOfMemory: boolean;
  /** Last 4 KiB of what it wrote to fd 2: the runtime's dying words. */
  stderrTail: string;
}

export interface Sandbox {
  readonly id: string;
  /** The guest's fd 3. Closed by the guest's end or by kill(). */
  readonly channel: Duplex;
  /** Where the artifact is, as seen from inside. */
  readonly codeFolder: string;
  readonly exited: Promise<SandboxExit>;
  /** Ends it with everything in it, at once. Resolves when nothing is left. Safe to call twice. */
  kill(): Promise<void>;
}

/** What the node can hold a sandbox to. `null`: it cannot; a string says by what. */
export interface Enforcement {
  isolation: 'namespaces' | null;
  memory: 'cgroup v2' | 'cgroup v1' | 'watcher' | null;
  cpus: 'cgroup v2' | 'cgroup v1' | null;
  pids: 'cgroup v2' | 'cgroup v1' | 'rlimit' | null;
  tmp: 'tmpfs' | null;
  network: 'namespace' | null;
  /** Reasons for what is null, for people. */
  notes: string[];
}

export interface SandboxDriverStatus {
  driver: 'bubblewrap' | 'process';
  enforcement: Enforcement;
}

/** The port that the engine uses. */
export interface Sandboxes {
  /** Starts a sandbox; resolves when its process runs and its channel is connected. Fails with VirgaError `sandbox_unavailable`. */
  start(spec: SandboxSpec): Promise<Sandbox>;
  status(): SandboxDriverStatus | undefined;
  /** Who hears what sandboxes write to fd 1 and 2 themselves (their console.* and print come as frames): bounded pieces of text. */
  outputTo(listener: (id: string, text: string) => void): void;
  close(): Promise<void>;
}
