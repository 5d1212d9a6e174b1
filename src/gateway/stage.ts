// What stands between a route and its function: stages, compiled from the route's policy once per deployment (features.ts),
// run for each request by admit.ts. A route without a policy has none and pays nothing.
// Invariant: a stage never writes to the client; it returns what is to be answered, and the gateway writes it.
import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { Call, CallRequest, CallSink } from '../functions/call.ts';
import type { DeployedVersion } from '../functions/version.ts';
import type { VirgaError } from '../protocol/errors.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { Principal } from '../protocol/principal.ts';
import type { GatewaySection, RoutePolicy } from '../protocol/policies/policy.ts';
import type { Sticky } from '../protocol/policies/traffic.ts';
import type { Route } from '../protocol/settings.ts';
import type { AsyncRules } from '../protocol/sources/async.ts';
import type { WorkflowRules } from '../protocol/sources/workflows.ts';

/** One request on its way through the stages of its route. */
export interface GatewayRequest {
  readonly incoming: IncomingMessage;
  readonly project: string;
  /** As the client sees it: e.g. `inv_…`, and what it or we called the request. */
  readonly id: string;
  readonly requestId: string;
  readonly method: string;
  /** As in the Host header. */
  readonly host: string;
  /** Address of the client, and how it asked: as trusted proxies say, if there are any. */
  readonly client: string;
  readonly scheme: 'http' | 'https';
  /** e.g. `/notes/{id}`, and its parameters, percent-decoded. */
  readonly route: string;
  readonly params: Record<string, string>;
  /** What of the path named the project, e.g. `/@tour`: links to the project's own paths begin with it. Usually empty. */
  readonly prefix: string;
  /** Path and query as the client asked, without `prefix`. */
  readonly asked: string;
  /** Path and query as the function will see them; a stage may change it. */
  target: string;
  /** Flat, names in lower case: what the function will see; a stage may change it. */
  readonly headers: FlatHeaders;
  /** Of the function that is called; a stage may choose another. Absent: the target is local. */
  version: DeployedVersion | undefined;
  /** Set by the stage that found out who calls. */
  principal: Principal | undefined;
  /** The call that was made for it. */
  call: Call | undefined;
  /** Value of a header; several lines of it joined as node:http joins them. */
  header(name: string): string | undefined;
  /** Calls the function with this request as it is now, without its body and without its client: `sink` alone hears the answer. */
  callBehind(sink: CallSink): Call | VirgaError;
}

/** A sink that stands between a call and its client. */
export interface StageSink extends CallSink {
  /** The client left. True: the call is not to be abandoned. Asked of the stage that hears the call first. */
  left?(): boolean;
  /** The call was abandoned: it hears nothing more. */
  dropped?(): void;
  /** The client has taken so many bytes. Who has this sees to call.consumed() itself. */
  passedOn?(bytes: number): void;
}

/** Answered at the gateway, without the function. */
export interface LocalAnswer {
  status: number;
  headers: FlatHeaders;
  body?: Buffer | Readable;
}

/** A refusal with headers of its own, e.g. WWW-Authenticate. */
export interface Refusal {
  error: VirgaError;
  headers?: FlatHeaders;
}

/** undefined: go on. */
export type Verdict = undefined | LocalAnswer | Refusal;

/** A target of routes that is no function: it answers after the head stages, and what it answers passes the answer stages. */
export interface LocalTarget {
  /** Asks for the whole body of the request, at most so many bytes. Without it the body is not read. */
  readonly bodyBytesMax?: number;
  /** Does not throw but by mistake of ours. A body that streams is destroyed by the gateway if the client has left. */
  answer(request: GatewayRequest, body: Buffer): LocalAnswer | Refusal | Promise<LocalAnswer | Refusal>;
}

/** Where the requests of a route go. */
export type CompiledTarget = { version: DeployedVersion; local?: undefined } | { version?: undefined; local: LocalTarget };

/** What one feature does for one route; each part is there only if it is needed. */
export interface Stage {
  /** The head of the request is there, and every stage before this one let it pass. Synchronous where it can be. None of these may throw but by mistake of ours. */
  onHead?(request: GatewayRequest): Verdict | Promise<Verdict>;
  /** Asks for the whole body before the function is called: at most this many bytes, or the request gets 413. */
  readonly bodyBytesMax?: number;
  onBody?(request: GatewayRequest, body: Buffer): Verdict | Promise<Verdict>;
  /** Answers a preflight (OPTIONS with Access-Control-Request-Method) for the route that the method to come has. */
  onPreflight?(request: GatewayRequest, allow: readonly string[]): LocalAnswer;
  /** The head of whatever answer is about to leave, the function's, a local one or an error: `headers` may be changed. */
  onAnswer?(request: GatewayRequest, status: number, headers: FlatHeaders): void;
  /** The call is about to be made; what is returned hears its answer instead of `sink`, and passes it on. */
  around?(request: GatewayRequest, sink: CallSink): StageSink;
  /** This call is about to be made, its body with it if that is small; what is returned hears the answer first, and passes it on. */
  onCall?(request: GatewayRequest, call: CallRequest): CallSink | undefined;
  /** The call could be made now; what is returned takes it over: the body is read whole for it, and the call is not made. */
  instead?(request: GatewayRequest): Deferral | undefined;
  /** A WebSocket handshake that every stage let through: it is for this stage to answer, not for the function. */
  onUpgrade?(request: GatewayRequest, upgrade: Upgrade): void;
  /** The exchange is over, however it ended. Called once for each request whose onHead of this stage was called. */
  onEnd?(request: GatewayRequest): void;
}

