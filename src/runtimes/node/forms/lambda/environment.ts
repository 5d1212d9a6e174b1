// Who a function is in AWS Lambda's terms: names, ARNs, request ids, trace headers, and the environment variables that Lambda
// defines (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html). Pure: nothing of the process is read.
// Invariants: a variable that AWS reserves has Lambda's meaning whatever the function sets, but for the region and the
// credentials, which are the function's to choose here; of the others the function's own value wins. A request id is a UUID
// that holds the whole id of the invocation. Used by lambda.ts and by the form `provided`.
import type { InitPayload } from '../../../../protocol/frames.ts';

export const DEFAULT_REGION = 'us-east-1';
export const ACCOUNT = '000000000000';
/** Where functions and their layers find themselves: links in every sandbox (sandbox/system-view.ts). */
const TASK_ROOT = '/var/task';
const RUNTIME_DIR = '/var/runtime';
const LAYERS = '/opt';
/** What the engine gives every function that says nothing else. */
const PLAIN_PATH = '/usr/local/bin:/usr/bin:/bin';

export interface LambdaIdentity {
  region: string;
  account: string;
  project: string;
  functionName: string;
  functionVersion: string;
  /** Without a version, as for a function that is called by its name. */
  functionArn: string;
  memoryLimitInMB: string;
  logGroupName: string;
  logStreamName: string;
  /** As in Lambda's settings, e.g. `src/index.handler`. */
  handler: string;
}

type Init = Pick<InitPayload, 'project' | 'function' | 'version' | 'handler' | 'memoryMiB' | 'env'>;

/** `now` and `random` (32 hex digits) make the name of the log stream. */
export function lambdaIdentity(
  init: Init,
  { now = new Date(), random = randomHex() }: { now?: Date; random?: string } = {},
): LambdaIdentity {
  const region = init.env['AWS_REGION'] ?? init.env['AWS_DEFAULT_REGION'] ?? DEFAULT_REGION;
  const functionVersion = String(init.version);
  return {
    region,
    account: ACCOUNT,
    project: init.project,
    functionName: init.function,
    functionVersion,
    functionArn: `arn:aws:lambda:${region}:${ACCOUNT}:function:${init.function}`,
    memoryLimitInMB: String(init.memoryMiB),
    logGroupName: `/aws/lambda/${init.function}`,
    logStreamName: `${now.getUTCFullYear()}/${two(now.getUTCMonth() + 1)}/${two(now.getUTCDate())}/[${functionVersion}]${random}`,
    handler: lambdaHandler(init.handler),
  };
}

/** `src/index.mjs#handler` is `src/index.handler` to Lambda. */
export function lambdaHandler(handler: string): string {
  const [file = '', name = 'handler'] = handler.split('#', 2);
  return `${file.replace(/\.[cm]?js$|(?:\/__init__)?\.py$/, '')}.${name}`;
}

export interface EnvironmentOptions {
  codeFolder: string;
  concurrency: number;
  /** e.g. `nodejs26`; Lambda's own runtimes name themselves, others do not. */
  runtime?: string;
  /** Folder of the program that runs the code, where it is to be found by name. */
  binaries?: string;
}

/** What is to be added to the function's own environment, which `init.env` is. */
export function lambdaEnvironment(
  init: Init & EnvironmentOptions,
  identity: LambdaIdentity = lambdaIdentity(init),
): Record<string, string> {
  const { env } = init;
  // Where a sandbox has no folders of its own the links are missing.
  const root = init.codeFolder === '/code' ? TASK_ROOT : init.codeFolder;
  const node = init.runtime === undefined ? undefined : /^nodejs(\d+)$/.exec(init.runtime)?.[1];
  const set: Record<string, string> = {
    _HANDLER: identity.handler,
    AWS_REGION: identity.region,
    AWS_DEFAULT_REGION: env['AWS_DEFAULT_REGION'] ?? identity.region,
    AWS_LAMBDA_FUNCTION_NAME: identity.functionName,
    AWS_LAMBDA_FUNCTION_VERSION: identity.functionVersion,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: identity.memoryLimitInMB,
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: identity.logGroupName,
    AWS_LAMBDA_LOG_STREAM_NAME: identity.logStreamName,
    LAMBDA_TASK_ROOT: root,
    LAMBDA_RUNTIME_DIR: RUNTIME_DIR,
  };
  if (node !== undefined) set['AWS_EXECUTION_ENV'] = `AWS_Lambda_nodejs${node}.x`;
  // As on Lambda Managed Instances, where several invocations are in one process too.
  if (init.concurrency > 1) set['AWS_LAMBDA_MAX_CONCURRENCY'] = String(init.concurrency);
  const unless = (name: string, value: string): void => {
    if (env[name] === undefined) set[name] = value;
  };
  if (env['PATH'] === undefined || env['PATH'] === PLAIN_PATH) {
    set['PATH'] = [...(init.binaries === undefined ? [] : [init.binaries]), PLAIN_PATH, `${LAYERS}/bin`].join(':');
  }
  unless('TZ', 'UTC');
  unless('LD_LIBRARY_PATH', `/lib64:/usr/lib64:${RUNTIME_DIR}:${RUNTIME_DIR}/lib:${root}:${root}/lib:${LAYERS}/lib`);
  // So that AWS X-Ray's SDK, which finds no daemon here, logs instead of throwing.
  unless('AWS_XRAY_CONTEXT_MISSING', 'LOG_ERROR');
  if (node !== undefined) {
    unless('NODE_PATH', `${LAYERS}/nodejs/node${node}/node_modules:${LAYERS}/nodejs/node_modules:${RUNTIME_DIR}/node_modules:${root}`);
  }
  return set;
}

