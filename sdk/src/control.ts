// The client of Virga's control API: every operation of /v1 as a method. No dependencies but fetch. Used by the CLI,
// the console, the tests and whoever scripts Virga. Invariant: every failure but the caller's own abort is a VirgaApiError.
//
//   const virga = new VirgaControl({ url: 'http://127.0.0.1:8081', token });
//   for await (const project of virga.projects()) console.log(project.name, project.url);
import type {
  ArtifactAnswer,
  CertificatesAnswer,
  ConnectionItem,
  DeployAnswer,
  DeploymentItem,
  DomainItem,
  FunctionItem,
  InvocationDetail,
  InvokeAnswer,
  KeyAnswer,
  KeyItem,
  NewKey,
  NodeStatus,
  ProjectDetail,
  ProjectItem,
  RevokedKey,
  SecretAnswer,
  SecretItem,
  SendRequest,
  UsageItem,
  VersionItem,
} from '../../src/protocol/control-api.ts';
import type { CachePurged, CacheStats } from '../../src/protocol/cache-stats.ts';
import type { InvocationRecord, LogLine, Outcome } from '../../src/protocol/invocation.ts';
import type { DeployFunction, DeployRequest } from '../../src/protocol/settings.ts';
import { AsyncCalls } from './async-calls.ts';
import { base64Of } from './base64.ts';
import { Calls, pathOf } from './calls.ts';
import type { CallOptions, Listing } from './calls.ts';
import { followLines } from './follow.ts';
import { QueuesControl } from './queues.ts';
import { RecordingCalls } from './replay-calls.ts';
import { StreamCalls } from './stream-calls.ts';
import { ScheduleCalls } from './schedules.ts';
import { Transport } from './transport.ts';
import type { TransportOptions } from './transport.ts';
import { progressStream } from './upload.ts';
import type { UploadOptions } from './upload.ts';
import { WorkflowRuns } from './workflow-runs.ts';

export type {
  ArtifactAnswer,
  CertificateItem,
  CertificatesAnswer,
  Change,
  ConnectionItem,
  DeployAnswer,
  DeploymentItem,
  DomainItem,
  FunctionItem,
  InvocationDetail,
  InvokeAnswer,
  InvokeResult,
  KeyAnswer,
  KeyItem,
  NewKey,
  NodeStatus,
  Page,
  ProjectDetail,
  ProjectItem,
  PublishAnswer,
  RevokedKey,
  SecretAnswer,
  SecretItem,
  SendAnswer,
  SendRequest,
  UsageItem,
  VersionItem,
} from '../../src/protocol/control-api.ts';
export type * from '../../src/protocol/events-api.ts';
export type * from '../../src/protocol/streams-api.ts';
export type { RecordsFilter, RecordToAppend } from './stream-calls.ts';
export type { Explanation } from '../../src/protocol/explanation.ts';
export type { InvocationRecord, LogLine, Outcome, Receipt } from '../../src/protocol/invocation.ts';
export type { DeployFunction, DeployRequest, Route, RuntimeName, VersionSettings } from '../../src/protocol/settings.ts';
export type { HttpMethod } from '../../src/protocol/http-methods.ts';
export type { CachePurged, CacheStats };
export type { EdgeStats, FunctionStats } from '../../src/protocol/stats.ts';
export { VirgaApiError } from './api-error.ts';
export type { ApiErrorCode, RequestProblem } from './api-error.ts';
export type { InvokeAsyncOptions } from './async-calls.ts';
export type { CallOptions, Listing, PageOptions } from './calls.ts';
export type * from '../../src/protocol/async-api.ts';
export type { MessageToPublish, MessageToSend } from './queues.ts';
export type { RecordingFilter } from './replay-calls.ts';
export type * from '../../src/protocol/replay-api.ts';
export type { UploadOptions, UploadProgress } from './upload.ts';
export type VirgaControlOptions = TransportOptions;

export interface InvocationFilter {
  /** An ISO 8601 time, or how long ago: `90s`, `10m`, `2h`, `7d`. */
  since?: string | undefined;
  /** `ok`, `failed` (everything else) or a code of the error table. */
  outcome?: Outcome | 'failed' | undefined;
}

