// One call of a Lambda handler that does not stream, in whichever way it answers:
//
//   a promise            answered when it settles; when the event loop is empty before that, it never will: an error
//   callback(error)      answered at once, as context.done, succeed and fail are
//   callback(null, r)    answered when the event loop is empty; at once if context.callbackWaitsForEmptyEventLoop is false
//   nothing of these     null, when the event loop is empty
//
// Invariant: the first answer counts, all later ones are ignored. Called by lambda.ts.
import { inspect } from 'node:util';
import type { Invocation } from '../../invocation.ts';
import type { LogRecords } from '../../log-records.ts';
import { lambdaContext } from './context.ts';
import type { LambdaContext, LegacyAnswers } from './context.ts';
import type { LambdaIdentity } from './environment.ts';
import type { EventLoop, Watcher } from './event-loop.ts';

export type LambdaHandler = (event: unknown, context: LambdaContext & LegacyAnswers, callback: LegacyAnswers['done']) => unknown;

export interface CallHost {
  identity: LambdaIdentity;
  loop: EventLoop;
  log: LogRecords;
}

/** So long before its deadline an invocation that waits for the event loop says what it waits for, ms. */
const WARNING_MS = 250;

export class HandlerCall implements Watcher {
  watchedAt = 0;
  readonly #host: CallHost;
  readonly #invocation: Invocation;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #state: 'open' | 'promised' | 'waits' | 'over' = 'open';
  #result: unknown = null;
  #warning: NodeJS.Timeout | undefined;

  static run(host: CallHost, invocation: Invocation, handler: LambdaHandler, event: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      new HandlerCall(host, invocation, { resolve, reject }).#begin(handler, event);
    });
  }

  private constructor(
    host: CallHost,
    invocation: Invocation,
    { resolve, reject }: { resolve: (result: unknown) => void; reject: (error: unknown) => void },
  ) {
    this.#host = host;
    this.#invocation = invocation;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onLoopEmpty(): void {
    if (this.#state === 'promised') {
      this.#fail(
        Object.assign(
          new Error('the handler returned a promise that can never settle: nothing is left in the event loop that could do so'),
          {
            name: 'Runtime.NodeJsExit',
            stack: '',
          },
        ),
      );
    } else this.#succeed(this.#result);
  }

  #begin(handler: LambdaHandler, event: unknown): void {
    const done: LegacyAnswers['done'] = (error, result) => {
      if (this.#state === 'over' || this.#state === 'waits') return;
      if (error === undefined || error === null) this.#succeed(result);
      else this.#fail(asError(error));
    };
    const context = lambdaContext(this.#host.identity, this.#invocation) as LambdaContext & LegacyAnswers;
    context.done = done;
    context.succeed = (result) => done(null, result);
    context.fail = (error) => done(error ?? 'handled');
    const callback: LegacyAnswers['done'] = (error, result) => {
      if (this.#state === 'over' || this.#state === 'waits') return;
      if ((error !== undefined && error !== null) || !context.callbackWaitsForEmptyEventLoop) return done(error, result);
      this.#result = result;
      this.#wait();
    };
    let returned: unknown;
    try {
      returned = handler(event, context, callback);
    } catch (error) {
      return this.#fail(error);
    }
    if (isThenable(returned)) {
      returned.then(
        (result) => this.#promised(() => this.#succeed(result)),
        (error: unknown) => this.#promised(() => this.#fail(error)),
      );
      if (this.#state !== 'open') return;
      this.#state = 'promised';
      if (this.#host.loop.decides) this.#host.loop.watch(this);
    } else if (this.#state === 'open') {
      if (returned !== undefined) {
        this.#log(
          'the handler returned a value that is no promise, which Lambda ignores: declare it `async`, or give the value to the callback',
        );
      }
      // A callback may come later; without one the answer is null.
      if (this.#host.loop.decides) this.#host.loop.watch(this);
    }
  }

  #promised(answer: () => void): void {
    if (this.#state === 'open' || this.#state === 'promised') answer();
  }

  #wait(): void {
    this.#state = 'waits';
    if (this.watchedAt === 0) this.#host.loop.watch(this);
    this.#warning = setTimeout(() => this.#warn(), Math.max(0, this.#invocation.remainingMs - WARNING_MS)).unref();
  }

  #warn(): void {
    const open = process.getActiveResourcesInfo().join(', ');
    this.#log(
      `the answer was given to the callback, but it waits for the event loop to be empty, in which there is still: ${open}; set context.callbackWaitsForEmptyEventLoop = false to answer at once`,
    );
  }

  #log(text: string): void {
    this.#host.log.write(this.#invocation.stream, 'warn', text);
  }

  #succeed(result: unknown): void {
    this.#end();
    this.#resolve(result);
  }

  #fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#state = 'over';
    clearTimeout(this.#warning);
    this.#host.loop.leave(this);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(typeof error === 'string' ? error : inspect(error));
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}
