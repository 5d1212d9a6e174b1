// The edge's private server on a socket in the run folder: how the control role reaches the engine. Direct invocations,
// the state of the engine, and "have you seen this deployment?".
// Invariant: reachable only through the run folder (mode 0700), so it asks for no token. Made by edge.ts.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { EventCall, Invoker } from '../events/invoker.ts';
import type { Engine } from '../functions/engine.ts';
import type { DeployedVersion } from '../functions/version.ts';
import { CollectedAnswer } from '../gateway/collected-answer.ts';
import type { CacheStore } from '../gateway/cache/store.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import { GuestDoor } from '../gateway/websocket/guest-door.ts';
import type { Hub } from '../gateway/websocket/hub.ts';
import { recordOf } from '../functions/record.ts';
import { newId } from '../lib/ids.ts';
import { continueTrace } from '../lib/traceparent.ts';
import { ERRORS, VirgaError, errorBody } from '../protocol/errors.ts';
import type { CachePurged } from '../protocol/cache-stats.ts';
import type { ServiceRequest } from '../protocol/frames.ts';
import type { ConnectionItem, InvokeAnswer, InvokeResult } from '../protocol/control-api.ts';
import type { LogLine } from '../protocol/invocation.ts';
import type { CertificateStats, DeliveryStats, EdgeStats } from '../protocol/stats.ts';

export interface EdgePrivateOptions {
  engine: Engine;
  model: ReadModel;
  sockets: Hub;
  invokeBytesMax: number;
  invoker: Pick<Invoker, 'invoke'>;
  cache: CacheStore;
  stats: () => EdgeStats;
  certificates: { stats(): CertificateStats; refresh(): Promise<void> };
  /** Brings the read model up to date with the records. */
  refresh: () => Promise<void>;
  /** Brings what callers of a project are verified by up to date. */
  refreshAccess: (project: string) => Promise<void>;
  /** A version that is not current. */
  version: (name: { project: string; function: string; version: number }) => Promise<DeployedVersion | undefined>;
}

const SYNC_TIMEOUT_MS = 5_000;

export function createEdgePrivate(options: EdgePrivateOptions): Server {
  return createServer({ requestTimeout: 0 }, (request, response) => {
    handle(options, request, response).catch((error: unknown) => {
      const known = error instanceof VirgaError ? error : new VirgaError('internal', `the edge failed: ${String(error)}`);
      if (response.headersSent) response.destroy();
      else send(response, known.status, errorBody(known, String(request.headers['x-request-id'] ?? '')), known);
    });
  });
}

async function handle(options: EdgePrivateOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://edge');
  switch (`${request.method ?? ''} ${url.pathname}`) {
    case 'GET /stats':
      return send(response, 200, options.stats());
    case 'GET /deliveries':
      return send(response, 200, deliveriesOf(options.stats(), url.searchParams.get('project')));
    case 'GET /certificates':
      return send(response, 200, options.certificates.stats());
    case 'POST /certificates':
      await options.certificates.refresh();
      response.writeHead(204);
      response.end();
      return;
    case 'POST /sync':
      return sync(options, Number(url.searchParams.get('deployment') ?? 0), response);
    case 'POST /access':
      return access(options, url.searchParams.get('project') ?? '', response);
    case 'GET /connections':
      return send(response, 200, connectionsOf(options.sockets, url.searchParams));
    case 'POST /connections':
      return askConnections(options.sockets, url.searchParams, request, response);
    case 'GET /cache':
      return send(response, 200, options.cache.stats(url.searchParams.get('project') ?? ''));
    case 'POST /cache/purge':
      return send(response, 200, purge(options.cache, url.searchParams));
    case 'POST /call':
      return callAsEvent(options.invoker, request, response);
    case 'POST /invoke':
      return invoke(options, url.searchParams, request, response);
    default:
      throw new VirgaError('not_found', `the edge has no ${request.method ?? ''} ${url.pathname}`);
  }
}

/** Of one project, or of all. */
function deliveriesOf({ deliveries }: EdgeStats, project: string | null): DeliveryStats[] {
  return project === null ? deliveries : deliveries.filter((one) => one.project === project);
}

function connectionsOf(sockets: Hub, query: URLSearchParams): ConnectionItem[] {
  const after = query.get('after') ?? '';
  const limit = Number(query.get('limit') ?? 100);
  const items: ConnectionItem[] = [];
  const found = [...sockets.list(query.get('project') ?? '', query.get('group') ?? undefined)].filter(
    ({ id, isLive }) => isLive && id > after,
  );
  for (const connection of found.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)) {
    const { id, route, client, connectedAt, groups, principal, served } = connection;
    items.push({
      id,
      route,
      function: served.rules?.function ?? '',
      client,
      connectedAt: new Date(connectedAt).toISOString(),
      groups: [...(groups ?? [])],
      principal: principal === undefined ? null : `${principal.kind} ${principal.id}`,
    });
  }
  return items;
}

/** As a function of the project would ask. */
async function askConnections(sockets: Hub, query: URLSearchParams, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const asked = JSON.parse(Buffer.concat(chunks).toString()) as { request: ServiceRequest; base64: string };
  const project = query.get('project') ?? '';
  new GuestDoor(sockets).serve({ project }, asked.request, Buffer.from(asked.base64, 'base64'), (answer) => send(response, 200, answer));
}

