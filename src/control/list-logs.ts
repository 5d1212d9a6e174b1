// GET /v1/projects/{project}/logs: log lines, oldest first: a page, the last ones, or, with follow=true, a stream of
// NDJSON without end. Records outlive projects, so that the project exists is asked only when there is nothing to show.
import { z } from '@hono/zod-openapi';
import { queryLastLogs, queryLogs } from '../observe/log-queries.ts';
import type { LogFilter } from '../observe/log-queries.ts';
import type { ControlContext } from './context.ts';
import type { LogFollowers } from './log-followers.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { invalidRequest } from './problems.ts';
import { requireProject } from './project-records.ts';
import { invocationId, logId, logLine, name, pageOf as pageSchema, pageQuery, wholeNumber } from './schemas.ts';
import { sinceMs } from './since.ts';

type Needs = Pick<ControlContext, 'records' | 'limits' | 'now'> & { followers: LogFollowers };

const query = z.strictObject({
  ...pageQuery,
  function: name.optional(),
  invocation: invocationId.optional(),
  since: z.string().max(64).optional().openapi({ description: 'How long ago (90s, 10m, 2h, 7d) or an ISO 8601 time.' }),
  after: logId.optional().openapi({ description: 'Only lines after the one with this id.' }),
  last: wholeNumber
    .refine((last) => last >= 1 && last <= 1_000, 'must be from 1 to 1000')
    .optional()
    .openapi({ type: 'integer', description: 'The newest so many lines that the other filters leave (following: begin with them).' }),
  follow: z
    .enum(['true', 'false'])
    .optional()
    .openapi({ description: 'Stream lines as they come, as NDJSON; an empty line says that the stream is alive.' }),
});

export function listLogs(app: ControlApp, { records, now, followers }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/logs',
      summary: 'Read or follow the log of a project, oldest line first',
      description:
        'With `follow=true` the answer is `application/x-ndjson`, a line each, and begins now unless `since`, `after` or `last` say otherwise; its header `x-virga-after` is the id after which it begins, for taking up a lost connection with `?after=`.',
      params: z.strictObject({ project: name }),
      query,
      answers: { 200: { description: 'A page, or a stream of lines.', schema: pageSchema(logLine) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query: asked }, c) => {
      const follow = asked.follow === 'true' && c.req.method === 'GET';
      if (asked.cursor !== undefined && (follow || asked.last !== undefined)) {
        throw invalidRequest([{ path: '?cursor', message: 'does not go with follow or last; use after', value: asked.cursor }]);
      }
      const since = sinceMs(asked.since, now());
      const filter: LogFilter = { project, function: asked.function, invocation: asked.invocation, sinceMs: since, after: asked.after };
      if (follow) {
        await requireProject(records, project);
        return await followers.follow(filter, { last: asked.last, requestId: c.get('requestId') });
      }
      if (asked.last !== undefined) return c.json({ items: await queryLastLogs(records, filter, asked.last), next: null });
      const list = `logs/${project}/${asked.function ?? ''}/${asked.invocation ?? ''}`;
      const page = pageRequest(list, asked);
      const items = await queryLogs(records, { ...filter, after: page.after ?? filter.after }, page.limit + 1);
      if (items.length === 0) await requireProject(records, project);
      return c.json(pageOf(list, page, items, ({ id }) => id));
    },
  );
}
