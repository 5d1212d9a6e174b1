// What a Worker's code offers to be called: an object with handlers, a class of which each call gets an instance, or listeners.
// Invariant: either one of fetch, scheduled and queue is there, or a LoadError says what is. Used by workers.ts; called by
// http-call.ts and event-call.ts.
import { LoadError } from '../../failure.ts';
import { describeExports } from '../../load.ts';
import type { Exports } from '../../load.ts';
import type { LogRecords } from '../../log-records.ts';
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from './entrypoints.ts';
import type { WorkerEnvironment } from './environment.ts';
import type { ExecutionContext } from './execution-context.ts';
import { FetchEvent, WorkEvent } from './service-worker.ts';
import type { Listeners } from './service-worker.ts';

export const HANDLERS = ['fetch', 'scheduled', 'queue'] as const;
export type HandlerName = (typeof HANDLERS)[number];
/** Cloudflare calls these; nothing here does. */
const WITHOUT_SOURCE = ['email', 'tail', 'tailStream', 'trace', 'test'];

type Method = (this: unknown, ...args: unknown[]) => unknown;

export interface Worker {
  has(handler: HandlerName): boolean;
  fetch(request: Request, environment: WorkerEnvironment, context: ExecutionContext): unknown;
  /** `source`: the controller or the batch. */
  work(handler: 'scheduled' | 'queue', source: object, environment: WorkerEnvironment, context: ExecutionContext): unknown;
}

export interface FindOptions {
  shown: string;
  name: string | undefined;
  listeners: Listeners;
  log: LogRecords;
}

export function findWorker(namespace: Exports, { shown, name, listeners, log }: FindOptions): Worker {
  const value = exported(namespace, name ?? 'default');
  if (value === undefined && name === undefined && listeners.types.length > 0) return serviceWorker(listeners, log);
  if (value === undefined) {
    const what = name === undefined ? 'default export, and adds no listener for fetch, scheduled or queue' : `export '${name}'`;
    throw new LoadError(
      `${shown} has no ${what}: it exports ${describeExports(namespace)}; a Worker is export default { fetch(request, env, ctx) { … } }`,
    );
  }
  const isClass = typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
  const holder = (isClass ? (value as { prototype: object }).prototype : value) as Exports;
  if (isClass && (holder instanceof DurableObject || holder instanceof WorkflowEntrypoint))
    throw new LoadError(`${shown}: ${value.name} is a ${holder instanceof DurableObject ? 'Durable Object' : 'workflow'}; Virga has none`);
  const has = (handler: HandlerName): boolean => typeof holder[handler] === 'function';
  if (!HANDLERS.some(has))
    throw new LoadError(
      `${shown}: its ${name === undefined ? 'default export' : `export '${name}'`} has none of fetch, scheduled and queue, which a Worker is called by`,
    );
  // `in`: itty-router's router answers any name with a function.
  const idle = WITHOUT_SOURCE.filter((one) => one in holder && typeof holder[one] === 'function');
  if (idle.length > 0) log.write(0, 'warn', `the Worker has ${idle.map((one) => `${one}()`).join(', ')}, which nothing here calls`);
  return isClass ? classWorker(value as EntrypointClass, has) : objectWorker(holder, has);
}

/** For CommonJS also what a compiler made of an ES module. */
function exported(namespace: Exports, name: string): unknown {
  const direct = namespace[name];
  const inner = namespace['default'] as Exports | undefined | null;
  if (name === 'default') {
    const nested = typeof inner === 'object' && inner !== null && inner['__esModule'] === true ? inner['default'] : direct;
    // What CommonJS without exports gives: nothing that could be called.
    const empty = typeof nested === 'object' && nested !== null && 'module.exports' in namespace && Object.keys(nested).length === 0;
    return nested === null || empty ? undefined : nested;
  }
  return direct ?? (typeof inner === 'object' && inner !== null ? inner[name] : undefined);
}

function objectWorker(holder: Exports, has: Worker['has']): Worker {
  return {
    has,
    fetch: (request, { env }, context) => (holder['fetch'] as Method)(request, env, context),
    work: (handler, source, { env }, context) => (holder[handler] as Method)(source, env, context),
  };
}

type EntrypointClass = new (context: ExecutionContext, env: Record<string, string>) => Exports & { name?: string };

function classWorker(value: EntrypointClass, has: Worker['has']): Worker {
  const call = (handler: HandlerName, argument: unknown, { env }: WorkerEnvironment, context: ExecutionContext): unknown => {
    const instance = new value(context, env);
    // A class without WorkerEntrypoint is given the arguments of a module.
    return instance instanceof WorkerEntrypoint
      ? (instance as unknown as Record<string, Method>)[handler]!(argument)
      : (instance[handler] as Method)(argument, env, context);
  };
  return {
    has,
    fetch: (request, environment, context) => call('fetch', request, environment, context),
    work: (handler, source, environment, context) => call(handler, source, environment, context),
  };
}

function serviceWorker(listeners: Listeners, log: LogRecords): Worker {
  const idle = listeners.types.filter((type) => WITHOUT_SOURCE.includes(type));
  if (idle.length > 0) log.write(0, 'warn', `the Worker listens to ${idle.join(', ')}, which nothing here sends`);
  return {
    has: (handler) => listeners.has(handler),
    fetch: (request, _environment, context) => {
      const event = new FetchEvent(request, context);
      listeners.dispatch(event, () => FetchEvent.answerOf(event) !== undefined);
      const answer = FetchEvent.answerOf(event);
      if (answer === undefined)
        throw new Error(
          "no listener for 'fetch' called event.respondWith(); there is no origin behind the Worker that would answer instead",
        );
      return answer;
    },
    work: async (handler, source) => {
      const promises: Promise<unknown>[] = [];
      listeners.dispatch(WorkEvent.of(handler, source, promises));
      await Promise.all(promises);
    },
  };
}
