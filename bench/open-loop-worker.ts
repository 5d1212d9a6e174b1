// An open loop in a thread of its own, so that what the benchmark does meanwhile (a burst, an attack) does not delay the
// departures of a victim's calls. This file is the thread's program and, on the other side, the function that starts it.
// Callers: burst.ts, noisy.ts.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openLoop } from './open-loop.ts';
import type { OpenLoop, Shot } from './open-loop.ts';

export interface LoopAside {
  shots: Promise<Shot[]>;
  /** No call leaves after this; those under way still count. */
  stop(): void;
}

export function openLoopAside(options: OpenLoop): LoopAside {
  const worker = new Worker(new URL(import.meta.url), { workerData: options });
  const shots = new Promise<Shot[]>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return { shots, stop: () => worker.postMessage('stop') };
}

if (!isMainThread && workerData !== null) {
  const stopped = new AbortController();
  parentPort!.once('message', () => stopped.abort());
  parentPort!.postMessage(await openLoop({ ...(workerData as OpenLoop), signal: stopped.signal }));
  parentPort!.close();
}
