// Lines on their way to a file, or to stdout. Invariant: adding one never waits and never fails; what a slow or full disk does not
// take within the bound is dropped and counted; the file never outgrows its size, and the last ones are kept. Owned by edge.ts.
import { open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

export interface LogFileOptions {
  /** Absolute, or `-` for stdout. */
  path: string;
  bytesMax: number;
  /** Hears of what was dropped, and of why, at most once in WARN_MS. */
  onTrouble: (message: string, fields: Record<string, unknown>) => void;
}

const FLUSH_MS = 200;
/** Lines that wait, bytes. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;
const FILES_KEPT = 5;
const WARN_MS = 10_000;

export class LogFile {
  readonly #options: LogFileOptions;
  #lines: string[] = [];
  #bytes = 0;
  #dropped = 0;
  #handle: FileHandle | undefined;
  #size = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #warnedAt = -Infinity;

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  add(line: string): void {
    if (this.#bytes + line.length > WAITING_BYTES_MAX) {
      this.#dropped++;
      this.#warn('lines of the access log were dropped: they come faster than they can be written');
      return;
    }
    this.#lines.push(line);
    this.#bytes += line.length;
    this.#timer ??= setTimeout(() => void this.#flush(), FLUSH_MS);
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#flush();
    await this.#handle?.close();
  }

  #flush(): Promise<void> {
    return (this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      this.#timer = this.#lines.length === 0 ? undefined : setTimeout(() => void this.#flush(), FLUSH_MS);
    }));
  }

  async #write(): Promise<void> {
    if (this.#lines.length === 0) return;
    const text = Buffer.from(this.#lines.join(''));
    const count = this.#lines.length;
    this.#lines = [];
    try {
      if (this.#options.path === '-') await toStdout(text);
      else await this.#append(text);
    } catch (error) {
      this.#dropped += count;
      await this.#handle?.close().catch(() => {});
      this.#handle = undefined;
      this.#warn(`the access log cannot be written: ${(error as Error).message}`);
    } finally {
      this.#bytes = this.#lines.reduce((sum, line) => sum + line.length, 0);
    }
  }

  async #append(text: Buffer): Promise<void> {
    const { path, bytesMax } = this.#options;
    if (this.#handle === undefined) await this.#open();
    if (this.#size > 0 && this.#size + text.length > bytesMax) {
      await this.#handle!.close();
      this.#handle = undefined;
      for (let i = FILES_KEPT - 1; i >= 1; i--) await rename(`${path}.${i}`, `${path}.${i + 1}`).catch(() => {});
      await rename(path, `${path}.1`);
      await this.#open();
    }
    await this.#handle!.appendFile(text);
    this.#size += text.length;
  }

  async #open(): Promise<void> {
    this.#handle = await open(this.#options.path, 'a', 0o600);
    this.#size = (await this.#handle.stat()).size;
  }

  #warn(message: string): void {
    const now = performance.now();
    if (now - this.#warnedAt < WARN_MS) return;
    this.#warnedAt = now;
    this.#options.onTrouble(message, { dropped: this.#dropped });
  }
}

/** Waits until it is taken, so that a reader that stalls stalls this alone. */
async function toStdout(text: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  process.stdout.write(text, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  await promise;
}
