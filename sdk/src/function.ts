// Types for people who write functions. A function module either exports an object with `fetch` (web style), or a
// `handler` (handler style, as for AWS Lambda behind an API Gateway). Invariant: these shapes are what the Node runtime
// (src/runtimes/node) hands over and accepts; they are types alone, so importing them adds nothing to a bundle.

import type { Connections } from './connections.ts';
import type { Publishing } from './publishing.ts';
import type { Workflows } from './starting.ts';

/** The second argument of every function. */
export interface Context {
  /** `inv_…`: finds the invocation's record and its log lines. */
  readonly invocationId: string;
  /** W3C `traceparent` of this invocation, to pass on to what it calls. */
  readonly traceparent: string;
  readonly project: string;
  readonly function: string;
  readonly version: number;
  /** Path parameters of the route that matched, percent-decoded; empty for events. */
  readonly params: Readonly<Record<string, string>>;
  /** Who calls, where the route asks for it (`auth` in virga.yaml). */
  readonly principal: Principal | undefined;
  /** When the function's `timeout` ends this invocation. */
  readonly deadline: Date;
  /** Aborts when the client leaves and when the deadline passes. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The WebSockets of the project. */
  readonly connections: Connections;
  /** Publishes events to the project. */
  readonly publish: Publishing['publish'];
  /** Queues, topics and streams of the project, by name. */
  readonly queue: Publishing['queue'];
  readonly topic: Publishing['topic'];
  readonly stream: Publishing['stream'];
  /** Starts a run of a workflow of the project, and sends an event to one. */
  readonly startWorkflow: Workflows['startWorkflow'];
  readonly sendToWorkflow: Workflows['sendToWorkflow'];
  /** Milliseconds until the deadline, at least 0. */
  remainingMs(): number;
  /** The instance stays until `promise` has settled, though the answer may be sent before. */
  waitUntil(promise: Promise<unknown>): void;
  /** AWS Lambda's name of `invocationId`. */
  readonly awsRequestId: string;
  /** AWS Lambda's name of `remainingMs`, in whole milliseconds. */
  getRemainingTimeInMillis(): number;
}

/** Who a request was found to come from, at the gateway. */
export interface Principal {
  /** What told so. */
  readonly kind: 'key' | 'jwt' | 'webhook' | 'certificate' | 'authorizer';
  /** Of the key, the `sub` of the token, … */
  readonly id: string;
  /** The usage plan that it is held to. */
  readonly plan?: string;
  readonly scopes: readonly string[];
  /** Whatever else is known: the claims of the token, what an authorizer gave along. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Writes log records of this invocation, also from code that runs outside of it. `fields` are appended as JSON. */
export interface Logger {
  debug(text: string, fields?: Record<string, unknown>): void;
  info(text: string, fields?: Record<string, unknown>): void;
  warn(text: string, fields?: Record<string, unknown>): void;
  error(text: string, fields?: Record<string, unknown>): void;
}

/** Web style, HTTP: a standard Request in, a standard Response out. */
export type FetchHandler = (request: Request, context: Context) => Response | Promise<Response>;

/** Web style, events: the payload in, a JSON value out. */
export type EventHandler<Payload = unknown, Result = unknown> = (payload: Payload, context: Context) => Result | Promise<Result>;

/** What a web-style module exports as its default: `export default { fetch(request, context) { … } } satisfies WebFunction`. */
export interface WebFunction {
  fetch: FetchHandler;
  event?(payload: unknown, context: Context): unknown;
}

/** Handler style: `export const handler: Handler<ApiGatewayEvent, ApiGatewayResult> = async (event, context) => …`. */
export type Handler<Event = unknown, Result = unknown> = (event: Event, context: Context) => Result | Promise<Result>;

/** What a handler gets for an HTTP request: AWS API Gateway's HTTP API event, payload format 2.0. */
export interface ApiGatewayEvent {
  version: '2.0';
  /** e.g. `GET /notes/{id}`. */
  routeKey: string;
  rawPath: string;
  /** Without the question mark. */
  rawQueryString: string;
  /** One `name=value` each; absent without cookies. */
  cookies?: string[];
  /** Lower-case names; several values of one name are joined by a comma. */
  headers: Record<string, string>;
  queryStringParameters?: Record<string, string>;
  pathParameters?: Record<string, string>;
  requestContext: {
    accountId: string;
    apiId: string;
    domainName: string;
    domainPrefix: string;
    http: { method: string; path: string; protocol: string; sourceIp: string; userAgent: string };
    /** The invocation's id. */
    requestId: string;
    routeKey: string;
    stage: string;
    time: string;
    /** Unix ms. */
    timeEpoch: number;
  };
  /** Absent without a body. Base64 when `isBase64Encoded`. */
  body?: string;
  isBase64Encoded: boolean;
}

export interface ApiGatewayResponse {
  statusCode: number;
  headers?: Record<string, string | number | boolean | readonly string[]>;
  /** One `set-cookie` header each. */
  cookies?: readonly string[];
  body?: string;
  /** `body` holds bytes in base64. */
  isBase64Encoded?: boolean;
}

/** A response, or any JSON value without `statusCode`: then it is the body of a 200. */
export type ApiGatewayResult =
  | ApiGatewayResponse
  | string
  | number
  | boolean
  | null
  | readonly unknown[]
  | { readonly [name: string]: unknown };