/** What Lambda tells of one invocation. */
export interface InvocationFacts {
  awsRequestId: string;
  invokedFunctionArn: string;
  /** Value of X-Amzn-Trace-Id and of the variable _X_AMZN_TRACE_ID. */
  traceHeader: string;
  /** Unix ms. */
  deadlineMs: number;
}

export function contextOf(
  identity: LambdaIdentity,
  invocation: { meta: { id: string; trace: string }; remainingMs: number },
  nowMs: number = Date.now(),
): InvocationFacts {
  return {
    awsRequestId: requestIdOf(invocation.meta.id),
    invokedFunctionArn: identity.functionArn,
    traceHeader: traceHeaderOf(invocation.meta.trace),
    deadlineMs: Math.floor(nowMs + invocation.remainingMs),
  };
}

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const VALUES = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, DIGITS.indexOf(String.fromCharCode(code))));
const ID_DIGITS = 26;
const HEX = Buffer.from('0123456789abcdef');
/** Filled anew for each request id, but for what is the same in all. */
const uuid = Buffer.from('00000000-0000-8000-8000-000000000000');

/**
 * The id of an invocation (`inv_`, then 48 bits of Unix ms and 80 random ones in 26 digits of base32) as a UUID of version 8,
 * which leaves 122 bits to choose: the 6 upper bits of the time are zero until the year 2109 and are left out.
 *
 *   tttttttt-tttr-8rrr-Vrrr-rrrrrrrrrrrr      t: time, r: random (the twelfth digit and V, 8 to b, are half and half)
 */
export function requestIdOf(invocationId: string): string {
  const digits = invocationId.length === ID_DIGITS + 4 ? invocationId : invocationId.slice(4).padStart(ID_DIGITS + 4, '0');
  // Two bits of the second digit are the first that count.
  let bits = VALUES[digits.charCodeAt(5) & 127]! & 3;
  let count = 2;
  let at = 6;
  for (let place = 0; place < 36; place++) {
    if (place === 8 || place === 13 || place === 14 || place === 18 || place === 23) continue;
    const wanted = place === 19 ? 2 : 4;
    while (count < wanted) {
      bits = (bits << 5) | VALUES[digits.charCodeAt(at++) & 127]!;
      count += 5;
    }
    count -= wanted;
    uuid[place] = HEX[place === 19 ? 8 + (bits >> count) : bits >> count]!;
    bits &= (1 << count) - 1;
  }
  return uuid.toString('latin1', 0, 36);
}

/** W3C's traceparent in AWS X-Ray's words: `Root=1-<8 digits>-<24 digits>;Parent=<16 digits>;Sampled=0`. */
export function traceHeaderOf(traceparent: string): string {
  if (traceparent.length < 55) return '';
  const sampled = (traceparent.charCodeAt(54) & 1) === 1 ? '1' : '0';
  return `Root=1-${traceparent.slice(3, 11)}-${traceparent.slice(11, 35)};Parent=${traceparent.slice(36, 52)};Sampled=${sampled}`;
}

function two(n: number): string {
  return n < 10 ? `0${n}` : String(n);
}

/** No secret, so not worth loading node:crypto for, at a cold start. */
function randomHex(): string {
  let text = '';
  for (let i = 0; i < 4; i++) {
    text += Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  }
  return text;
}
