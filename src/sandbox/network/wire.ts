// What the launcher and the relay say to each other over the relay's IPC channel.
// Invariant: bounded. A lease is one tenancy of a namespace: what comes with an old one is ignored.
// Callers: network.ts (in the launcher), relay.ts.
import type { NetworkPolicy } from '../sandbox.ts';

export interface RelayOptions {
  /** Connections of one sandbox, and of all, at the same time. */
  connectionsPerSandboxMax: number;
  connectionsMax: number;
  /** CIDRs that are not public, which functions may name all the same. */
  opened: string[];
  /** The edge's port where the network reaches it. */
  openPort: number | null;
  /** Null: those of this machine's /etc/resolv.conf. Else `address` or `address:port`. */
  resolvers: string[] | null;
}

export type LogLevel = 'warn' | 'info';

export type ToRelay =
  /** The first; `namespaces` have been inherited from an earlier relay. */
  | { op: 'open'; options: RelayOptions; namespaces: { id: number; fd: number }[] }
  | { op: 'make'; id: number }
  | { op: 'assign'; id: number; lease: number; policy: NetworkPolicy }
  | { op: 'release'; id: number }
  /** It is no longer needed at all. */
  | { op: 'drop'; id: number };

export type FromRelay =
  /** It runs, and waits for `open`. */
  | { op: 'hello' }
  /** The namespace is open on this descriptor of the relay's. */
  | { op: 'made'; id: number; fd: number }
  | { op: 'unmade'; id: number; reason: string }
  /** It is listened in, and nobody has it. */
  | { op: 'ready'; id: number }
  | { op: 'log'; lease: number; level: LogLevel; text: string };
