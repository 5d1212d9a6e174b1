// The recorder port: where the hot path leaves records and log lines. Invariant: neither call waits, throws, or grows
// memory without bound; what had to be dropped is counted. Callers: gateway and functions. Implementation: batch-recorder.ts.
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';

export interface RecorderStatus {
  /** Waiting to be written. */
  pending: number;
  pendingBytes: number;
  written: number;
  dropped: { invocations: number; logLines: number };
}

export interface Recorder {
  invocation(record: InvocationRecord): void;
  log(line: LogLine): void;
  status(): RecorderStatus;
  /** Writes what waits (bounded by `timeoutMs`), then stops. */
  close(options: { timeoutMs: number }): Promise<void>;
}
