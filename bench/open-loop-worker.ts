// An open loop in a thread of its own, so that what the benchmark does meanwhile (a burst, an attack) does not delay the
// departures of a victim's calls. This file is the thread's program and, on the other side, the function that starts it.
// Callers: burst.ts, noisy.ts.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openLoop } from './open-loop.ts';
import type { OpenLoop, Shot } from './open-loop.ts';

export function openLoopAside(options: OpenLoop): Promise<Shot[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

if (!isMainThread && workerData !== null) parentPort!.postMessage(await openLoop(workerData as OpenLoop));
