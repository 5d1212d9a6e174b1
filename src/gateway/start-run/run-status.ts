// Where runs that were started over HTTP can be followed: /.virga/runs/<workflow>/<id> says how far one is, and what it gave. As for
// asynchronous invocations (respond-async/status-routes.ts), the status asks who calls as the route of the workflow does, and answers
// only to whoever started the run. Invariant: where nobody is asked for, only a run whose id was made here can be read: one that the client
// chose (`Idempotency-Key`) could be guessed by others. Called for each project by targets.ts.
import type { HttpRun, Starter } from '../../events/workflows/start-run.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import { principalText, statusFolder } from '../respond-async/status-routes.ts';
import type { GatewayRequest, LocalAnswer, OwnRoute, OwnSource, Refusal } from '../stage.ts';

export interface RunStatusServices {
  starter: Pick<Starter, 'startedOverHttp'>;
}

const ROOT = '/.virga/runs';
const OWN_ID = /^run_[0-9a-z]{26}$/;
/** Looked up at the same time, on this node. */
const LOOKUPS_MAX = 200;

export function runStatusRoutes({ routes, gateway, workflows }: OwnSource, services: RunStatusServices): OwnRoute[] {
  const folders = new Map<string, RoutePolicy>();
  for (const route of routes) {
    if (route.function === undefined || workflows[route.function] === undefined) continue;
    const { path, policy } = statusFolder({ ...gateway.defaults, ...route.policy }, gateway, ROOT);
    folders.set(path, policy);
  }
  return [...folders].map(([path, policy]) => ({
    route: { path: `${path}/{workflow}/{run}`, methods: ['GET'] },
    policy,
    local: { answer: (request) => answer(request, services) },
  }));
}

/** The path of a run's status; undefined: it has none. */
export function runStatusPath(
  folder: string,
  request: GatewayRequest,
  { workflow, id }: { workflow: string; id: string },
): string | undefined {
  if (!isReadable(id, request)) return undefined;
  return `${request.prefix}${folder}/${workflow}/${encodeURIComponent(id)}`;
}

export function runFolder(policy: RoutePolicy, gateway: OwnSource['gateway']): string {
  return statusFolder(policy, gateway, ROOT).path;
}

function isReadable(id: string, { principal }: GatewayRequest): boolean {
  return principal !== undefined || OWN_ID.test(id);
}

let lookups = 0;

async function answer(request: GatewayRequest, { starter }: RunStatusServices): Promise<LocalAnswer | Refusal> {
  const { workflow = '', run: id = '' } = request.params;
  if (!isReadable(id, request)) return unknown(id);
  if (lookups >= LOOKUPS_MAX) return { error: new VirgaError('unavailable', 'too many ask for runs at this moment') };
  lookups++;
  try {
    const run = await starter.startedOverHttp({ project: request.project, function: workflow, id });
    const asked = request.principal === undefined ? null : principalText(request.principal);
    return run === undefined || run.principal !== asked ? unknown(id) : statusOf(run, { workflow, id });
  } catch (error) {
    return { error: new VirgaError('unavailable', 'the database does not answer; try again in a moment', { cause: error }) };
  } finally {
    lookups--;
  }
}

function statusOf(
  { version, state, createdAt, endedAt, result, error }: HttpRun,
  { workflow, id }: { workflow: string; id: string },
): LocalAnswer {
  const at = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const head = { id, workflow, version, state, createdAt: at(createdAt), endedAt: at(endedAt) };
  // Stack and fields are for whoever runs the project.
  const failed = error === null ? undefined : (JSON.parse(error) as { name?: unknown; message?: unknown });
  const text = JSON.stringify({ ...head, ...(failed === undefined ? {} : { error: { name: failed.name, message: failed.message } }) });
  const body = result === null ? text : `${text.slice(0, -1)},"result":${result}}`;
  const headers = ['content-type', 'application/json', 'cache-control', 'no-store', ...(endedAt === null ? ['retry-after', '1'] : [])];
  return { status: 200, headers, body: Buffer.from(body) };
}

function unknown(id: string): Refusal {
  return {
    error: new VirgaError(
      'run_not_found',
      `there is no run '${id.slice(0, 140)}' here that you could read; ended ones are kept for a set time`,
    ),
  };
}
