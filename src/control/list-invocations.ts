// GET /v1/projects/{project}/functions/{function}/invocations: newest first. Records outlive what they speak of, so a
// function that was removed still has its list; one that never was has an empty one only if the project is known.
import { z } from '@hono/zod-openapi';
import { queryInvocations } from '../observe/invocation-queries.ts';
import { ERRORS } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { ControlContext } from './context.ts';
import { functionNotFound } from './list-versions.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { invocationRecord, name, pageOf as pageSchema, pageQuery } from './schemas.ts';
import { sinceMs } from './since.ts';

const OUTCOMES = ['ok', 'failed', ...(Object.keys(ERRORS) as ErrorCode[])] as const;

export function listInvocations(app: ControlApp, { records, now }: Pick<ControlContext, 'records' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/functions/{function}/invocations',
      summary: 'List the invocations of a function, newest first',
      params: z.strictObject({ project: name, function: name }),
      query: z.strictObject({
        ...pageQuery,
        since: z.string().max(64).optional().openapi({ description: 'How long ago (90s, 10m, 2h, 7d) or an ISO 8601 time.' }),
        outcome: z.enum(OUTCOMES).optional().openapi({ description: '`failed`: everything but `ok`.' }),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(invocationRecord) } },
      errors: ['project_not_found', 'function_not_found'],
    },
    async ({ params, query }, c) => {
      const list = `invocations/${params.project}/${params.function}`;
      const page = pageRequest(list, query);
      const filter = { ...params, sinceMs: sinceMs(query.since, now()), outcome: query.outcome };
      const items = await queryInvocations(records, { ...filter, before: page.after, limit: page.limit + 1 });
      if (items.length === 0) await requireFunction(records, params);
      return c.json(pageOf(list, page, items, ({ id }) => id));
    },
  );
}

/** An empty answer to a misspelt name would mislead. */
async function requireFunction(records: ControlContext['records'], wanted: { project: string; function: string }): Promise<void> {
  const { rows } = await records.query('select 1 from versions where project = $1 and function = $2 limit 1', [
    wanted.project,
    wanted.function,
  ]);
  if (rows.length > 0) return;
  await requireProject(records, wanted.project);
  throw functionNotFound(wanted.project, wanted.function);
}
