// The recorder on PostgreSQL: what the hot path leaves here is written in batches, a moment later, over one connection.
//
//   invocation(), log() ─▶ arrays in memory, bounded ─▶ (200 ms, or 5,000 rows) ─▶ one batch at a time ─▶ one transaction
//
// Invariant: a call costs a push and an addition; what waits, the batch being written included, is at most bufferBytes, and
// what came beyond that is counted. While Postgres is away the batch at hand is tried again, with backoff, before any
// newer one, so log lines are committed in the order of their ids: who follows them by id misses none.
import pg from 'pg';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import { isUniqueViolation, writeBatch } from './copy-batch.ts';
import type { Batch } from './copy-batch.ts';
import type { Recorder, RecorderStatus } from './recorder.ts';

export interface BatchRecorderOptions {
  connection: pg.ClientConfig;
  bufferBytes: number;
  log?: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

const FLUSH_AFTER_MS = 200;
const FLUSH_ROWS = 5_000;
const BATCH_ROWS_MAX = 10_000;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 5_000;
/** A batch that takes longer than this is given up and tried again on a new connection. */
const WRITE_TIMEOUT_MS = 30_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
const CLOSING_BACKOFF_MS = 50;
const REPORT_EVERY_MS = 10_000;
/** Heap of a record with its ids and numbers, and of a log line, without what is counted by length. */
const RECORD_BYTES = 800;
const LINE_BYTES = 400;
/** Log lines may fill this part of the buffer; the rest is for invocations, which are fewer and worth more. */
const LINES_PART = 0.75;

export class BatchRecorder implements Recorder {
  readonly #options: BatchRecorderOptions;
  #records: InvocationRecord[] = [];
  #lines: LogLine[] = [];
  #pendingBytes = 0;
  /** Taken from the arrays and not yet written. */
  #batch: Batch | undefined;
  #written = 0;
  readonly #dropped = { invocations: 0, logLines: 0 };
  #reportedTotal = 0;
  #reportedAt = -Infinity;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;
  #client: pg.Client | undefined;
  /** Aborts when close() is called: it cuts a pause short. */
  readonly #closing = new AbortController();
  /** Aborts when the time of close() is over. */
  readonly #over = new AbortController();

  constructor(options: BatchRecorderOptions) {
    this.#options = options;
  }

  invocation(record: InvocationRecord): void {
    const bytes = recordBytes(record);
    if (this.#pendingBytes + bytes > this.#options.bufferBytes || this.#closed) {
      this.#dropped.invocations++;
      return;
    }
    this.#pendingBytes += bytes;
    this.#records.push(record);
    this.#arrived();
  }

  log(line: LogLine): void {
    const bytes = lineBytes(line);
    if (this.#pendingBytes + bytes > this.#options.bufferBytes * LINES_PART || this.#closed) {
      this.#dropped.logLines++;
      return;
    }
    this.#pendingBytes += bytes;
    this.#lines.push(line);
    this.#arrived();
  }

