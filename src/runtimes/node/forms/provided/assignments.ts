// The invocations of a function on their way to its program and back: those that no poller has taken yet, the pollers that wait
// for one, and those that the program is at work on.
//
//   given ──take()──▶ taken ──answering()──▶ answering ──done()──▶ (gone)
//     └── cancelled before anybody took it ───────────────────────────▲
//
// Invariant: each is with one poller at most, and a poller that left before it had it gives it back. Used by runtime-api.ts;
// given by provided.ts. The engine bounds how many there are: the function's concurrency.
import type { Invocation } from '../../invocation.ts';
import type { Exchange } from './http-exchange.ts';

/** An invocation as the program is told of it. */
export interface Given {
  readonly id: string;
  readonly invocation: Invocation;
  /** Headers of the answer to `next`, each with its CRLF. */
  readonly headers: string;
  /** What the answer refers to; undefined for a payload that is passed on as it is. */
  readonly event: unknown;
  readonly body: string | Buffer;
}

export interface Assignment extends Given {
  state: 'given' | 'taken' | 'answering';
  /** Who has it. */
  poller: Exchange | undefined;
  /** Its answer has ended. */
  readonly ended: () => void;
}

export class Assignments {
  readonly #concurrency: number;
  /** The oldest first. No Map: see protocol/stream-table.ts. */
  readonly #open: Assignment[] = [];
  readonly #pollers: Exchange[] = [];
  /** The last one that was answered: a second answer to it is another mistake than an unknown id. */
  #answered = { id: '', stream: 0 };
  /** The program has asked for another since. */
  #asked = false;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  get open(): readonly Assignment[] {
    return this.#open;
  }

  /** The stream that the program's output belongs to, when it has one at a time: as on AWS Lambda, until it asks for the next. 0: none. */
  get speaking(): number {
    if (this.#concurrency > 1) return 0;
    return this.#open[0]?.invocation.stream ?? (this.#asked ? 0 : this.#answered.stream);
  }

  get(id: string): Assignment | undefined {
    for (const assignment of this.#open) if (assignment.id === id) return assignment;
    return undefined;
  }

  wasAnswered(id: string): boolean {
    return id === this.#answered.id;
  }

  /** Resolves when its answer has ended. */
  give(given: Given): Promise<void> {
    const { answer } = given.invocation;
    if (answer.closed) return Promise.resolve();
    return new Promise((ended) => {
      const assignment: Assignment = { ...given, state: 'given', poller: undefined, ended };
      this.#open.push(assignment);
      answer.onCancel = this.#onCancel;
      this.#offer(assignment);
    });
  }

  done(assignment: Assignment): void {
    const at = this.#open.indexOf(assignment);
    if (at !== -1) {
      this.#open.splice(at, 1);
      this.#answered = { id: assignment.id, stream: assignment.invocation.stream };
      this.#asked = false;
    }
    assignment.ended();
  }

  /**
   * Answers `poller` with the next one, perhaps at once. One call at a time: a program that asks again before it has answered gets
   * the same once more, as on AWS Lambda (it may have lost its connection).
   */
  take(poller: Exchange): void {
    this.#asked = true;
    poller.onGone = this.#onGone;
    const next = this.#open.find(({ state }) => state === 'given' || (state === 'taken' && this.#concurrency === 1));
    if (next === undefined) this.#pollers.push(poller);
    else this.#hand(next, poller);
  }

  #offer(assignment: Assignment): void {
    const poller = this.#pollers.shift();
    if (poller !== undefined) this.#hand(assignment, poller);
  }

  #hand(assignment: Assignment, poller: Exchange): void {
    assignment.state = 'taken';
    assignment.poller = poller;
    poller.answer(200, assignment.headers, assignment.body);
  }

  // One function for all and not one for each: on Node 26 a function that is kept in a field of what lives as long as a call kept
  // all calls since the last full collection alive, which were 5 KB and 6 µs of collecting each.

  /** What the program has begun it ends, as on AWS Lambda; what it has not is taken back. */
  readonly #onCancel = (): void => {
    for (const assignment of this.#open.filter(({ state, invocation }) => state === 'given' && invocation.answer.closed))
      this.done(assignment);
  };

  /** The poller waits no more, or never saw whole what it was given. */
  readonly #onGone = (poller: Exchange): void => {
    const at = this.#pollers.indexOf(poller);
    if (at !== -1) this.#pollers.splice(at, 1);
    const assignment = this.#open.find((one) => one.poller === poller && one.state === 'taken');
    if (assignment === undefined) return;
    assignment.state = 'given';
    assignment.poller = undefined;
    this.#offer(assignment);
  };
}