export interface UsageFilter {
  /** Id of an API key, or a whole subject such as `ip:203.0.113.7`. */
  key?: string | undefined;
  plan?: string | undefined;
}

export interface LogFilter {
  function?: string | undefined;
  invocation?: string | undefined;
  since?: string | undefined;
  /** Only lines after the one with this id. */
  after?: string | undefined;
  /** Begin with the newest so many lines (1 to 1,000) that the other filters leave. */
  last?: number | undefined;
}

export interface FollowOptions extends LogFilter, CallOptions {
  /** How long a lost connection is tried again before the iteration fails, ms. Default 30,000; 0: at once. */
  reconnectMs?: number | undefined;
}

export interface InvokePayload {
  body?: Uint8Array | string | undefined;
  /** Default `application/json`. */
  contentType?: string | undefined;
}

export interface InvokeOptions extends CallOptions {
  /** Default: the current one. */
  version?: number | undefined;
  /** Becomes the `x-request-id` of the call. */
  requestId?: string | undefined;
  /** What functions of AWS Lambda find as the client context. */
  clientContext?: Record<string, unknown> | undefined;
}

export class VirgaControl extends QueuesControl {
  readonly async: AsyncCalls;
  /** What was recorded, and running it again. */
  readonly recordings: RecordingCalls;
  readonly streams: StreamCalls;
  readonly #transport: Transport;
  readonly schedules: ScheduleCalls;

  constructor(options: VirgaControlOptions) {
    const transport = new Transport(options);
    super(new Calls(transport));
    this.#transport = transport;
    this.async = new AsyncCalls(this.calls);
    this.recordings = new RecordingCalls(this.calls);
    this.streams = new StreamCalls(this.calls);
    this.schedules = new ScheduleCalls(transport);
  }

  /** Where this client sends its requests, e.g. `http://127.0.0.1:8081`. */
  get url(): string {
    return this.#transport.url;
  }

  /** Answers without a token: whether the control API serves. */
  health(options: CallOptions = {}): Promise<{ status: 'ok' }> {
    return this.#get('/v1/health', options);
  }

  status(options: CallOptions = {}): Promise<NodeStatus> {
    return this.#get('/v1/status', options);
  }

  /** What HTTPS is served with, from files and by ACME. */
  certificates(options: CallOptions = {}): Promise<CertificatesAnswer> {
    return this.#get('/v1/certificates', options);
  }

  /** The OpenAPI 3.1 description of this very API. */
  openapi(options: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#get('/v1/openapi.json', options);
  }

  projects(options: CallOptions = {}): Listing<ProjectItem> {
    return this.#list('/v1/projects', {}, options);
  }

  project(project: string, options: CallOptions = {}): Promise<ProjectDetail> {
    return this.#get(pathOf(project), options);
  }

  /** Removes the project with its functions, versions and deployments. Records of its invocations stay for their time. */
  async removeProject(project: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.send({ method: 'DELETE', path: pathOf(project), signal: options.signal });
  }