  status(): RecorderStatus {
    const inBatch = this.#batch === undefined ? 0 : rowsOf(this.#batch);
    return {
      pending: this.#records.length + this.#lines.length + inBatch,
      pendingBytes: this.#pendingBytes,
      written: this.#written,
      dropped: { ...this.#dropped },
    };
  }

  async close({ timeoutMs }: { timeoutMs: number }): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    const timer = setTimeout(() => this.#giveUp(), timeoutMs);
    while (this.status().pending > 0) await (this.#flushing ?? this.#start());
    await this.#client?.end().catch(() => {});
    clearTimeout(timer);
  }

  #arrived(): void {
    if (this.#flushing !== undefined) return;
    if (this.#records.length + this.#lines.length >= FLUSH_ROWS) void this.#start();
    else this.#timer ??= setTimeout(() => void this.#start(), FLUSH_AFTER_MS).unref();
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
      if (this.#records.length + this.#lines.length > 0 && !this.#closed) this.#arrived();
    });
    return this.#flushing;
  }

  /** Writes until few rows wait; when closing, until none does or the time is over. Never rejects. */
  async #flush(): Promise<void> {
    do {
      if (this.#records.length + this.#lines.length === 0) return;
      this.#batch = this.#take();
      await this.#writeWithRetries(this.#batch);
      this.#pendingBytes -= this.#batch.bytes;
      this.#batch = undefined;
      this.#reportDropped();
    } while (this.#closed || this.#records.length + this.#lines.length >= FLUSH_ROWS);
  }

  #take(): Batch {
    const batch: Batch = { records: [], lines: [], bytes: 0 };
    let room = BATCH_ROWS_MAX;
    while (room > 0 && batch.records.length < this.#records.length && batch.bytes < BATCH_BYTES_MAX) {
      const record = this.#records[batch.records.length]!;
      batch.records.push(record);
      batch.bytes += recordBytes(record);
      room--;
    }
    while (room > 0 && batch.lines.length < this.#lines.length && batch.bytes < BATCH_BYTES_MAX) {
      const line = this.#lines[batch.lines.length]!;
      batch.lines.push(line);
      batch.bytes += lineBytes(line);
      room--;
    }
    this.#records = this.#records.slice(batch.records.length);
    this.#lines = this.#lines.slice(batch.lines.length);
    return batch;
  }

  async #writeWithRetries(batch: Batch): Promise<void> {
    let again = false;
    let troubled = false;
    for (let failures = 0; !this.#over.signal.aborted; failures++) {
      try {
        await this.#write(batch, again);
        this.#written += rowsOf(batch);
        if (troubled) this.#options.log?.('info', 'records are being written again');
        return;
      } catch (error) {
        this.#disconnect();
        if (isUniqueViolation(error) && !again) {
          // An earlier try was committed, and its answer was lost.
          again = true;
          continue;
        }
        if (isRefusal(error)) {
          this.#options.log?.('error', `${rowsOf(batch)} records and log lines cannot be written and are dropped`, {
            reason: reasonOf(error),
          });
          break;
        }
        if (!troubled)
          this.#options.log?.('warn', 'records cannot be written; they are kept in memory and tried again', { reason: reasonOf(error) });
        troubled = true;
        await this.#pause(failures);
      }
    }
    this.#dropped.invocations += batch.records.length;
    this.#dropped.logLines += batch.lines.length;
  }

  async #write(batch: Batch, again: boolean): Promise<void> {
    const timer = setTimeout(() => this.#disconnect(), WRITE_TIMEOUT_MS).unref();
    try {
      await writeBatch(this.#client ?? (await this.#connect()), batch, { again });
    } finally {
      clearTimeout(timer);
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#options.connection, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true });
    // A connection that breaks while it is idle is replaced for the next batch; without a listener it would end the process.
    client.on('error', () => {
      if (this.#client === client) this.#disconnect();
    });
    this.#client = client;
    await client.connect();
    return client;
  }

  /** At once, whatever it waits for: end() would wait for a server that may be hanging. */
  #disconnect(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.connection.stream.destroy();
  }

  #giveUp(): void {
    this.#over.abort();
    this.#dropped.invocations += this.#records.length;
    this.#dropped.logLines += this.#lines.length;
    this.#records = [];
    this.#lines = [];
    this.#pendingBytes = this.#batch?.bytes ?? 0;
    this.#disconnect();
  }

  /** At most every 10 s. */
  #reportDropped(): void {
    const { invocations, logLines } = this.#dropped;
    const total = invocations + logLines;
    const now = performance.now();
    if (total === this.#reportedTotal || now < this.#reportedAt + REPORT_EVERY_MS) return;
    this.#reportedTotal = total;
    this.#reportedAt = now;
    this.#options.log?.('warn', 'records were dropped since the start: Postgres is slower than they come', {
      invocations,
      logLines,
      bufferBytes: this.#options.bufferBytes,
    });
  }

  /** Between two tries: 100 ms, 200 ms, … 5 s, of which a random half; short when closing, over when the time is. */
  async #pause(failures: number): Promise<void> {
    const closing = this.#closing.signal;
    const delayMs = closing.aborted
      ? CLOSING_BACKOFF_MS
      : Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** failures) * (0.5 + Math.random() / 2);
    const signal = closing.aborted ? this.#over.signal : closing;
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, delayMs);
    const wake = (): void => resolve();
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
  }
}

function recordBytes(record: InvocationRecord): number {
  return RECORD_BYTES + (record.request?.length ?? 0) + (record.error?.length ?? 0);
}

function lineBytes(line: LogLine): number {
  return LINE_BYTES + line.text.length;
}

function rowsOf(batch: Batch): number {
  return batch.records.length + batch.lines.length;
}

/** Wrong values (classes 22 and 23, or rows that are none) stay wrong however often they are tried; the rest may pass. */
function isRefusal(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^2[23]...$/.test(code);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
