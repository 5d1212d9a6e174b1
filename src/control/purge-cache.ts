// POST /v1/projects/{project}/cache/purge: drops answers that the gateway has kept. Invariant: when it answers, none of what is
// meant is given any more, nor kept of calls that were under way.
import { z } from '@hono/zod-openapi';
import type { CachePurged } from '../protocol/cache-stats.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { name } from './schemas.ts';

const purged = z.object({ entries: z.int(), bytes: z.int() }).openapi('CachePurged') satisfies z.ZodType<CachePurged>;

export function purgeCache(app: ControlApp, { records, edge }: Pick<ControlContext, 'records' | 'edge'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/cache/purge',
      summary: 'Drop kept answers of a project',
      params: z.strictObject({ project: name }),
      body: z
        .strictObject({
          tag: z
            .string()
            .regex(/^[^\s,]{1,128}$/, 'must be a tag: a word without spaces and commas')
            .optional()
            .openapi({ description: 'Those with this tag, which the function gave in Cache-Tag or Surrogate-Key, or the route.' }),
          path: z
            .string()
            .regex(/^\/[^?#]{0,1023}$/, 'must be a path without a query, such as /products')
            .optional()
            .openapi({ description: 'Those of this path and all below it.' }),
        })
        .refine(({ tag, path }) => tag === undefined || path === undefined, 'must have a tag or a path, not both; neither drops all'),
      answers: { 200: { description: 'What was dropped.', schema: purged } },
      errors: ['project_not_found', 'unavailable'],
    },
    async ({ params: { project }, body }, c) => {
      await requireProject(records, project);
      return c.json(await edge.purgeCache(project, body));
    },
  );
}
