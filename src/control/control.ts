// The control API: one hono application of all operations. Invariant: every answer, whatever went wrong, is JSON of the
// documented shape and carries `x-request-id`; nothing but the open operations is done without a known token, also on
// loopback (a page in a browser can reach that too, but does not have the token). Started by server/control.ts.
import { OpenAPIHono } from '@hono/zod-openapi';
import { newId } from '../lib/ids.ts';
import { ERRORS, errorBody, VirgaError } from '../protocol/errors.ts';
import { COMMON_HEADERS, isAnswered } from './answer.ts';
import type { ArtifactsInUse } from './artifacts-in-use.ts';
import type { ControlContext } from './context.ts';
import { changeRuns } from './change-run.ts';
import { createKey } from './create-key.ts';
import { deployProject } from './deploy-project.ts';
import { failureOf } from './failures.ts';
import { findMissingArtifacts } from './find-missing-artifacts.ts';
import { invokeAsync } from './invoke-async.ts';
import { cancelAsyncInvocation, listAsyncInvocations, readAsyncInvocation } from './async-invocations.ts';
import { invokeFunction } from './invoke-function.ts';
import { listCertificates } from './list-certificates.ts';
import { actOnSchedule } from './act-on-schedule.ts';
import { cancelDelivery } from './cancel-delivery.ts';
import { closeConnection, listConnections, sendToConnections } from './connections.ts';
import { listDeadLetters } from './list-dead-letters.ts';
import { listDeliveries } from './list-deliveries.ts';
import { listDeployments } from './list-deployments.ts';
import { listFunctions } from './list-functions.ts';
import { listInvocations } from './list-invocations.ts';
import { listKeys } from './list-keys.ts';
import { listLogs } from './list-logs.ts';
import { listProjects } from './list-projects.ts';
import { listQueues } from './list-queues.ts';
import { listSecrets } from './list-secrets.ts';
import { listStreams } from './list-streams.ts';
import { listTopics } from './list-topics.ts';
import { listUsage } from './list-usage.ts';
import { listVersions } from './list-versions.ts';
import { listWorkflows } from './list-workflows.ts';
import type { LogFollowers } from './log-followers.ts';
import { moveTraffic } from './move-traffic.ts';
import type { ControlApp, ControlEnv, ControlRequest } from './operation.ts';
import { appendRecords, publishEvents, publishMessages, sendMessages } from './publish-messages.ts';
import { peekMessages } from './peek-messages.ts';
import { purgeCache } from './purge-cache.ts';
import { purgeMessages } from './purge-messages.ts';
import { readCache } from './read-cache.ts';
import { listDomains, verifyDomain } from './project-domains.ts';
import { readHealth } from './read-health.ts';
import { readInvocation } from './read-invocation.ts';
import { readOpenApi } from './read-openapi.ts';
import { readProject } from './read-project.ts';
import { readRecords } from './read-records.ts';
import { readSchedules } from './read-schedules.ts';
import { readRun } from './read-run.ts';
import { readStatus } from './read-status.ts';
import type { NodeIdentity } from './read-status.ts';
import { listRecorded, readRecorded } from './recordings.ts';
import { replayOne } from './replay.ts';
import { receiveMessages } from './receive-messages.ts';
import type { Receivers } from './receivers.ts';
import { redriveDeadLetters } from './redrive-dead-letters.ts';
import type { Redrives } from './redrives.ts';
import { removeProject } from './remove-project.ts';
import { removeSecret } from './remove-secret.ts';
import { revokeKey } from './revoke-key.ts';
import { rollbackProject } from './rollback-project.ts';
import { rotateKey } from './rotate-key.ts';
import { seekStream } from './seek-stream.ts';
import { setSecret } from './set-secret.ts';
import { settleMessages } from './settle-messages.ts';
import type { StreamTails } from './stream-tails.ts';
import { startWorkflow } from './start-workflow.ts';
import { TokenMemory } from './token-memory.ts';
import { uploadArtifact } from './upload-artifact.ts';

export interface ControlNeeds extends ControlContext {
  identity: NodeIdentity;
  artifactsInUse: ArtifactsInUse;
  followers: LogFollowers;
  receivers: Receivers;
  tails: StreamTails;
  redrives: Redrives;
}

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const METHODS_THAT_CHANGE = new Set(['POST', 'PUT', 'DELETE']);

