// GET /v1/projects/{project}/functions: the functions that are served now, by name. They are at most FUNCTIONS_MAX, read whole.
import { z } from '@hono/zod-openapi';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { functionItems, requireProject } from './project-records.ts';
import { functionItem, name, pageOf as pageSchema, pageQuery } from './schemas.ts';

export function listFunctions(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/functions',
      summary: 'List the functions of a project, by name',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(functionItem) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `functions/${project}`;
      const page = pageRequest(list, query);
      const items = functionItems(await requireProject(records, project)).filter((item) => item.name > (page.after ?? ''));
      return c.json(pageOf(list, page, items.slice(0, page.limit + 1), (item) => item.name));
    },
  );
}
