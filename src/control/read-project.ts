// GET /v1/projects/{project}: what is served now, whole.
import { z } from '@hono/zod-openapi';
import type { ProjectDetail } from '../protocol/control-api.ts';
import { gatewaySection } from '../protocol/policies/policy.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { functionItems, requireProject } from './project-records.ts';
import { functionItem, name, route, time } from './schemas.ts';
import type { Loose } from './schemas.ts';

const detail = z
  .object({
    name: z.string(),
    createdAt: time,
    url: z.string(),
    deployment: z.int().nullable(),
    functions: z.array(functionItem),
    routes: z.array(route),
    gateway: gatewaySection.optional(),
  })
  .openapi('ProjectDetail') satisfies z.ZodType<Loose<ProjectDetail>>;

export function readProject(app: ControlApp, { records, urls }: Pick<ControlContext, 'records' | 'urls'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}',
      summary: 'Read a project with its functions and routes',
      params: z.strictObject({ project: name }),
      answers: { 200: { description: 'The project.', schema: detail } },
      errors: ['project_not_found'],
    },
    async ({ params }, c) => {
      const project = await requireProject(records, params.project);
      const { createdAt, deployment, state } = project;
      return c.json({
        name: project.name,
        createdAt,
        url: urls.project(project.name),
        deployment,
        functions: functionItems(project),
        routes: state.routes,
        ...(state.gateway === undefined ? {} : { gateway: state.gateway }),
      });
    },
  );
}
