// GET /v1/projects/{project}/keys: the API keys of a project that are not revoked, by id, without their secrets.
import { z } from '@hono/zod-openapi';
import { KEY_COLUMNS, keyItem, keyItemOf } from './access.ts';
import type { KeyRow } from './access.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';

export function listKeys(app: ControlApp, { records, now }: Pick<ControlContext, 'records' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/keys',
      summary: 'List the API keys of a project',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(keyItem) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `keys/${project}`;
      const page = pageRequest(list, query);
      await requireProject(records, project);
      const { rows } = await records.query<KeyRow>(
        `select ${KEY_COLUMNS} from api_keys
          where project = $1 and revoked_at is null and id collate "C" > $2 order by id collate "C" limit $3`,
        [project, page.after ?? '', page.limit + 1],
      );
      const items = rows.map((row) => keyItemOf(row, now()));
      return c.json(pageOf(list, page, items, ({ id }) => id.slice(3)));
    },
  );
}
