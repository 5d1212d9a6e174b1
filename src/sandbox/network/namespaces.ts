// The relay's network namespaces as its main thread, which never leaves the host's, sees them: it asks a worker to make
// one, or to open sockets in one, and gets descriptors back.
// Invariant: one request at a time, in order, so the thread is where the answer was made. Caller: relay.ts.
import { Worker } from 'node:worker_threads';
import type { ThreadAnswer, ThreadRequest } from './namespace-thread.ts';

export class Namespaces {
  readonly #worker = new Worker(new URL('namespace-thread.ts', import.meta.url), {
    // It makes system calls and nothing else.
    resourceLimits: { maxOldGenerationSizeMb: 32 },
  });
  readonly #waiting: PromiseWithResolvers<ThreadAnswer>[] = [];

  constructor() {
    this.#worker.on('message', (answer: ThreadAnswer) => this.#waiting.shift()?.resolve(answer));
    // Without the thread there is no relay; the launcher starts another.
    this.#worker.on('error', (error: Error) => {
      process.stderr.write(`the relay's thread failed: ${error.message}\n`);
      process.exit(1);
    });
  }

  /** The descriptor of a new one. */
  async make(): Promise<number> {
    const answer = await this.#ask({ op: 'make' });
    if ('fd' in answer) return answer.fd;
    throw new Error('problem' in answer ? answer.problem : 'the thread answered another question');
  }

  /** Descriptors of two bound sockets in it. */
  async listen(fd: number): Promise<{ tcp: number; udp: number; family: 4 | 6 }> {
    const answer = await this.#ask({ op: 'listen', fd });
    if ('tcp' in answer) return answer;
    throw new Error('problem' in answer ? answer.problem : 'the thread answered another question');
  }

  #ask(request: ThreadRequest): Promise<ThreadAnswer> {
    const waiting = Promise.withResolvers<ThreadAnswer>();
    this.#waiting.push(waiting);
    this.#worker.postMessage(request);
    return waiting.promise;
  }
}
