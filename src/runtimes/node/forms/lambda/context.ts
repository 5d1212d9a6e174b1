// The context object of a Lambda function (docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html). Invariant: a plain object
// with everything that AWS documents as its own enumerable properties, since handlers copy it and send it as JSON; methods work
// without `this`. Called by handler-call.ts and streaming-call.ts.
import type { Invocation } from '../../invocation.ts';
import { requestIdOf } from './environment.ts';
import type { LambdaIdentity } from './environment.ts';

export interface LambdaContext {
  callbackWaitsForEmptyEventLoop: boolean;
  functionName: string;
  functionVersion: string;
  invokedFunctionArn: string;
  memoryLimitInMB: string;
  awsRequestId: string;
  logGroupName: string;
  logStreamName: string;
  /** Of Cognito, which calls nothing here. */
  identity: undefined;
  /** What the caller of a direct invocation said of itself. */
  clientContext: unknown;
  getRemainingTimeInMillis: () => number;
}

/** Lambda's first way to answer, which still works there. */
export interface LegacyAnswers {
  done: (error?: unknown, result?: unknown) => void;
  succeed: (result?: unknown) => void;
  fail: (error?: unknown) => void;
}

export function lambdaContext(identity: LambdaIdentity, invocation: Invocation): LambdaContext {
  const { meta } = invocation;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: identity.functionName,
    functionVersion: identity.functionVersion,
    invokedFunctionArn: identity.functionArn,
    memoryLimitInMB: identity.memoryLimitInMB,
    awsRequestId: requestIdOf(meta.id),
    logGroupName: identity.logGroupName,
    logStreamName: identity.logStreamName,
    identity: undefined,
    clientContext: meta.kind === 'event' && meta.clientContext !== undefined ? JSON.parse(meta.clientContext) : undefined,
    getRemainingTimeInMillis: () => Math.floor(invocation.remainingMs),
  };
}
