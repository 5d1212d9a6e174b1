// Streams log lines to those who follow. Each asks the database every followPollMs for what came after its last line: a
// range of the primary key, 0.1 ms when there is nothing. LISTEN/NOTIFY was rejected: the edge would notify with every
// batch, for everybody, also when nobody listens. Invariant: bounded followers; a slow one is not read for (its stream
// pulls), and one that left stops asking.
import { firstIdAt } from '../observe/record-time.ts';
import { newestLogId, queryLastLogs, queryLogs } from '../observe/log-queries.ts';
import type { LogFilter } from '../observe/log-queries.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { LogLine } from '../protocol/invocation.ts';
import type { ControlContext } from './context.ts';

const BATCH_LINES = 500;
/** A database that restarts is waited for this long before a follower is sent away. */
const PATIENCE_MS = 10_000;

export class LogFollowers {
  readonly #needs: Pick<ControlContext, 'records' | 'limits' | 'log'>;
  readonly #open = new Set<AbortController>();

  constructor(needs: Pick<ControlContext, 'records' | 'limits' | 'log'>) {
    this.#needs = needs;
  }

  /** Connections that follow now. */
  get size(): number {
    return this.#open.size;
  }

  async follow(filter: LogFilter, options: { last: number | undefined; requestId: string }): Promise<Response> {
    const { records, limits } = this.#needs;
    if (this.#open.size >= limits.followersMax) {
      throw new VirgaError(
        'unavailable',
        `${this.#open.size} connections follow logs already, which is the limit of this node; close one, or list without follow`,
      );
    }
    const stop = new AbortController();
    this.#open.add(stop);
    try {
      const first = options.last === undefined ? [] : await queryLastLogs(records, filter, options.last);
      // The first so many characters are the prefix and the time: they sort before every line of that ms.
      const after = first.length > 0 ? first[0]!.id.slice(0, 'log_'.length + 10) : await this.#beginning(filter);
      const body = this.#stream({ ...filter, after: first.at(-1)?.id ?? after }, first, stop);
      return new Response(body, { headers: { 'content-type': 'application/x-ndjson', 'x-virga-after': after } });
    } catch (error) {
      this.#open.delete(stop);
      throw error;
    }
  }

  /** Ends all streams; their clients take them up elsewhere, or later. */
  close(): void {
    for (const stop of this.#open) stop.abort();
  }

  /** The id after which a stream begins: what `since` or `after` say, else the newest line there is. */
  async #beginning(filter: LogFilter): Promise<string> {
    if (filter.after !== undefined) return filter.after;
    if (filter.sinceMs !== undefined) return firstIdAt('log', filter.sinceMs);
    return (await newestLogId(this.#needs.records)) ?? firstIdAt('log', 0);
  }

  #stream(from: LogFilter, first: LogLine[], stop: AbortController): ReadableStream<Uint8Array> {
    const { records, limits, log } = this.#needs;
    const filter = { ...from };
    let waiting = first;
    let left = false;
    const end = (): void => {
      stop.abort();
      this.#open.delete(stop);
    };
    const cancel = (): void => {
      left = true;
      end();
    };
    // The source pulls only when the client has room; between two polls it sleeps inside pull.
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      const silentAt = performance.now() + limits.followHeartbeatMs;
      let failingSince: number | undefined;
      while (!stop.signal.aborted) {
        try {
          if (waiting.length === 0) waiting = await queryLogs(records, filter, BATCH_LINES);
          failingSince = undefined;
        } catch (error) {
          failingSince ??= performance.now();
          if (performance.now() - failingSince > PATIENCE_MS) {
            log('warn', 'a log stream ends: the database does not answer', { reason: (error as Error).message });
            break;
          }
        }
        if (waiting.length > 0) {
          filter.after = waiting.at(-1)!.id;
          controller.enqueue(Buffer.from(waiting.map((line) => `${JSON.stringify(line)}\n`).join('')));
          waiting = [];
          return;
        }
        if (performance.now() > silentAt) {
          controller.enqueue(Buffer.from('\n'));
          return;
        }
        await sleep(limits.followPollMs, stop.signal);
      }
      end();
      if (!left) controller.close();
    };
    return new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('\n')), pull, cancel }, { highWaterMark: 1 });
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
