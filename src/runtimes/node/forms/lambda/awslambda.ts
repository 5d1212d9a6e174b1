// The global `awslambda` of Lambda's Node runtime: how a handler says that it streams its answer. It is a plain object to which
// others add (@aws/lambda-invoke-store puts its InvokeStore there), so a member that Lambda does not have is undefined here too.
// Invariant: as at AWS, the mark of a streaming handler is a property of the function itself, which bundles and wrappers carry.
// Installed by lambda.ts before the function's code is loaded.
import { show } from '../../api-gateway.ts';
import { ResponseStream } from './response-stream.ts';

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

type AnyFunction = (...args: never[]) => unknown;

/** What @aws/lambda-invoke-store puts there, to know whose invocation the running code belongs to. */
export interface InvokeStore {
  run<T>(facts: Record<symbol, unknown>, call: () => T): T;
}

interface AwsLambda {
  streamifyResponse: typeof streamifyResponse;
  HttpResponseStream: typeof ResponseStream;
  InvokeStore?: InvokeStore;
}

/** undefined: the function's settings keep it away (AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA). */
export function installAwsLambda(env: NodeJS.ProcessEnv): AwsLambda | undefined {
  const without = env['AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA'];
  if (without === '1' || without === 'true') return undefined;
  const awslambda: AwsLambda = { streamifyResponse, HttpResponseStream: ResponseStream };
  Reflect.set(globalThis, 'awslambda', awslambda);
  return awslambda;
}

/** undefined: it does not stream. */
export function streamingOf(handler: AnyFunction): { highWaterMark: number | undefined } | undefined {
  const marks = handler as unknown as Record<symbol, unknown>;
  const mark = marks[STREAMING];
  if (mark === undefined || mark === null || mark === false) return undefined;
  if (mark !== 'response') throw new TypeError(`the handler is marked to stream its ${show(mark)}; Lambda streams responses alone`);
  const highWaterMark = Number.parseInt(String(marks[HIGH_WATER_MARK]), 10);
  return { highWaterMark: Number.isNaN(highWaterMark) ? undefined : highWaterMark };
}

function streamifyResponse<F extends AnyFunction>(handler: F, options?: { highWaterMark?: number }): F {
  if (typeof handler !== 'function')
    throw new TypeError(`awslambda.streamifyResponse() takes a handler (event, responseStream, context); it was given ${show(handler)}`);
  Reflect.set(handler, STREAMING, 'response');
  if (typeof options?.highWaterMark === 'number') Reflect.set(handler, HIGH_WATER_MARK, Math.trunc(options.highWaterMark));
  return handler;
}
