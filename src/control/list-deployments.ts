// GET /v1/projects/{project}/deployments: the history of a project, newest first.
import { z } from '@hono/zod-openapi';
import type { DeploymentItem } from '../protocol/control-api.ts';
import type { ProjectState } from '../protocol/settings.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { numberKey, pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery, time } from './schemas.ts';

const item = z
  .object({
    id: z.int(),
    kind: z.enum(['deploy', 'rollback']),
    current: z.boolean(),
    createdAt: time,
    createdBy: z.string(),
    functions: z.record(z.string(), z.int()),
    routes: z.int(),
  })
  .openapi('Deployment') satisfies z.ZodType<DeploymentItem>;

export function listDeployments(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/deployments',
      summary: 'List the deployments of a project, newest first',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `deployments/${project}`;
      const page = pageRequest(list, query);
      const { deployment: current } = await requireProject(records, project);
      const { rows } = await records.query<{
        id: string;
        kind: 'deploy' | 'rollback';
        created_at: Date;
        created_by: string;
        state: ProjectState;
      }>(
        `select id, kind, created_at, created_by, state from deployments
          where project = $1 and ($2::bigint is null or id < $2) order by id desc limit $3`,
        [project, numberKey(page.after) ?? null, page.limit + 1],
      );
      const items = rows.map((row) => ({
        id: Number(row.id),
        kind: row.kind,
        current: Number(row.id) === current,
        createdAt: row.created_at.toISOString(),
        createdBy: row.created_by,
        functions: Object.fromEntries(Object.entries(row.state.functions).map(([fn, { version }]) => [fn, version])),
        routes: row.state.routes.length,
      }));
      return c.json(pageOf(list, page, items, ({ id }) => String(id)));
    },
  );
}