function purge(cache: CacheStore, query: URLSearchParams): CachePurged {
  const [below, tag] = [query.get('path'), query.get('tag')];
  return cache.purge(query.get('project') ?? '', { ...(below !== null && { below }), ...(tag !== null && { tag }) });
}

/** A call as events make it, for the control role. */
async function callAsEvent(invoker: Pick<Invoker, 'invoke'>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const asked = JSON.parse(Buffer.concat(chunks).toString()) as { call: Omit<EventCall, 'body'>; base64: string };
  const left = new AbortController();
  response.once('close', () => left.abort());
  const outcome = await invoker.invoke({ ...asked.call, body: Buffer.from(asked.base64, 'base64'), signal: left.signal });
  if (!outcome.ok) send(response, 200, { outcome, base64: '' });
  else {
    const { body, ...rest } = outcome;
    send(response, 200, { outcome: rest, base64: body.toString('base64') });
  }
}

async function access(options: EdgePrivateOptions, project: string, response: ServerResponse): Promise<void> {
  await withinTime(options.refreshAccess(project), `the keys and secrets of '${project}'`);
  response.writeHead(204);
  response.end();
}

async function sync(options: EdgePrivateOptions, deployment: number, response: ServerResponse): Promise<void> {
  const what = `deployment ${deployment}`;
  await withinTime(options.refresh(), what);
  if (options.model.deployment < deployment) throw notSeen(what);
  response.writeHead(204);
  response.end();
}

async function withinTime(done: Promise<void>, what: string): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(() => late.reject(notSeen(what)), SYNC_TIMEOUT_MS);
  await Promise.race([done, late.promise]).finally(() => clearTimeout(timer));
}

function notSeen(what: string): VirgaError {
  return new VirgaError('unavailable', `the edge has not seen ${what} within ${SYNC_TIMEOUT_MS} ms`);
}

async function invoke(
  options: EdgePrivateOptions,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const version = await findVersion(options, query);
  refuseWorkflow(options.model, version);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > options.invokeBytesMax)
      throw new VirgaError(
        'request_too_large',
        `the payload is larger than the ${options.invokeBytesMax} bytes of a direct invocation (VIRGA_LIMIT_INVOKE_BYTES)`,
      );
    chunks.push(chunk);
  }
  const trace = continueTrace(request.headers['traceparent']?.toString());
  const clientContext = request.headers['x-client-context']?.toString();
  const logs: LogLine[] = [];
  const answer = new CollectedAnswer({ payload: Buffer.concat(chunks), bytesMax: options.invokeBytesMax });
  const call = options.engine.invoke({
    version,
    meta: {
      kind: 'event',
      id: newId('inv'),
      trace: trace.traceparent,
      trigger: 'invoke',
      contentType: request.headers['content-type'] ?? 'application/json',
      ...(clientContext === undefined ? {} : { clientContext }),
    },
    traceId: trace.traceId,
    body: undefined,
    bodyEnds: false,
    heldBytes: bytes,
    trigger: 'invoke',
    requestLine: null,
    sink: answer,
    logs,
  });
  if (call instanceof VirgaError) throw call;
  answer.call = call;
  response.on('close', () => {
    if (!response.writableFinished) call.abandon();
  });
  await answer.done;
  const error = answer.error;
  const body: InvokeAnswer = {
    invocation: call.record ?? recordOf(call, undefined),
    logs,
    result: error === undefined ? resultOf(answer) : null,
    error:
      error === undefined
        ? null
        : { code: error.code, message: error.message, ...(error.detail === undefined ? {} : { detail: error.detail }) },
  };
  send(response, 200, body);
}

function refuseWorkflow(model: ReadModel, { project, function: fn }: DeployedVersion): void {
  if (model.project(project)?.topology.workflows.has(fn) !== true) return;
  throw new VirgaError(
    'invalid_request',
    `function '${fn}' is a workflow, each call of which is a run: \`virga workflows start ${fn}\` starts one`,
  );
}

async function findVersion(options: EdgePrivateOptions, query: URLSearchParams): Promise<DeployedVersion> {
  const project = query.get('project') ?? '';
  const name = query.get('function') ?? '';
  const served = options.model.project(project);
  if (served === undefined) throw new VirgaError('project_not_found', `there is no project '${project}'; \`virga projects\` lists them`);
  const current = served.functions.get(name);
  const wanted = query.get('version');
  if (wanted !== null && Number(wanted) !== current?.version) {
    const version = await options.version({ project, function: name, version: Number(wanted) });
    if (version !== undefined) return version;
    if (current !== undefined)
      throw new VirgaError('version_not_found', `function '${name}' has no version ${wanted}; \`virga versions ${name}\` lists them`);
  }
  if (current === undefined)
    throw new VirgaError('function_not_found', `project '${project}' has no function '${name}'; \`virga functions\` lists them`);
  return current;
}

function resultOf(answer: CollectedAnswer): InvokeResult | null {
  const body = answer.bytes;
  if (body.length === 0) return null;
  const contentType = answer.contentType;
  if (/^(text\/|application\/(json|[\w.+-]*\+json|xml|javascript))/.test(contentType)) return { contentType, text: body.toString() };
  return { contentType, base64: body.toString('base64') };
}

function send(response: ServerResponse, status: number, body: unknown, error?: VirgaError): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    ...(error !== undefined && ERRORS[error.code].retry === 'later' ? { 'retry-after': String(error.retryAfterS ?? 1) } : {}),
  });
  response.end(bytes);
}
