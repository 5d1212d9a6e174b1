// Follows the records of a stream: asks again and again for what comes after the last one, each question waiting for an answer. Invariant:
// no record twice and none left out, also over a restart of the server; it ends quietly when the signal aborts. Used by stream-calls.ts.
import type { StreamRecordItem, StreamRecords } from '../../src/protocol/streams-api.ts';
import { VirgaApiError } from './api-error.ts';
import type { Transport } from './transport.ts';

const WAIT_MS = 15_000;
/** More than the server waits. */
const ANSWER_MS = 30_000;
const [DELAY_MS, DELAY_MS_MAX] = [100, 2_000];

export interface RecordsQuery {
  path: string;
  query: Record<string, string | number | undefined>;
  signal: AbortSignal | undefined;
  /** It goes on when there is no more, for as long as the signal lets it. A lost connection is tried again for so long, ms. */
  follow: { reconnectMs: number } | undefined;
}

export async function* recordsOf(transport: Transport, options: RecordsQuery): AsyncGenerator<StreamRecordItem, void, undefined> {
  const { path, signal, follow } = options;
  let query = options.query;
  let lostAt: number | undefined;
  let delayMs = DELAY_MS;
  while (signal?.aborted !== true) {
    let answer: StreamRecords;
    try {
      const waited = follow === undefined ? query : { ...query, waitMs: WAIT_MS };
      answer = await transport.json<StreamRecords>({ method: 'GET', path, query: waited, signal, timeoutMs: ANSWER_MS });
    } catch (error) {
      if (signal?.aborted) return;
      // A refusal stands; a restart of the server passes. The first question is not repeated.
      const passes = error instanceof VirgaApiError && (error.code === 'unreachable' || error.code === 'unavailable');
      lostAt ??= performance.now();
      if (follow === undefined || !passes || query === options.query || performance.now() - lostAt > follow.reconnectMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      delayMs = Math.min(DELAY_MS_MAX, delayMs * 2);
      continue;
    }
    [lostAt, delayMs] = [undefined, DELAY_MS];
    query = { ...query, from: undefined, last: undefined, after: answer.next };
    yield* answer.items;
    if (answer.end && follow === undefined) return;
  }
}
