// The invocations of a function on their way to its program and back: those that no poller has taken yet, the pollers that wait
// for one, and those that the program is at work on.
//
//   given ──take()──▶ taken ──answering()──▶ answering ──done()──▶ (gone)
//     └── cancelled before anybody took it ───────────────────────────▲
//
// Invariant: each is with one poller at most, and a poller that left before it had it gives it back. Used by runtime-api.ts;
// given by provided.ts. The engine bounds how many there are: the function's concurrency.
import type { Invocation } from '../../invocation.ts';

export interface Assignment {
  readonly id: string;
  readonly invocation: Invocation;
  /** Headers of the answer to `next`, each with its CRLF. */
  readonly headers: string;
  /** What the answer refers to; undefined for a payload that is passed on as it is. */
  readonly event: unknown;
  readonly body: string | Buffer;
  state: 'given' | 'taken' | 'answering';
  /** Its answer has ended. */
  done(): void;
}

type Poller = (assignment: Assignment) => void;

export class Assignments {
  readonly #concurrency: number;
  readonly #open = new Map<string, Assignment>();
  #pollers: Poller[] = [];
  /** The last one that was answered: a second answer to it is another mistake than an unknown id. */
  #answered = { id: '', stream: 0 };
  /** The program has asked for another since. */
  #asked = false;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  get open(): Assignment[] {
    return [...this.#open.values()];
  }

  /** The stream that the program's output belongs to, when it has one at a time: as on AWS Lambda, until it asks for the next. 0: none. */
  get speaking(): number {
    if (this.#concurrency > 1) return 0;
    return this.#open.values().next().value?.invocation.stream ?? (this.#asked ? 0 : this.#answered.stream);
  }

  get(id: string): Assignment | undefined {
    return this.#open.get(id);
  }

  wasAnswered(id: string): boolean {
    return id === this.#answered.id;
  }

  /** Resolves when its answer has ended. */
  give(options: Pick<Assignment, 'id' | 'invocation' | 'headers' | 'event' | 'body'>): Promise<void> {
    const { answer } = options.invocation;
    if (answer.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        if (this.#open.delete(options.id)) {
          this.#answered = { id: options.id, stream: options.invocation.stream };
          this.#asked = false;
        }
        resolve();
      };
      const assignment: Assignment = { ...options, state: 'given', done };
      this.#open.set(assignment.id, assignment);
      // What the program has begun it ends, as on AWS Lambda; what it has not is taken back.
      answer.onCancel = () => {
        if (assignment.state === 'given') done();
      };
      this.#offer(assignment);
    });
  }

  /**
   * Calls `poller` with the next one, perhaps at once. One call at a time: a program that asks again before it has answered gets
   * the same once more, as on AWS Lambda (it may have lost its connection). Returns what ends the wait.
   */
  take(poller: Poller): () => void {
    this.#asked = true;
    const next = this.open.find(({ state }) => state === 'given' || (state === 'taken' && this.#concurrency === 1));
    if (next === undefined) this.#pollers.push(poller);
    else {
      next.state = 'taken';
      poller(next);
    }
    return () => (this.#pollers = this.#pollers.filter((one) => one !== poller));
  }

  /** The poller that had it is gone, and never saw it whole. */
  giveBack(assignment: Assignment): void {
    if (assignment.state !== 'taken' || !this.#open.has(assignment.id)) return;
    assignment.state = 'given';
    this.#offer(assignment);
  }

  #offer(assignment: Assignment): void {
    const poller = this.#pollers.shift();
    if (poller === undefined) return;
    assignment.state = 'taken';
    poller(assignment);
  }
}
