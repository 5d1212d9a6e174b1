// The sandbox port: one isolated operating-system environment with a runtime in it and a socket to it on fd 3.
// Invariant: when `exited` resolves, nothing of the sandbox is left: no process, cgroup, mount or socket.
// The engine (functions/) calls it; sandbox/launcher implements it by asking the launcher role, which starts sandboxes
// through one of the drivers (bubblewrap/, oci/, process/).
import type { Duplex } from 'node:stream';
import type { Egress } from '../protocol/egress.ts';
import type { Isolation, RuntimeName } from '../protocol/settings.ts';
import type { RuntimeStats } from '../protocol/stats.ts';

/** Everything about a sandbox that is fixed when it boots: blanks of equal shape are as good as each other. */
export interface SandboxShape {
  runtime: RuntimeName;
  memoryMiB: number;
  /** null: no quota. */
  cpus: number | null;
  tmpMiB: number;
  pids: number;
  isolation: Isolation;
}

export interface SandboxSpec extends SandboxShape {
  /** `sbx_…`, unique. */
  id: string;
}

/** What makes a blank sandbox the sandbox of one version. */
export interface Assignment {
  /** sha256 of the artifact; its files appear read-only at `Sandbox.codeFolder`. */
  artifact: string;
  network: NetworkPolicy;
}

/** Whose connections they are, and where they may go. */
export interface NetworkPolicy {
  project: string;
  function: string;
  version: number;
  egress: Egress;
}

export interface SandboxExit {
  /** Exit code; null when a signal ended it. */
  code: number | null;
  signal: string | null;
  /** The kernel or the watcher killed it at its memory limit. */
  outOfMemory: boolean;
  /** Last 4 KiB of what it wrote to fd 2: the runtime's dying words. */
  stderrTail: string;
  usage: SandboxUsage;
  /** The launcher ended and took it along: no doing of the guest. */
  lost?: true;
}

/** What a sandbox came to in its life; null where nobody on this node counts it. */
export interface SandboxUsage {
  /** Memory and files in /tmp. */
  peakMemoryBytes: number | null;
  /** How often it was refused a process or a thread, at its limit of pids. */
  pidsRefused: number | null;
  /** What ended it when it was out of memory: `heap` is the runtime's own limit, below that of the sandbox. */
  memoryLimitOf: 'kernel' | 'watcher' | 'heap' | null;
}

export const NOTHING_COUNTED: SandboxUsage = { peakMemoryBytes: null, pidsRefused: null, memoryLimitOf: null };

/** Files of the kernel by which a sandbox is stopped, resumed and measured; null: not on this machine. */
export interface SandboxControls {
  /** What to write into `file`. */
  freezer: { file: string; freeze: string; thaw: string } | null;
  /** Holds the bytes of memory in use, its files in /tmp included. */
  memory: string | null;
  /** Holds the processor time used, as its own number or in a line of its own. */
  processor: { file: string; unit: 'ns' | 'usage_usec' } | null;
}

/** Two clocks that only go on while threads are busy. */
export interface CpuClock {
  ranMs: number;
  /** Ready to run, and waiting for a CPU. */
  queuedMs: number;
}

export interface Sandbox {
  readonly id: string;
  /** The guest's fd 3. Closed by the guest's end or by kill(). */
  readonly channel: Duplex;
  /** Where the artifact is, as seen from inside; null while it is blank. */
  readonly codeFolder: string | null;
  /** Where the artifact's compiled code is, likewise; null: there is none. */
  readonly compiledFolder: string | null;
  readonly exited: Promise<SandboxExit>;
  /** Gives a blank its version, once: `codeFolder` holds the artifact afterwards. Fails with VirgaError; the sandbox is then of no use. */
  assign(assignment: Assignment): Promise<void>;
  /** Somebody waits for it: a blank boots with its full share from now on. */
  promote(): void;
  /** Stops everything in it until thaw(), which takes some 20 µs. False: this machine cannot. */
  freeze(): boolean;
  thaw(): void;
  /** Bytes that it holds now; null when nobody counts them. */
  memoryBytes(): number | null;
  /** Of what runs in it; null when nobody counts it. Some 100 µs: nothing for the hot path. */
  cpu(): CpuClock | null;
  /** Processor time that it has used since it began, ms; null when nobody counts it. */
  processorMs(): number | null;
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
  /** 'relay': by the egress of each function; 'namespace': nothing is reached at all. */
  network: 'relay' | 'namespace' | null;
  /** Reasons for what is null, for people. */
  notes: string[];
}

export interface SandboxDriverStatus {
  driver: 'bubblewrap' | 'oci' | 'process';
  /** Of the oci driver: which container runtime; null with the others. */
  runtime: string | null;
  /** Whether a sandbox that runs can be given its files: without it there are no blanks. */
  lateFiles: boolean;
  enforcement: Enforcement;
}

/** What a node offers: to functions of `isolation: standard`, and to those of `isolation: strong`. */
export interface NodeSandboxStatus extends SandboxDriverStatus {
  strong: SandboxDriverStatus | null;
  /** Why `strong` is null, and the remedy. */
  strongReason: string | null;
  runtimes: RuntimeStats[];
}

/** The port that the engine uses. */
export interface Sandboxes {
  /**
   * Starts a sandbox; resolves when its process runs and its channel is connected. With null it is blank, and boots with
   * what the machine has to spare. Fails with VirgaError `sandbox_unavailable`, or with what is wrong with the assignment.
   */
  start(spec: SandboxSpec, assignment: Assignment | null): Promise<Sandbox>;
  status(): NodeSandboxStatus | undefined;
  /** Sandboxes will be given this artifact: whatever makes that quicker may be done now. Nobody waits for it. */
  prepare(artifact: string, runtime: RuntimeName): void;
  /** A sandbox crashed while it loaded the artifact's compiled code: it is not used again. Holds for starts and assignments that follow. */
  discardCompiled(artifact: string, runtime: RuntimeName): void;
  /**
   * Who hears what sandboxes write to fd 1 and 2 themselves (their console.* and print come as frames), and what the
   * platform has to tell their functions (refused connections): bounded pieces of text.
   */
  outputTo(listener: (id: string, text: string, level: 'info' | 'warn') => void): void;
  close(): Promise<void>;
}
