// Follows the log of a project: reads the NDJSON stream line by line and takes a lost connection up again after the
// last line seen. Invariant: no line twice and none left out; what is not read yet is bounded by one chunk and one line.
// The server sends an empty line at least every 10 s, so that a silent connection is known to be dead. Used by control.ts.
import type { LogLine } from '../../src/protocol/invocation.ts';
import { reasonOf } from './transport.ts';
import type { Transport } from './transport.ts';
import { VirgaApiError } from './api-error.ts';

const SILENCE_MS_MAX = 35_000;
const LINE_CHARACTERS_MAX = 1024 * 1024;

export interface FollowQuery {
  query: Record<string, string | number | undefined>;
  signal: AbortSignal | undefined;
  reconnectMs: number;
}

export async function* followLines(transport: Transport, path: string, options: FollowQuery): AsyncGenerator<LogLine, void, undefined> {
  const { signal, reconnectMs } = options;
  let query = options.query;
  let giveUpAt = 0; // 0: connected before, or never tried; the first connection is not retried
  let delayMs = 100;
  for (;;) {
    const connection = new AbortController();
    const abort = (): void => connection.abort(signal?.reason);
    if (signal?.aborted) return;
    signal?.addEventListener('abort', abort, { once: true });
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => connection.abort(new Error(`nothing came for ${SILENCE_MS_MAX} ms`)), SILENCE_MS_MAX);
    };
    let lost: unknown = new Error('the server ended the stream');
    try {
      heard();
      const response = await transport.send({
        method: 'GET',
        path,
        query: { ...query, follow: true },
        signal: connection.signal,
        timeoutMs: null,
      });
      giveUpAt = 0;
      delayMs = 100;
      // Where the stream begins: it makes a reconnection before the first line exact too.
      query = afterLine(query, response.headers.get('x-virga-after') ?? undefined);
      for await (const line of linesOf(response, heard)) {
        query = afterLine(query, line.id);
        yield line;
      }
    } catch (error) {
      if (signal?.aborted) return;
      // A refusal stands; a restart of the server, or of what lies between, passes.
      if (error instanceof VirgaApiError && error.code !== 'unreachable' && error.code !== 'unavailable') throw error;
      if (giveUpAt === 0 && query === options.query && error instanceof VirgaApiError) throw error;
      lost = error;
    } finally {
      clearTimeout(silence);
      signal?.removeEventListener('abort', abort);
      connection.abort();
    }
    if (giveUpAt === 0) giveUpAt = Date.now() + reconnectMs;
    if (Date.now() + delayMs > giveUpAt) throw lost instanceof VirgaApiError ? lost : transport.unreachable(lost, reasonOf(lost));
    if (!(await waited(delayMs, signal))) return;
    delayMs = Math.min(delayMs * 2, 2_000);
  }
}

function afterLine(query: FollowQuery['query'], after: string | undefined): FollowQuery['query'] {
  return after === undefined ? { ...query } : { function: query['function'], invocation: query['invocation'], after };
}

async function* linesOf(response: Response, heard: () => void): AsyncGenerator<LogLine, void, undefined> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body) {
    heard();
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > LINE_CHARACTERS_MAX * 2) throw new RangeError('a log line without end');
    let from = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', from)) {
      const line = rest.slice(from, end);
      from = end + 1;
      if (line !== '') yield JSON.parse(line) as LogLine;
    }
    rest = rest.slice(from);
  }
}

/** False: the signal came first. */
function waited(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const abort = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve(true);
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
