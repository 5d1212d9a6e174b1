// GET /v1/projects: all projects by name.
import { z } from '@hono/zod-openapi';
import type { ProjectItem } from '../protocol/control-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { pageOf as pageSchema, pageQuery, time } from './schemas.ts';

const item = z
  .object({ name: z.string(), createdAt: time, url: z.string(), functions: z.int(), deployment: z.int().nullable() })
  .openapi('Project') satisfies z.ZodType<ProjectItem>;

export function listProjects(app: ControlApp, { records, urls }: Pick<ControlContext, 'records' | 'urls'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects',
      summary: 'List the projects, by name',
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: [],
    },
    async ({ query }, c) => {
      const page = pageRequest('projects', query);
      const { rows } = await records.query<{ name: string; created_at: Date; current_deployment: string | null; functions: number }>(
        `select p.name, p.created_at, p.current_deployment,
                (select count(*)::int from jsonb_object_keys(coalesce(d.state -> 'functions', '{}'))) as functions
           from projects p left join deployments d on d.id = p.current_deployment
          where p.name collate "C" > $1 order by p.name collate "C" limit $2`,
        [page.after ?? '', page.limit + 1],
      );
      const items = rows.map((row) => ({
        name: row.name,
        createdAt: row.created_at.toISOString(),
        url: urls.project(row.name),
        functions: row.functions,
        deployment: row.current_deployment === null ? null : Number(row.current_deployment),
      }));
      return c.json(pageOf('projects', page, items, (project) => project.name));
    },
  );
}