export function createControl(needs: ControlNeeds): ControlApp {
  const hono = new OpenAPIHono<ControlEnv>();
  const tokens = new TokenMemory(needs.records);
  const app: ControlApp = {
    hono,
    authenticate: (c) => tokens.authenticate(c.req.header('authorization')),
    limits: needs.limits,
    registered: [],
  };

  hono.use(async (c, next) => {
    const given = c.req.header('x-request-id');
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : newId('req');
    c.set('requestId', requestId);
    const startedAt = performance.now();
    await next();
    if (isAnswered(c)) return;
    c.res.headers.set('x-request-id', requestId);
    for (const [name, value] of Object.entries(COMMON_HEADERS)) c.res.headers.set(name, value);
    const { method, path } = c.req;
    const ms = Math.round((performance.now() - startedAt) * 10) / 10;
    const level = c.res.status < 400 && METHODS_THAT_CHANGE.has(method) ? 'info' : 'debug';
    needs.log(level, `${method} ${path} ${c.res.status}`, { requestId, ms, by: c.get('principal')?.tokenName });
  });
  hono.onError((error, c) => answerFailure(error, c, needs));
  hono.notFound((c) => answerFailure(unknownPath(c, app), c, needs));

  readHealth(app);
  readOpenApi(app);
  readStatus(app, needs);
  listCertificates(app, needs);
  listProjects(app, needs);
  readProject(app, needs);
  removeProject(app, needs);
  findMissingArtifacts(app, needs);
  uploadArtifact(app, needs);
  deployProject(app, needs);
  listDeployments(app, needs);
  rollbackProject(app, needs);
  readCache(app, needs);
  purgeCache(app, needs);
  listFunctions(app, needs);
  listVersions(app, needs);
  moveTraffic(app, needs);
  listDomains(app, needs);
  verifyDomain(app, needs);
  invokeFunction(app, needs);
  listWorkflows(app, needs);
  startWorkflow(app, needs);
  readRun(app, needs);
  changeRuns(app, needs);
  listConnections(app, needs);
  sendToConnections(app, needs);
  closeConnection(app, needs);
  listInvocations(app, needs);
  readInvocation(app, needs);
  listLogs(app, needs);
  listKeys(app, needs);
  createKey(app, needs);
  rotateKey(app, needs);
  revokeKey(app, needs);
  listSecrets(app, needs);
  setSecret(app, needs);
  removeSecret(app, needs);
  listUsage(app, needs);
  readSchedules(app, needs);
  actOnSchedule(app, needs);
  publishEvents(app, needs);
  publishMessages(app, needs);
  sendMessages(app, needs);
  appendRecords(app, needs);
  listQueues(app, needs);
  peekMessages(app, needs);
  purgeMessages(app, needs);
  receiveMessages(app, needs);
  settleMessages(app, needs);
  listTopics(app, needs);
  listStreams(app, needs);
  readRecords(app, needs);
  seekStream(app, needs);
  invokeAsync(app, needs);
  listAsyncInvocations(app, needs);
  readAsyncInvocation(app, needs);
  cancelAsyncInvocation(app, needs);
  listRecorded(app, needs);
  readRecorded(app, needs);
  replayOne(app, needs);
  listDeliveries(app, needs);
  cancelDelivery(app, needs);
  listDeadLetters(app, needs);
  redriveDeadLetters(app, needs);
  return app;
}

function answerFailure(error: unknown, c: ControlRequest, { log }: Pick<ControlContext, 'log'>): Response {
  const requestId = c.get('requestId');
  const failure = failureOf(error, requestId);
  const { fault, status } = ERRORS[failure.code];
  if (fault === 'platform') {
    const cause = failure.cause instanceof Error ? failure.cause.stack : failure.cause;
    log(failure.code === 'internal' ? 'error' : 'warn', `${c.req.method} ${c.req.path}: ${failure.message}`, {
      requestId,
      code: failure.code,
      cause,
    });
  }
  if (failure.code === 'unauthorized') c.header('www-authenticate', 'Bearer realm="virga"');
  if (failure.code === 'method_not_allowed') c.header('allow', (failure.detail as { allow: string[] }).allow.join(', '));
  if (ERRORS[failure.code].retry === 'later') c.header('retry-after', '1');
  return c.json(errorBody(failure, requestId), status as 400);
}

function unknownPath(c: ControlRequest, app: ControlApp): VirgaError {
  const { method, path } = c.req;
  const given = path.slice(0, 200);
  const allow = app.registered
    .filter((known) => new RegExp(`^${known.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path))
    .flatMap((known) => (known.method === 'GET' ? ['GET', 'HEAD'] : [known.method]));
  if (allow.length > 0) {
    return new VirgaError('method_not_allowed', `${method} is not possible on ${given}; ${allow.join(', ')} is`, { detail: { allow } });
  }
  return new VirgaError('not_found', `there is no path '${given}' in this API; GET /v1/openapi.json describes it`);
}
