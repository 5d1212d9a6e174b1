// What the edge says of itself to the control role (GET /stats on its private socket) and, through it, to `virga status`.
import type { FunctionRuntime, RuntimeName } from './settings.ts';

export interface FunctionStats {
  project: string;
  function: string;
  version: number;
  runtime: FunctionRuntime;
  /** Instances by state. */
  starting: number;
  idle: number;
  busy: number;
  draining: number;
  queued: number;
  inFlight: number;
}

/** Sandboxes of one shape that wait for a version. */
export interface BlankStats {
  runtime: RuntimeName;
  memoryMiB: number;
  ready: number;
  booting: number;
}

/** One of what functions can ask for. */
export interface RuntimeStats {
  name: FunctionRuntime;
  /** Of Bun and Deno, which a node may have or not. */
  version: string | null;
  /** null: it is there; else how to get it. */
  remedy: string | null;
}

/** SandboxDriverStatus of sandbox/sandbox.ts. */
export interface DriverStats {
  driver: string;
  runtime: string | null;
  lateFiles: boolean;
  enforcement: {
    isolation: string | null;
    memory: string | null;
    cpus: string | null;
    pids: string | null;
    tmp: string | null;
    network: string | null;
    notes: string[];
  };
}

/** Certificates that the edge has at hand. */
export interface CertificateStats {
  held: {
    names: string[];
    origin: 'file' | 'acme';
    /** The file, or the name that it was asked for. */
    label: string;
    issuer: string;
    /** Unix ms. */
    notBefore: number;
    notAfter: number;
  }[];
  /** Whole sentences. */
  problems: string[];
}

/** What was delivered of one queue since the process started. */
export interface DeliveryStats {
  project: string;
  /** queue, topic, event, schedule, async, workflow, webhook. */
  kind: string;
  /** Name of the queue, topic or schedule; of the function where there is none. */
  source: string;
  /** null: a webhook. */
  function: string | null;
  /** Key on the bus. */
  queue: string;
  /** Messages. */
  received: number;
  done: number;
  /** Failed, and come again. */
  retried: number;
  dead: number;
  /** Given back without an attempt. */
  released: number;
  /** Calls. */
  inFlight: number;
  /** Messages that wait in the process for a call. */
  waiting: number;
  /** What the last new message had waited when it was received, ms. */
  lagMs: number;
  /** Unix ms; null: it is not. What it is delivered to could not take it. */
  pausedUntil: number | null;
}

export interface EdgeStats {
  pid: number;
  uptimeS: number;
  residentBytes: number;
  /** Highest deployment id that the read model holds. */
  deployment: number;
  inFlight: number;
  /** WebSockets that the gateway holds. */
  webSockets: number;
  functions: FunctionStats[];
  blanks: BlankStats[];
  /** Of what had something to deliver. */
  deliveries: DeliveryStats[];
  records: { pending: number; pendingBytes: number; written: number; dropped: { invocations: number; logLines: number } };
  /** NodeSandboxStatus of sandbox/sandbox.ts; null while the launcher is not connected. */
  sandbox: (DriverStats & { strong: DriverStats | null; strongReason: string | null; runtimes: RuntimeStats[] }) | null;
}