/** A call that is not made now. */
export interface Deferral {
  /** Of the request. */
  bodyBytesMax: number;
  tooLarge(): VirgaError;
  /** `call`: as it would have been made. Does not reject but by mistake of ours. */
  take(call: CallRequest, body: Buffer): Promise<LocalAnswer | Refusal>;
}

/** The connection of a handshake that is not answered yet. */
export interface Upgrade {
  socket: Duplex;
  /** What came behind the head. */
  first: Buffer;
  /** Answers it as a request is answered; the connection ends with that. */
  refuse(verdict: NonNullable<Verdict>): void;
}

/** The stages of one route, sorted by what they do. */
export interface Stages {
  /** Those that see the head before the body is there: all up to the first that looks at the body. */
  head: Stage[];
  /** From that one on, in the order of the stages: who looks at the body, and who sees the head only now. */
  body: { stage: Stage; part: 'onHead' | 'onBody' }[];
  /** The largest body that all who read it whole would take; 0: nobody does. */
  bodyBytesMax: number;
  preflight: Stage | undefined;
  answer: Stage[];
  around: Stage[];
  call: Stage[];
  instead: Stage | undefined;
  upgrade: Stage | undefined;
  end: Stage[];
}

/** Of a route that no feature has anything to do for, but whose target looks at the request as stages do. */
export const NO_STAGES: Stages = {
  head: [],
  body: [],
  bodyBytesMax: 0,
  preflight: undefined,
  answer: [],
  around: [],
  call: [],
  instead: undefined,
  upgrade: undefined,
  end: [],
};

/** The versions of a function that get requests. */
export interface RouteVersions {
  /** Whether that was said, or is so because it was deployed last. */
  pinned: boolean;
  live: DeployedVersion;
  canary: { version: DeployedVersion; percent: number; sticky: Sticky } | undefined;
  shadow: { version: DeployedVersion; percent: number; headers: readonly string[] | undefined } | undefined;
}

export interface RouteSource {
  project: string;
  route: Route;
  /** The route's own and the project's, merged. */
  policy: RoutePolicy;
  gateway: GatewaySection;
  /** Of the route's function: the one that gets its requests, or most of them. Absent: the target is local. */
  version: DeployedVersion | undefined;
  versions?: RouteVersions | undefined;
  /** Where the route's function is a workflow. */
  workflow?: WorkflowRules | undefined;
  /** Where the route's function takes asynchronous invocations. */
  async?: AsyncRules | undefined;
  /** All routes of the project. */
  routes: readonly Route[];
}

/** What read-model-load.ts makes of a route. */
export interface RouteCompiler {
  stages(source: RouteSource): Stages | undefined;
  /** undefined: this Virga knows of no such target. */
  local(route: Route, folders: Record<string, string>): LocalTarget | undefined;
  /** Routes that the gateway has for a project beside those that were deployed. */
  own(project: OwnSource): OwnRoute[];
}

export interface OwnRoute {
  route: Route;
  local: LocalTarget;
  /** Instead of what the project says of all its routes. */
  policy?: RoutePolicy | undefined;
}

export interface OwnSource {
  project: string;
  deployment: number;
  routes: readonly Route[];
  gateway: GatewaySection;
  /** Of its functions. */
  async: Readonly<Record<string, AsyncRules>>;
  workflows: Readonly<Record<string, WorkflowRules>>;
}

/** A feature of the gateway: what it holds beyond one deployment (counters, caches) is its own. */
export interface Feature {
  /** undefined: the route does not ask for it. */
  compile(source: RouteSource): Stage | undefined;
  /** Routes have been compiled and will be served: all that there are of the projects `anew`. What is held of others of theirs, and of projects that are not in `all`, can go. */
  compiled?(projects: { all: ReadonlySet<string>; anew: ReadonlySet<string> }): void;
}

export function isRefusal(verdict: LocalAnswer | Refusal): verdict is Refusal {
  return 'error' in verdict;
}
