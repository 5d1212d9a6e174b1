// DELETE /v1/projects/{project}: removes everything of it, what is on the bus too, but its records, which stay for their time.
import { z } from '@hono/zod-openapi';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { dropAll } from './left-queues.ts';
import { findProject, lockProject } from './project-records.ts';
import { name } from './schemas.ts';

export function removeProject(
  app: ControlApp,
  { records, bus, edge, log }: Pick<ControlContext, 'records' | 'bus' | 'edge' | 'log'>,
): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}',
      summary: 'Remove a project',
      description:
        'Its functions, versions, deployments, and the messages of its queues go; records of invocations and log lines stay for their time.',
      params: z.strictObject({ project: name }),
      answers: { 204: { description: 'It is gone.' } },
      errors: ['project_not_found', 'conflict'],
    },
    async ({ params: { project } }, c) => {
      await records.transaction(async (sql) => {
        await lockProject(sql, project);
        await sql.query('delete from projects where name = $1', [project]);
        await sql.query('delete from usage_counters where project = $1', [project]);
        await sql.query('delete from async_invocations where project = $1', [project]);
        await sql.query('delete from recordings where project = $1', [project]);
        // While the row is locked nobody can make it anew, and so lose what it sends.
        await dropAll({ bus }, project);
        // Its keys and secrets go with it.
        await sql.query(`select pg_notify('virga_access', $1), pg_notify('virga_deployments', '0')`, [project]);
      });
      try {
        // A removal has no deployment of its own: 0 asks the edge to take up whatever there is now.
        await edge.sync(0);
      } catch (error) {
        log('warn', 'the edge did not confirm the removal of a project', {
          project,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
      // What its functions have sent until the edge let go of it.
      if ((await findProject(records, project)) === undefined) await dropAll({ bus }, project);
      return c.body(null, 204);
    },
  );
}
