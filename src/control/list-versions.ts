// GET /v1/projects/{project}/functions/{function}/versions: newest first, also of a function that is not served any more.
import { z } from '@hono/zod-openapi';
import type { VersionItem } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { completeSettings } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { numberKey, pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery, settings, time } from './schemas.ts';

const item = z
  .object({ number: z.int(), current: z.boolean(), artifact: z.string(), artifactBytes: z.int(), settings, createdAt: time })
  .openapi('Version') satisfies z.ZodType<VersionItem>;

export function listVersions(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/functions/{function}/versions',
      summary: 'List the versions of a function, newest first',
      params: z.strictObject({ project: name, function: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found', 'function_not_found'],
    },
    async ({ params, query }, c) => {
      const list = `versions/${params.project}/${params.function}`;
      const page = pageRequest(list, query);
      const project = await requireProject(records, params.project);
      const { rows } = await records.query<{
        number: number;
        artifact: string;
        bytes: string;
        settings: VersionSettings;
        created_at: Date;
      }>(
        `select v.number, v.artifact, a.bytes, v.settings, v.created_at from versions v join artifacts a on a.sha256 = v.artifact
          where v.project = $1 and v.function = $2 and ($3::bigint is null or v.number < $3) order by v.number desc limit $4`,
        [params.project, params.function, numberKey(page.after) ?? null, page.limit + 1],
      );
      if (rows.length === 0 && page.after === undefined) throw functionNotFound(params.project, params.function);
      const state = project.state.functions[params.function];
      const current = state?.live?.version ?? state?.version;
      const items = rows.map((row) => ({
        number: row.number,
        current: row.number === current,
        artifact: row.artifact,
        artifactBytes: Number(row.bytes),
        settings: completeSettings(row.settings),
        createdAt: row.created_at.toISOString(),
      }));
      return c.json(pageOf(list, page, items, ({ number }) => String(number)));
    },
  );
}

export function functionNotFound(project: string, fn: string): VirgaError {
  return new VirgaError('function_not_found', `project '${project}' has no function '${fn}'; \`virga functions\` lists those that it has`);
}
