// The recorder on PostgreSQL: what the hot path leaves here is written in batches, a moment later, over one connection.
//
//   invocation(), log() ─▶ rows of COPY text in memory, bounded ─▶ (200 ms, or 5,000 rows) ─▶ one transaction at a time
//
// Invariant: a call costs 1 to 2 µs and never waits; what waits, the batch being written included, is at most bufferBytes,
// and what came beyond that is counted. While Postgres is away the batch at hand is tried again, with backoff, before any
// newer one, so log lines are committed in the order of their ids: who follows them by id misses none.
import pg from 'pg';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import { isUniqueViolation, writeBatch } from './copy-batch.ts';
import type { Batch } from './copy-batch.ts';
import { CopyRows } from './copy-rows.ts';
import { invocationRow, logRow } from './copy-text.ts';
import type { Recorder, RecorderStatus } from './recorder.ts';

export interface BatchRecorderOptions {
  connection: pg.ClientConfig;
  bufferBytes: number;
  log?: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

const FLUSH_AFTER_MS = 200;
const FLUSH_ROWS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** A batch that takes longer than this is given up and tried again on a new connection. */
const WRITE_TIMEOUT_MS = 30_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
const CLOSING_BACKOFF_MS = 50;
const REPORT_EVERY_MS = 10_000;
/** Log lines may fill this part of the buffer; the rest is for invocations, which are fewer and worth more. */
const LINES_PART = 0.75;

export class BatchRecorder implements Recorder {
  readonly #options: BatchRecorderOptions;
  #records = new CopyRows();
  #lines = new CopyRows();
  #pendingBytes = 0;
  /** Being written. */
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
    const { bufferBytes } = this.#options;
    if (!this.#take(this.#records, () => invocationRow(record), bufferBytes)) this.#dropped.invocations++;
  }

  log(line: LogLine): void {
    const { bufferBytes } = this.#options;
    if (!this.#take(this.#lines, () => logRow(line), bufferBytes * LINES_PART)) this.#dropped.logLines++;
  }

  status(): RecorderStatus {
    const inBatch = this.#batch === undefined ? 0 : rowsOf(this.#batch);
    return {
      pending: this.#waiting + inBatch,
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

  get #waiting(): number {
    return this.#records.rows + this.#lines.rows;
  }

  /** false: it was dropped, since there is no room or it is no row. */
  #take(rows: CopyRows, encode: () => string, bytesMax: number): boolean {
    // While the buffer is full a drop costs next to nothing.
    if (this.#pendingBytes >= bytesMax || this.#closed) return false;
    let row: string;
    try {
      row = encode();
    } catch {
      return false;
    }
    const bytes = Buffer.byteLength(row);
    if (this.#pendingBytes + bytes > bytesMax) return false;
    rows.append(row, bytes);
    this.#pendingBytes += bytes;
    this.#arrived();
    return true;
  }

  #arrived(): void {
    if (this.#flushing !== undefined) return;
    if (this.#waiting >= FLUSH_ROWS) void this.#start();
    else this.#timer ??= setTimeout(() => void this.#start(), FLUSH_AFTER_MS).unref();
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
      if (this.#waiting > 0 && !this.#closed) this.#arrived();
    });
    return this.#flushing;
  }

  /** Writes until few rows wait; when closing, until none does or the time is over. Never rejects. */
  async #flush(): Promise<void> {
    do {
      if (this.#waiting === 0) return;
      const batch = { records: this.#records, lines: this.#lines };
      this.#batch = batch;
      this.#records = new CopyRows();
      this.#lines = new CopyRows();
      await this.#writeWithRetries(batch);
      this.#pendingBytes -= bytesOf(batch);
      this.#batch = undefined;
      this.#reportDropped();
    } while (this.#closed || this.#waiting >= FLUSH_ROWS);
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
    this.#dropped.invocations += batch.records.rows;
    this.#dropped.logLines += batch.lines.rows;
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
    this.#dropped.invocations += this.#records.rows;
    this.#dropped.logLines += this.#lines.rows;
    this.#records = new CopyRows();
    this.#lines = new CopyRows();
    this.#pendingBytes = this.#batch === undefined ? 0 : bytesOf(this.#batch);
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

function bytesOf(batch: Batch): number {
  return batch.records.bytes + batch.lines.bytes;
}

function rowsOf(batch: Batch): number {
  return batch.records.rows + batch.lines.rows;
}

/** Wrong values (classes 22 and 23) stay wrong however often they are tried; the rest may pass. */
function isRefusal(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^2[23]...$/.test(code);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
