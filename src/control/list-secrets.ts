// GET /v1/projects/{project}/secrets: names of the secrets of a project, never their values.
import { z } from '@hono/zod-openapi';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';
import { secretItem, secretItemOf } from './secrets.ts';
import type { SecretRow } from './secrets.ts';

export function listSecrets(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/secrets',
      summary: 'List the secrets of a project, by name',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(secretItem) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `secrets/${project}`;
      const page = pageRequest(list, query);
      await requireProject(records, project);
      const { rows } = await records.query<SecretRow>(
        `select name, created_at, updated_at from secrets
          where project = $1 and name collate "C" > $2 order by name collate "C" limit $3`,
        [project, page.after ?? '', page.limit + 1],
      );
      return c.json(pageOf(list, page, rows.map(secretItemOf), (secret) => secret.name));
    },
  );
}
