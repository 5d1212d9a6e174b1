// One call of one function of an Azure app: the library makes the arguments, the hooks run around it, and its retry policy holds,
// as the worker for Node on Azure does it (github.com/Azure/azure-functions-nodejs-worker, InvocationHandler).
// Invariant: a hook that replaces the callback, the inputs, the result or the error is obeyed. Called by http.ts and events.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import type { App, AppFunction } from './app.ts';
import type { CoreInvocationContext, InvocationRequest, InvocationResponse, RetryOptions, TypedData } from './core-types.ts';

export interface Input {
  data: TypedData;
  triggerMetadata: Record<string, TypedData>;
}

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 5 * 60_000;

/** What a call needs of the invocation that it is of. */
export type Caller = Pick<Invocation, 'meta' | 'remainingMs' | 'signal'>;

export async function callFunction(app: App, fn: AppFunction, input: Input, invocation: Caller): Promise<InvocationResponse> {
  const policy = fn.metadata.retryOptions;
  // -1: for ever, which the deadline of the call ends.
  const retriesMax = policy?.maxRetryCount === -1 ? Infinity : (policy?.maxRetryCount ?? 0);
  let exception: { message: string; stackTrace: string } | undefined;
  for (let retryCount = 0; ; retryCount++) {
    const retryContext =
      policy === undefined
        ? undefined
        : { retryCount, maxRetryCount: policy.maxRetryCount ?? 0, ...(exception === undefined ? {} : { exception }) };
    try {
      return await attempt(app, fn, requestOf(fn, input, invocation, retryContext));
    } catch (error) {
      const delayMs = policy === undefined ? 0 : delayMsOf(policy, retryCount);
      if (retryCount >= retriesMax || delayMs >= invocation.remainingMs) throw error;
      exception = { message: error instanceof Error ? error.message : String(error), stackTrace: describe(error) };
      app.log('warning', 'user', `'${fn.name}' failed and is tried again in ${delayMs} ms: ${describe(error)}`);
      await sleep(delayMs, undefined, { signal: invocation.signal });
    }
  }
}

function requestOf(
  fn: AppFunction,
  { data, triggerMetadata }: Input,
  { meta }: Caller,
  retryContext: InvocationRequest['retryContext'],
): InvocationRequest {
  const state = meta.kind === 'http' ? meta.headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'tracestate') : -1;
  return {
    invocationId: meta.id,
    functionId: fn.metadata.functionId ?? fn.name,
    inputData: [{ name: fn.trigger.name, data }],
    triggerMetadata,
    traceContext: {
      traceParent: meta.trace,
      ...(state === -1 || meta.kind !== 'http' ? {} : { traceState: meta.headers[state + 1]! }),
    },
    ...(retryContext === undefined ? {} : { retryContext }),
  };
}

async function attempt(app: App, fn: AppFunction, request: InvocationRequest): Promise<InvocationResponse> {
  const made: { context?: unknown } = {};
  const core: CoreInvocationContext = {
    invocationId: request.invocationId,
    request,
    metadata: fn.metadata,
    state: undefined,
    log: (level, category, message) => app.log(level, category, message, made.context),
  };
  const model = await app.model!.getInvocationModel(core);
  const { context, inputs } = await model.getArguments();
  made.context = context;
  const shared = { hookData: {}, appHookData: app.appHookData, invocationContext: context };
  const before = { ...shared, inputs, functionCallback: fn.callback };
  core.state = 'preInvocationHooks';
  await app.runHooks('preInvocation', before);
  const after: { inputs: unknown[]; result: unknown; error: unknown } = { ...shared, inputs: before.inputs, result: null, error: null };
  core.state = 'invocation';
  try {
    after.result = await model.invokeFunction(context, before.inputs, before.functionCallback);
  } catch (error) {
    after.error = error ?? new Error('the function threw nothing');
  }
  core.state = 'postInvocationHooks';
  await app.runHooks('postInvocation', after);
  core.state = undefined;
  if (after.error !== null && after.error !== undefined) throw after.error;
  return model.getResponse(context, after.result);
}

/** Fixed, or doubled each time between the bounds, with a fifth of chance. */
function delayMsOf({ retryStrategy, delayInterval, minimumInterval, maximumInterval }: RetryOptions, retries: number): number {
  if (retryStrategy !== 'exponentialBackoff') return (delayInterval?.seconds ?? 0) * 1000;
  const least = minimumInterval === undefined ? RETRY_MS_MIN : minimumInterval.seconds * 1000;
  const most = maximumInterval === undefined ? RETRY_MS_MAX : maximumInterval.seconds * 1000;
  return Math.min(most, least + (2 ** retries - 1) * RETRY_MS_MIN * (0.8 + Math.random() * 0.4));
}
