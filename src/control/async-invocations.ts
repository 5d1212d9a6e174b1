// Asynchronous invocations: GET /v1/projects/{project}/async-invocations (newest first), GET and DELETE …/{id}. DELETE cancels one that
// waits. Invariant: what is answered of one never has what its caller proved itself with.
import { z } from '@hono/zod-openapi';
import { payloadOf } from '../events/async/destinations.ts';
import type { AsyncRow } from '../events/async/records.ts';
import { readRequest } from '../events/async/request.ts';
import { queueKey } from '../events/queue-keys.ts';
import type { AsyncDetail, AsyncItem, AsyncState } from '../protocol/async-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { invocationId, name, pageOf as pageSchema, pageQuery, time } from './schemas.ts';

export const asyncState = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']) satisfies z.ZodType<AsyncState>;

const fields = {
  id: invocationId,
  function: z.string(),
  version: z.int().nullable(),
  source: z.enum(['control', 'http', 'destination']),
  state: asyncState,
  attempts: z.int(),
  createdAt: time,
  startedAt: time.nullable(),
  endedAt: time.nullable(),
  deadlineAt: time,
  expiresAt: time,
  request: z.string().nullable(),
  invocation: z.string().nullable(),
  status: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
};
const item = z.object(fields).openapi('AsyncItem') satisfies z.ZodType<AsyncItem>;
const detail = z
  .object({
    ...fields,
    asked: z
      .object({
        contentType: z.string(),
        json: z.unknown().optional(),
        text: z.string().optional(),
        base64: z.string().optional(),
        truncated: z.literal(true).optional(),
        method: z.string().optional(),
        url: z.string().optional(),
        headers: z.array(z.string()).optional(),
      })
      .nullable(),
    answer: z
      .object({
        status: z.int(),
        headers: z.array(z.string()),
        contentType: z.string(),
        text: z.string().optional(),
        base64: z.string().optional(),
        truncated: z.boolean(),
      })
      .nullable(),
  })
  .openapi('AsyncDetail');

type Needs = Pick<ControlContext, 'records' | 'async' | 'bus' | 'now'>;

export function listAsyncInvocations(app: ControlApp, { records, async }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/async-invocations',
      summary: 'List asynchronous invocations, newest first',
      params: z.strictObject({ project: name }),
      query: z.strictObject({ ...pageQuery, function: name.optional(), state: asyncState.optional() }),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      await requireProject(records, project);
      const list = `async-invocations/${project}`;
      const page = pageRequest(list, query);
      const filter = { project, function: query.function, state: query.state, before: page.after, limit: page.limit + 1 };
      const rows = await async.records.list(filter);
      return c.json(pageOf(list, page, rows.map(itemOf), ({ id }) => id));
    },
  );
}

export function readAsyncInvocation(app: ControlApp, { async }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/async-invocations/{id}',
      summary: 'Read an asynchronous invocation, with its answer',
      params: z.strictObject({ project: name, id: invocationId }),
      answers: { 200: { description: 'It.', schema: detail } },
      errors: ['invocation_not_found'],
    },
    async ({ params: { project, id } }, c) => {
      const row = await async.records.find(project, id);
      if (row === undefined) throw notFound(project, id);
      return c.json(detailOf(row));
    },
  );
}

export function cancelAsyncInvocation(app: ControlApp, { async, bus, now }: Needs): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/async-invocations/{id}',
      summary: 'Cancel an asynchronous invocation that waits',
      description: 'Also one that waits for its next attempt. One that runs is not stopped.',
      params: z.strictObject({ project: name, id: invocationId }),
      answers: { 200: { description: 'It is cancelled.', schema: item } },
      errors: ['invocation_not_found', 'invocation_not_queued'],
    },
    async ({ params: { project, id } }, c) => {
      const { cancelled, row } = await async.records.cancel(project, id, now());
      if (row === undefined) throw notFound(project, id);
      if (!cancelled && row.state !== 'cancelled') {
        const state = row.state === 'running' ? 'runs already' : `has ${row.state} already`;
        throw new VirgaError('invocation_not_queued', `invocation ${id} ${state}; only one that waits can be cancelled`);
      }
      // Who has the message already sees that it was cancelled.
      await bus.purge(queueKey(project, 'async', row.function), { id }).catch(() => 0);
      return c.json(itemOf(row));
    },
  );
}

function notFound(project: string, id: string): VirgaError {
  return new VirgaError(
    'invocation_not_found',
    `project '${project}' has no asynchronous invocation ${id}; they are kept for a set time (\`async.keep\`)`,
  );
}

function itemOf(row: AsyncRow): AsyncItem {
  const at = (ms: number): string => new Date(ms).toISOString();
  return {
    id: row.id,
    function: row.function,
    version: row.version,
    source: row.source,
    state: row.state,
    attempts: row.attempts,
    createdAt: at(row.createdAt),
    startedAt: row.startedAt === null ? null : at(row.startedAt),
    endedAt: row.endedAt === null ? null : at(row.endedAt),
    deadlineAt: at(row.deadlineAt),
    expiresAt: at(row.expiresAt),
    request: row.requestLine,
    invocation: row.invocation,
    status: row.answer?.status ?? null,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.error ?? '' },
  };
}

function detailOf(row: AsyncRow): AsyncDetail {
  const request = row.request === null ? undefined : readRequest(row.request);
  const body = row.answerBody ?? Buffer.alloc(0);
  const text = body.toString();
  return {
    ...itemOf(row),
    asked:
      request === undefined
        ? null
        : {
            ...payloadOf(request.contentType, request.body),
            ...(request.http === undefined ? {} : { method: request.http.method, url: request.http.url, headers: request.http.headers }),
          },
    answer:
      row.answer === null ? null : { ...row.answer, ...(body.equals(Buffer.from(text)) ? { text } : { base64: body.toString('base64') }) },
  };
}
