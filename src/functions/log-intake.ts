// Log lines of instances on their way to the recorder: each line gets its names, and a flood is cut and counted.
// Invariant: of one source at most twice its budget passes, whatever its guest does: the guest keeps to the budget itself, this
// is for guests that do not. Owned by engine.ts.
import { newId } from '../lib/ids.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { Recorder } from '../observe/recorder.ts';
import type { LogLevelName } from '../protocol/frames.ts';
import type { LogLine } from '../protocol/invocation.ts';
import type { Call } from './call.ts';
import type { LogSource } from './instance.ts';

/** What a log record costs beside its text, when it is written and kept: an empty one is not free. */
const LOG_RECORD_BYTES = 128;
/** Lines that a direct invocation gets back. */
const COLLECTED_MAX = 1_000;

export class LogIntake {
  readonly #recorder: Recorder;
  readonly #bytesPerSecond: number;
  readonly #budgets = new WeakMap<LogSource, { bucket: TokenBucket; droppedRecords: number; droppedBytes: number }>();

  constructor(recorder: Recorder, limits: { logBytesPerSecond: number }) {
    this.#recorder = recorder;
    this.#bytesPerSecond = limits.logBytesPerSecond;
  }

  take(source: LogSource, call: Call | undefined, level: LogLevelName, text: string): void {
    let budget = this.#budgets.get(source);
    const now = performance.now();
    if (budget === undefined) {
      const ratePerS = this.#bytesPerSecond;
      budget = {
        bucket: new TokenBucket({ ratePerS: 2 * ratePerS, burst: 20 * ratePerS, nowMs: now }),
        droppedRecords: 0,
        droppedBytes: 0,
      };
      this.#budgets.set(source, budget);
    }
    if (!budget.bucket.take(text.length + LOG_RECORD_BYTES, now)) {
      budget.droppedRecords++;
      budget.droppedBytes += text.length;
      return;
    }
    if (budget.droppedRecords > 0) {
      const dropped = `${budget.droppedRecords} log records (${budget.droppedBytes} bytes) dropped: over the limit of ${this.#bytesPerSecond} bytes/s (VIRGA_LIMIT_LOG_BYTES_PER_SECOND of the node)`;
      budget.droppedRecords = 0;
      budget.droppedBytes = 0;
      this.#emit(source, undefined, 'warn', dropped);
    }
    this.#emit(source, call, level, text);
  }

  #emit(source: LogSource, call: Call | undefined, level: LogLevelName, text: string): void {
    const { project, version } = source.version;
    const at = Date.now();
    const line: LogLine = {
      id: newId('log', at),
      at,
      project,
      function: source.version.function,
      version,
      invocation: call?.request.meta.id ?? '',
      instance: source.id,
      level,
      text,
    };
    this.#recorder.log(line);
    source.lastLines?.push(text);
    const collected = call?.request.logs;
    if (collected !== undefined && collected.length < COLLECTED_MAX) collected.push(line);
  }
}
