// Service workers: what `addEventListener` registers while the code is loaded, and the events that its listeners get.
// Invariant: listeners are called in their order; the first answer counts. Filled by globals.ts, called by worker.ts.
import type { ExecutionContext } from './execution-context.ts';

type Listener = ((event: unknown) => unknown) | { handleEvent(event: unknown): unknown };

export class Listeners {
  readonly #listeners = new Map<string, Set<Listener>>();

  readonly add = (type: string, listener: Listener | null): void => {
    if (listener === null || listener === undefined) return;
    const known = this.#listeners.get(type);
    if (known === undefined) this.#listeners.set(type, new Set([listener]));
    else known.add(listener);
  };

  readonly remove = (type: string, listener: Listener): void => {
    this.#listeners.get(type)?.delete(listener);
  };

  has(type: string): boolean {
    return (this.#listeners.get(type)?.size ?? 0) > 0;
  }

  get types(): string[] {
    return [...this.#listeners.keys()].filter((type) => this.has(type));
  }

  /** `enough`: the rest need not be asked. */
  dispatch(event: { type: string }, enough: () => boolean = () => false): void {
    for (const listener of this.#listeners.get(event.type) ?? []) {
      if (enough()) return;
      if (typeof listener === 'function') listener.call(globalThis, event);
      else listener.handleEvent(event);
    }
  }
}

/** What all events of a worker can do. */
class ExtendableEvent {
  readonly type: string;
  readonly #waitUntil: (promise: Promise<unknown>) => void;

  constructor(type: string, waitUntil: (promise: Promise<unknown>) => void) {
    this.type = type;
    this.#waitUntil = waitUntil;
  }

  waitUntil(promise: Promise<unknown>): void {
    this.#waitUntil(promise);
  }

  passThroughOnException(): void {}
}

export class FetchEvent extends ExtendableEvent {
  readonly request: Request;
  #answer: Promise<unknown> | undefined;

  constructor(request: Request, context: ExecutionContext) {
    super('fetch', (promise) => context.waitUntil(promise));
    this.request = request;
  }

  respondWith(answer: unknown): void {
    if (this.#answer !== undefined) throw new DOMException('respondWith() was called before for this event', 'InvalidStateError');
    this.#answer = Promise.resolve(answer);
    // It is awaited a moment later.
    this.#answer.catch(() => {});
  }

  static answerOf(event: FetchEvent): Promise<unknown> | undefined {
    return event.#answer;
  }
}

/** `scheduled` and `queue`: an event with what the controller or the batch has. Its work is what it gives to waitUntil. */
export class WorkEvent extends ExtendableEvent {
  static of(type: string, source: object, promises: Promise<unknown>[]): WorkEvent {
    const event = new WorkEvent(type, (promise) => void promises.push(promise));
    for (const name of propertiesOf(source)) {
      const value = Reflect.get(source, name) as unknown;
      if (!(name in event)) Reflect.set(event, name, typeof value === 'function' ? value.bind(source) : value);
    }
    return event;
  }
}

function propertiesOf(source: object): string[] {
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(source)).filter((name) => name !== 'constructor');
  return [...Object.keys(source), ...own];
}