  /** Which of these artifacts the server lacks. Any number: asked in batches of 1,000. */
  async missingArtifacts(sha256: readonly string[], options: CallOptions = {}): Promise<string[]> {
    const missing: string[] = [];
    for (let at = 0; at < sha256.length; at += 1_000) {
      const json = { sha256: sha256.slice(at, at + 1_000) };
      const answer = await this.#transport.json<{ missing: string[] }>({
        method: 'POST',
        path: '/v1/artifacts/missing',
        json,
        signal: options.signal,
      });
      missing.push(...answer.missing);
    }
    return missing;
  }

  /** Uploads one artifact (a gzip'd tar) under its sha256. Uploading what is there already succeeds. */
  async uploadArtifact(sha256: string, source: Uint8Array | AsyncIterable<Uint8Array>, options: UploadOptions): Promise<ArtifactAnswer> {
    return await this.#transport.json({
      method: 'PUT',
      path: `/v1/artifacts/${encodeURIComponent(sha256)}`,
      body: { bytes: progressStream(source, options), contentType: 'application/octet-stream', length: options.bytes },
      signal: options.signal,
      timeoutMs: null,
    });
  }

  /** Makes this the whole state of the project (which is created if need be), or changes nothing. Idempotent. */
  deploy(project: string, request: DeployRequest, options: CallOptions & { dryRun?: boolean } = {}): Promise<DeployAnswer> {
    const query = { dryRun: options.dryRun === true ? true : undefined };
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'deployments'), query, json: request, signal: options.signal });
  }

  /** Newest first. */
  deployments(project: string, options: CallOptions = {}): Listing<DeploymentItem> {
    return this.#list(pathOf(project, 'deployments'), {}, options);
  }

  /** Returns to an earlier deployment; without `to`, to the state before the current one. */
  rollback(project: string, options: CallOptions & { to?: number | undefined } = {}): Promise<DeployAnswer> {
    const json = options.to === undefined ? {} : { to: options.to };
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'rollback'), json, signal: options.signal });
  }

  /** What the gateway keeps of the project's answers. */
  cacheStats(project: string, options: CallOptions = {}): Promise<CacheStats> {
    return this.#get(pathOf(project, 'cache'), options);
  }

  /** Drops kept answers: with a tag, of a path and all below it, or all. */
  purgeCache(project: string, what: { tag?: string; path?: string } = {}, options: CallOptions = {}): Promise<CachePurged> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'cache', 'purge'), json: what, signal: options.signal });
  }

  /** Functions of the current deployment, by name. */
  functions(project: string, options: CallOptions = {}): Listing<FunctionItem> {
    return this.#list(pathOf(project, 'functions'), {}, options);
  }

  async domains(project: string, options: CallOptions = {}): Promise<DomainItem[]> {
    return (await this.#get<{ items: DomainItem[] }>(pathOf(project, 'domains'), options)).items;
  }

  /** Looks for the proof of a domain. Rejects with `domain_not_proven` while there is none. */
  verifyDomain(project: string, domain: string, options: CallOptions = {}): Promise<DomainItem> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'domains', domain, 'verify'), json: {}, signal: options.signal });
  }

  /** Says which versions of the function get its requests, and leaves all else as it is; null: the one that was deployed last, alone. */
  moveTraffic(
    project: string,
    fn: string,
    live: NonNullable<DeployFunction['live']> | null,
    options: CallOptions = {},
  ): Promise<DeployAnswer> {
    return this.#transport.json({ method: 'PUT', path: pathOf(project, 'functions', fn, 'live'), json: { live }, signal: options.signal });
  }

  /** Newest first. */
  versions(project: string, fn: string, options: CallOptions = {}): Listing<VersionItem> {
    return this.#list(pathOf(project, 'functions', fn, 'versions'), {}, options);
  }

  /**
   * Calls a function directly and waits for it. Also resolves when the function failed: `error` is set then. Rejects
   * when there was no invocation (unknown function or version, queue full, payload too large…).
   */
  invoke(project: string, fn: string, payload: InvokePayload = {}, options: InvokeOptions = {}): Promise<InvokeAnswer> {
    return this.#transport.json({
      method: 'POST',
      path: pathOf(project, 'functions', fn, 'invoke'),
      query: { version: options.version },
      body: { bytes: payload.body ?? '', contentType: payload.contentType ?? 'application/json' },
      signal: options.signal,
      requestId: options.requestId,
      ...(options.clientContext === undefined ? {} : { headers: { 'x-amz-client-context': base64Of(options.clientContext) } }),
      timeoutMs: null,
    });
  }

  /** The WebSockets that the gateway holds for the project, oldest first. */
  connections(project: string, filter: { group?: string | undefined } = {}, options: CallOptions = {}): Listing<ConnectionItem> {
    return this.#list(pathOf(project, 'connections'), { group: filter.group }, options);
  }

  /** To one, to a group, or to all: how many were sent it. */
  sendToConnections(project: string, request: SendRequest, options: CallOptions = {}): Promise<{ sent: number }> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'connections', 'send'), json: request, signal: options.signal });
  }

  async closeConnection(
    project: string,
    id: string,
    options: CallOptions & { code?: number | undefined; reason?: string | undefined } = {},
  ): Promise<void> {
    const query = { code: options.code, reason: options.reason };
    await this.#transport.send({ method: 'DELETE', path: pathOf(project, 'connections', id), query, signal: options.signal });
  }

  /** Newest first. */
  invocations(project: string, fn: string, filter: InvocationFilter = {}, options: CallOptions = {}): Listing<InvocationRecord> {
    return this.#list(pathOf(project, 'functions', fn, 'invocations'), { since: filter.since, outcome: filter.outcome }, options);
  }

  invocation(project: string, id: string, options: CallOptions = {}): Promise<InvocationDetail> {
    return this.#get(pathOf(project, 'invocations', id), options);
  }

  /** What principals have used of their plans in this day or month. */
  usage(project: string, filter: UsageFilter = {}, options: CallOptions = {}): Listing<UsageItem> {
    return this.#list(pathOf(project, 'usage'), { key: filter.key, plan: filter.plan }, options);
  }

  /** Oldest first. */
  logs(project: string, filter: LogFilter = {}, options: CallOptions = {}): Listing<LogLine> {
    return this.#list(pathOf(project, 'logs'), logQuery(filter), options);
  }

  /**
   * Log lines as they come, until the signal aborts (the iteration then simply ends). Without `since`, `after` or
   * `last` it begins now. A lost connection is taken up again after the last line, none twice.
   */
  followLogs(project: string, options: FollowOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    return followLines(this.#transport, pathOf(project, 'logs'), {
      query: logQuery(options),
      signal: options.signal,
      reconnectMs: options.reconnectMs ?? 30_000,
    });
  }

  /** API keys that are not revoked, without their secrets. */
  keys(project: string, options: CallOptions = {}): Listing<KeyItem> {
    return this.#list(pathOf(project, 'keys'), {}, options);
  }

  /** The answer has the key itself, this once. */
  createKey(project: string, key: NewKey = {}, options: CallOptions = {}): Promise<KeyAnswer> {
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'keys'), json: key, signal: options.signal });
  }

  /** A new secret for a key; the old one is accepted for `grace` longer (without it 24h). */
  rotateKey(project: string, id: string, options: CallOptions & { grace?: string | undefined } = {}): Promise<KeyAnswer> {
    const json = options.grace === undefined ? {} : { grace: options.grace };
    return this.#transport.json({ method: 'POST', path: pathOf(project, 'keys', id, 'rotate'), json, signal: options.signal });
  }

  revokeKey(project: string, id: string, options: CallOptions = {}): Promise<RevokedKey> {
    return this.#transport.json({ method: 'DELETE', path: pathOf(project, 'keys', id), signal: options.signal });
  }

  /** Names of the secrets; values never come back. */
  secrets(project: string, options: CallOptions = {}): Listing<SecretItem> {
    return this.#list(pathOf(project, 'secrets'), {}, options);
  }

  /** Stores a secret, or another value of one. The project is created if need be. */
  setSecret(project: string, name: string, value: string, options: CallOptions = {}): Promise<SecretAnswer> {
    return this.#transport.json({ method: 'PUT', path: pathOf(project, 'secrets', name), json: { value }, signal: options.signal });
  }

  async removeSecret(project: string, name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.send({ method: 'DELETE', path: pathOf(project, 'secrets', name), signal: options.signal });
  }

  workflows(project: string): WorkflowRuns {
    return new WorkflowRuns(this.calls, project);
  }

  #get<T>(path: string, options: CallOptions): Promise<T> {
    return this.calls.get(path, options);
  }

  #list<T>(path: string, filter: Record<string, string | number | undefined>, base: CallOptions): Listing<T> {
    return this.calls.list(path, filter, base);
  }
}

function logQuery(filter: LogFilter): Record<string, string | number | undefined> {
  return { function: filter.function, invocation: filter.invocation, since: filter.since, after: filter.after, last: filter.last };
}
