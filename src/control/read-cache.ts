// GET /v1/projects/{project}/cache: what the gateway keeps of the project's answers. Invariant: counts are of this edge since it
// started; a route's `cache` says what is kept.
import { z } from '@hono/zod-openapi';
import type { CacheStats } from '../protocol/cache-stats.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { name } from './schemas.ts';

const stats = z
  .object({
    entries: z.int(),
    bytes: z.int(),
    hits: z.int(),
    stale: z.int(),
    misses: z.int(),
    coalesced: z.int(),
    bypassed: z.int(),
    stored: z.int(),
    evictions: z.int(),
    purged: z.int(),
    bytesMax: z.int(),
    node: z.object({ bytes: z.int(), bytesMax: z.int() }),
  })
  .openapi('CacheStats') satisfies z.ZodType<CacheStats>;

export function readCache(app: ControlApp, { records, edge }: Pick<ControlContext, 'records' | 'edge'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/cache',
      summary: 'What the gateway keeps of the answers of a project',
      params: z.strictObject({ project: name }),
      answers: { 200: { description: 'Entries, bytes, and counts since the edge started.', schema: stats } },
      errors: ['project_not_found', 'unavailable'],
    },
    async ({ params: { project } }, c) => {
      await requireProject(records, project);
      return c.json(await edge.cacheStats(project));
    },
  );
}
