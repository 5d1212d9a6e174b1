// The form `lambda`: code that was written for AWS Lambda's Node runtime, as it is. A thin adapter: it loads the code with Lambda's
// environment around it, gives each invocation as the event that AWS documents (events.ts), calls the handler in whichever of
// Lambda's ways it is written (handler-call.ts, streaming-call.ts), and answers as every function does.
// Invariant: what Lambda's runtime has and this one has not fails at load with its name. Loaded by forms.ts.
import type { InitPayload } from '../../../../protocol/frames.ts';
import { LoadError } from '../../failure.ts';
import { running } from '../../invocation.ts';
import type { Invocation } from '../../invocation.ts';
import { importCode } from '../../load.ts';
import type { Loaded, Target } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { installAwsLambda, streamingOf } from './awslambda.ts';
import type { InvokeStore } from './awslambda.ts';
import { lambdaEnvironment, lambdaIdentity, requestIdOf, traceHeaderOf } from './environment.ts';
import type { LambdaIdentity } from './environment.ts';
import { EventLoop } from './event-loop.ts';
import { fromLambdaResult, toLambdaEvent } from './events.ts';
import { extensionsNotStarted } from './extensions.ts';
import { findHandler } from './find-handler.ts';
import { HandlerCall } from './handler-call.ts';
import type { CallHost, LambdaHandler } from './handler-call.ts';
import { callStreaming } from './streaming-call.ts';
import type { StreamingHandler } from './streaming-call.ts';

const TRACE_ID = '_X_AMZN_TRACE_ID';
const STORED = { requestId: Symbol.for('_AWS_LAMBDA_REQUEST_ID'), traceId: Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID') };

export async function load(init: InitPayload, host: FormHost): Promise<Loaded> {
  const identity = lambdaIdentity(init);
  await prepare(init, identity, host);
  const loop = new EventLoop(host.channel, init);
  loop.listen();
  const awslambda = installAwsLambda(process.env);
  const { namespace, file, name, ready } = await importCode(init).catch((error: unknown) => {
    throw withRemedy(error);
  });
  const handler = findHandler(namespace, file, name ?? 'handler');
  const invoke = serving(handler, { identity, loop, log: host.log }, init.httpEvent);
  const serve = (invocation: Invocation): Promise<void> => {
    const store = awslambda?.InvokeStore;
    return store === undefined ? invoke(invocation) : withStore(store, invocation, invoke);
  };
  return { target: { serve }, ready: { ...ready, exports: ['serve'] } };
}

/** For a blank that waits (rehearsal.ts): what serves a handler, without anything that the code of a function could see. */
export function rehearsed(init: InitPayload, host: Pick<FormHost, 'log' | 'channel'>): Target {
  const call: CallHost = { identity: lambdaIdentity(init), loop: new EventLoop(host.channel, init), log: host.log };
  environmentOf({ ...init, runtime: 'nodejs26' }, call.identity);
  // Nothing has changed since Node did it, so nothing changes.
  readNodePath();
  return { serve: serving(async () => ({ statusCode: 200, body: 'hello' }), call, init.httpEvent) };
}

type Serve = (invocation: Invocation) => Promise<void>;

function serving(handler: (...args: never[]) => unknown, call: CallHost, httpEvent: string | undefined): Serve {
  const { identity } = call;
  const streaming = streamingOf(handler);
  return async (invocation) => {
    const { meta, answer } = invocation;
    const body = invocation.body.whole ?? (await invocation.body.readAll());
    const event = toLambdaEvent(meta, body, { identity, httpEvent });
    if (streaming !== undefined) {
      return callStreaming(call, invocation, { handler: handler as StreamingHandler, event, highWaterMark: streaming.highWaterMark });
    }
    const result = await HandlerCall.run(call, invocation, handler as LambdaHandler, event);
    const response = fromLambdaResult(result, { meta, event, httpEvent });
    const bodiless = (meta.kind === 'http' && meta.method === 'HEAD') || response.status === 204 || response.status === 304;
    return bodiless ? answer.empty(response) : answer.whole({ status: response.status, headers: response.headers }, response.body);
  };
}

/** The process as Lambda's runtime finds it. */
async function prepare(init: InitPayload, identity: LambdaIdentity, { log }: FormHost): Promise<void> {
  const { env } = init;
  const wrapper = env['AWS_LAMBDA_EXEC_WRAPPER'];
  if (wrapper !== undefined && wrapper !== '') {
    throw new LoadError(
      `AWS_LAMBDA_EXEC_WRAPPER is '${wrapper}', a program that would start Lambda's runtime; the form lambda has none to start: remove it from \`env\`, and load what it loads with NODE_OPTIONS=--require or --import`,
    );
  }
  Object.assign(process.env, environmentOf(init, identity));
  showTraceId();
  readNodePath();
  const notStarted = extensionsNotStarted(init.codeFolder);
  if (notStarted !== undefined) log.write(0, 'warn', notStarted);
  const options = env['NODE_OPTIONS'];
  if (options === undefined || options === '') return;
  const { applyNodeOptions } = await import('./node-options.ts');
  await applyNodeOptions(options, { folder: init.codeFolder, warn: (text) => log.write(0, 'warn', text) });
}

function environmentOf(init: InitPayload, identity: LambdaIdentity): Record<string, string> {
  const { execPath } = process;
  return lambdaEnvironment({ ...init, binaries: execPath.slice(0, execPath.lastIndexOf('/')) }, identity);
}

/** Node reads NODE_PATH when it starts; this is what it does then. */
function readNodePath(): void {
  (Reflect.get(process.getBuiltinModule('node:module'), '_initPaths') as (() => void) | undefined)?.();
}

/**
 * Each invocation has a trace of its own, and Lambda tells it in the environment. Set there for each call it would cost 1 µs, and
 * 160 bytes for good (glibc's setenv keeps every value it ever had), and be wrong when several run at once. So it is a property
 * of what the environment object inherits from, made when somebody reads it.
 */
function showTraceId(): void {
  const get = (): string | undefined => {
    const trace = running.getStore()?.meta.trace;
    return trace === undefined || trace === '' ? undefined : traceHeaderOf(trace);
  };
  const inherited = Object.create(Object.getPrototypeOf(process.env) as object, {
    [TRACE_ID]: { get, enumerable: true, configurable: true },
  });
  Object.setPrototypeOf(process.env, inherited as object);
}

function withStore(store: InvokeStore, invocation: Invocation, invoke: Serve): Promise<void> {
  const { id, trace } = invocation.meta;
  return store.run({ [STORED.requestId]: requestIdOf(id), [STORED.traceId]: traceHeaderOf(trace) || undefined }, () => invoke(invocation));
}

/** Lambda's runtime carries AWS's SDK, and code may rely on it. */
function withRemedy(error: unknown): unknown {
  const text = error instanceof Error ? error.message : '';
  const missing = /Cannot find (?:package|module) '((?:@aws-sdk|@smithy)\/[^']+|aws-sdk)/.exec(text)?.[1];
  if (missing === undefined) return error;
  const remedy = `'${missing}' comes with AWS Lambda's runtime but is not in the function's code; add it to its package.json and deploy again`;
  return new LoadError(remedy, { cause: error });
}
