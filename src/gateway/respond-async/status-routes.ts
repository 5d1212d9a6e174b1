// Where asynchronous invocations that came over HTTP can be followed: /.virga/invocations/<id> says how far it is, …/answer gives what
// the function answered. Who knows the id may ask, since it cannot be guessed; where the route asks who calls, the status asks in the
// same way, and answers only to the same principal. For that each way of asking has a folder of its own.
// Invariant: an invocation that was made by other means is not to be had here. Called for each project by targets.ts.
import { createHash } from 'node:crypto';
import type { AsyncRecords, AsyncRow } from '../../events/async/records.ts';
import { NO_AUTH_WORD } from '../../protocol/auth-words.ts';
import { ERRORS, VirgaError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { GatewaySection, RoutePolicy } from '../../protocol/policies/policy.ts';
import type { Principal } from '../../protocol/principal.ts';
import type { GatewayRequest, LocalAnswer, OwnRoute, OwnSource, Refusal } from '../stage.ts';

export interface StatusServices {
  records: Pick<AsyncRecords, 'find'>;
}

const FOLDER = '/.virga/invocations';
const ID = /^inv_[0-9a-z]{26}$/;
/** Looked up at the same time, on this node. */
const LOOKUPS_MAX = 200;
/** Of the exchange that it was, or made anew for this one. */
const NOT_GIVEN = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
]);

export function statusRoutes({ routes, gateway, async }: OwnSource, services: StatusServices): OwnRoute[] {
  const folders = new Map<string, RoutePolicy>();
  for (const route of routes) {
    if (route.function === undefined || async[route.function] === undefined) continue;
    const { path, policy } = statusFolder({ ...gateway.defaults, ...route.policy }, gateway);
    folders.set(path, policy);
  }
  return [...folders].flatMap(([path, policy]): OwnRoute[] => [
    { route: { path: `${path}/{id}`, methods: ['GET'] }, policy, local: { answer: (request) => answer(request, services, statusOf) } },
    {
      route: { path: `${path}/{id}/answer`, methods: ['GET'] },
      policy,
      local: { answer: (request) => answer(request, services, answerOf) },
    },
  ]);
}

/** The folder of a route's invocations, and what holds there of the route's policy. */
export function statusFolder(
  { auth, ip, cors }: RoutePolicy,
  { defaults = {} }: GatewaySection,
  root = FOLDER,
): { path: string; policy: RoutePolicy } {
  const own: RoutePolicy = {
    ...(auth === undefined || auth === NO_AUTH_WORD ? {} : { auth }),
    ...(ip === undefined ? {} : { ip }),
    ...(cors === undefined ? {} : { cors }),
  };
  const { throttle, concurrency, securityHeaders } = defaults;
  const policy: RoutePolicy = {
    ...(throttle === undefined ? {} : { throttle }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(securityHeaders === undefined ? {} : { securityHeaders }),
    ...own,
  };
  if (Object.keys(own).length === 0) return { path: root, policy };
  return { path: `${root}-${createHash('sha256').update(JSON.stringify(own)).digest('hex').slice(0, 10)}`, policy };
}

/** Who is who: the same `sub` of another issuer is somebody else. */
export function principalText({ kind, id, claims }: Principal): string {
  const { iss } = claims;
  // As JSON, in which no name can look like another's issuer, and no character is one that the database refuses.
  return JSON.stringify(typeof iss === 'string' ? [kind, id, iss] : [kind, id]);
}

let lookups = 0;

async function answer(
  request: GatewayRequest,
  { records }: StatusServices,
  as: (row: AsyncRow, request: GatewayRequest) => LocalAnswer | Refusal,
): Promise<LocalAnswer | Refusal> {
  const id = request.params['id'] ?? '';
  if (!ID.test(id)) return unknown(id);
  if (lookups >= LOOKUPS_MAX) return { error: new VirgaError('unavailable', 'too many ask for asynchronous invocations at this moment') };
  lookups++;
  try {
    const row = await records.find(request.project, id);
    const asked = request.principal === undefined ? null : principalText(request.principal);
    if (row === undefined || row.source !== 'http' || row.principal !== asked) return unknown(id);
    return as(row, request);
  } catch (error) {
    return { error: new VirgaError('unavailable', 'the database does not answer; try again in a moment', { cause: error }) };
  } finally {
    lookups--;
  }
}

function statusOf(row: AsyncRow, request: GatewayRequest): LocalAnswer {
  const isOpen = row.state === 'queued' || row.state === 'running';
  const at = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const [path = ''] = request.asked.split('?');
  const body = {
    id: row.id,
    state: row.state,
    attempts: row.attempts,
    createdAt: at(row.createdAt),
    startedAt: at(row.startedAt),
    endedAt: at(row.endedAt),
    expiresAt: at(row.expiresAt),
    ...(isOpen ? {} : { answer: `${request.prefix}${path}/answer` }),
    ...(row.errorCode === null ? {} : { error: { code: row.errorCode, message: row.error } }),
  };
  const headers = ['content-type', 'application/json', 'cache-control', 'no-store', ...(isOpen ? ['retry-after', '1'] : [])];
  return { status: 200, headers, body: Buffer.from(JSON.stringify(body)) };
}

function answerOf(row: AsyncRow): LocalAnswer | Refusal {
  const { answer: kept, answerBody } = row;
  if (row.state === 'queued' || row.state === 'running')
    return {
      error: new VirgaError('invocation_not_ended', `invocation ${row.id} is ${row.state}; its status says when it has ended`),
      headers: ['retry-after', '1'],
    };
  if (kept !== null) {
    const headers = kept.headers.flatMap((text, at) =>
      at % 2 === 0 && !NOT_GIVEN.has(text.toLowerCase()) ? [text, kept.headers[at + 1] ?? ''] : [],
    );
    return {
      status: kept.status,
      headers: [...headers, ...(kept.truncated ? ['x-virga-truncated', '1'] : [])],
      body: answerBody ?? Buffer.alloc(0),
    };
  }
  if (row.state === 'cancelled')
    return { error: new VirgaError('invocation_not_found', `invocation ${row.id} was cancelled, and has no answer`) };
  const code = row.errorCode !== null && Object.hasOwn(ERRORS, row.errorCode) ? (row.errorCode as ErrorCode) : 'invocation_not_found';
  return { error: new VirgaError(code, row.error ?? `invocation ${row.id} has ${row.state}; no answer of it is kept`) };
}

function unknown(id: string): Refusal {
  return {
    error: new VirgaError(
      'invocation_not_found',
      `there is no invocation '${id.slice(0, 40)}' here that you could read; answers are kept for a set time`,
    ),
  };
}
