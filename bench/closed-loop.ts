// Callers that each send the next call when they have the answer to the last: for capacity, and for attackers that keep up
// their attack. Failures are counted, never retried at once. Callers: overload.ts, noisy.ts, burst.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from './http-client.ts';

/** A refused or failed caller waits so long before it tries again. */
const AFTER_FAILURE_MS = 20;

export interface ClosedLoop {
  answered: number;
  failed: number;
  perSecond: number;
}

export async function closedLoop(options: {
  port: number;
  path: string;
  width: number;
  seconds: number;
  timeoutMs?: number;
}): Promise<ClosedLoop> {
  const { port, path, width, seconds, timeoutMs = 30_000 } = options;
  const client = new HttpClient(port);
  const beginMs = performance.now();
  const untilMs = beginMs + seconds * 1_000;
  let [answered, failed] = [0, 0];
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (performance.now() < untilMs) {
        const { status } = await client.get(path, timeoutMs);
        if (status === 200) answered++;
        else {
          failed++;
          await sleep(AFTER_FAILURE_MS);
        }
      }
    }),
  );
  client.close();
  return { answered, failed, perSecond: (answered * 1_000) / (performance.now() - beginMs) };
}
