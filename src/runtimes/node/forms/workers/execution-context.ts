// `ctx` of a Worker, and which one belongs to the present line of code, for `import { waitUntil } from 'cloudflare:workers'`.
// Invariant: a promise given to waitUntil keeps the instance, as with every function of Virga. `passThroughOnException` asks
// Cloudflare to send a failed request on to the origin behind it; there is none here, and the error is answered as it is.
// Made for each call by http-call.ts and event-call.ts.
import type { Context } from '../../context.ts';
import { running } from '../../invocation.ts';
import type { Invocation } from '../../invocation.ts';

const contexts = new WeakMap<Invocation, Context>();

export class ExecutionContext {
  readonly #context: Context;
  /** Of a service binding, of which there are none. */
  props: Record<string, unknown> = {};

  constructor(invocation: Invocation, context: Context) {
    this.#context = context;
    contexts.set(invocation, context);
  }

  waitUntil(promise: Promise<unknown>): void {
    this.#context.waitUntil(promise);
  }

  passThroughOnException(): void {}
}

export function waitUntil(promise: Promise<unknown>): void {
  const invocation = running.getStore();
  const context = invocation === undefined ? undefined : contexts.get(invocation);
  if (context === undefined) throw new Error('waitUntil() of cloudflare:workers was called outside of a call; call it within a handler');
  context.waitUntil(promise);
}
