// One invocation as the guest sees it: its request, its body, its answer, its deadline, its abort signal.
// Invariant: the signal and its timer exist only once user code has asked for them. `running` tells which invocation the
// present line of code belongs to.
// Created by serve.ts; read by context.ts, request.ts, console.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { RequestMeta } from '../../protocol/frames.ts';
import type { Streamed } from '../../protocol/stream-table.ts';
import type { Answer } from './answer.ts';
import type { RequestBody } from './request-body.ts';

export const running = new AsyncLocalStorage<Invocation>();

export class Invocation implements Streamed<Invocation> {
  readonly stream: number;
  nextInTable: Invocation | undefined;
  readonly meta: RequestMeta;
  /** performance.now() of the request's arrival. */
  readonly receivedAt: number;
  /** performance.now() of the deadline. */
  readonly deadlineAt: number;
  readonly body: RequestBody;
  readonly answer: Answer;
  /** The Request that was made of it, if it was. */
  request: Request | undefined;
  /** What a form keeps with it. */
  kept: object | undefined;
  /** Of a workflow: the present line of code was run before, and what it logs was logged. */
  isReplay: (() => boolean) | undefined;
  #onAbort: (() => void) | undefined;
  #controller: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reason: DOMException | undefined;

  constructor(options: { stream: number; meta: RequestMeta; receivedAt: number; timeoutMs: number; body: RequestBody; answer: Answer }) {
    this.stream = options.stream;
    this.meta = options.meta;
    this.receivedAt = options.receivedAt;
    this.deadlineAt = options.receivedAt + options.timeoutMs;
    this.body = options.body;
    this.answer = options.answer;
  }

  get remainingMs(): number {
    return Math.max(0, this.deadlineAt - performance.now());
  }

  /** Aborts when the client leaves or the deadline passes; until the invocation has ended. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
      else if (!this.answer.ended) {
        const late = (): void => this.abort(new DOMException('the deadline of the invocation has passed', 'TimeoutError'));
        this.#timer = setTimeout(late, this.remainingMs).unref();
      }
    }
    return this.#controller.signal;
  }

  /** The client left: nothing of the answer is wanted any more. */
  cancel(): void {
    const reason = new DOMException('the client left', 'AbortError');
    this.answer.cancel();
    this.body.fail(reason);
    this.abort(reason);
  }

  /** Called once when the client leaves; one listener at most. */
  onAbort(listener: () => void): void {
    if (this.#reason === undefined) this.#onAbort = listener;
    else listener();
  }

  abort(reason: DOMException): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    clearTimeout(this.#timer);
    this.#onAbort?.();
    this.#controller?.abort(reason);
    if (this.request !== undefined) abortDerived(this.request);
  }

  /** The answer is complete: the signal fires no more, and a body that was not read is let go. */
  end(): void {
    clearTimeout(this.#timer);
    this.request = undefined;
    this.body.fail(undefined);
  }
}

/** Requests made of this one (`new Request(request)`, `fetch(request)`) listen to the signal that undici gave it: request.ts. */
function abortDerived(request: Request): void {
  const standard = Object.getPrototypeOf(Object.getPrototypeOf(request)) as Request;
  Reflect.get<Request, 'signal'>(standard, 'signal', request).dispatchEvent(new Event('abort'));
}
