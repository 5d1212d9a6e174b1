// DELETE /v1/projects/{project}/secrets/{secret}: forgets a secret. One that is in use stays: its routes would answer 503.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import { secretName } from '../protocol/policies/words.ts';
import { accessChanged, accessSeen } from './access.ts';
import { authReferences } from './auth-names.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { findProject, lockProject } from './project-records.ts';
import { name } from './schemas.ts';

export function removeSecret(app: ControlApp, needs: Pick<ControlContext, 'records' | 'edge' | 'log'>): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/secrets/{secret}',
      summary: 'Remove a secret',
      params: z.strictObject({ project: name, secret: secretName }),
      answers: { 204: { description: 'It is gone.' } },
      errors: ['project_not_found', 'secret_not_found', 'secret_in_use'],
    },
    async ({ params: { project, secret } }, c) => {
      await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const state = (await findProject(sql, project))!.state;
        const used = authReferences(state).find(({ kind, name: named }) => kind === 'secret' && named === secret);
        if (used !== undefined) {
          const message = `what is deployed of project '${project}' names the secret ${secret} at ${used.path.join('.')}; deploy without it first`;
          throw new VirgaError('secret_in_use', message);
        }
        const { rowCount } = await sql.query('delete from secrets where project = $1 and name = $2', [project, secret]);
        if (rowCount === 0) {
          throw new VirgaError(
            'secret_not_found',
            `project '${project}' has no secret ${secret}; \`virga secrets list\` lists those that it has`,
          );
        }
        await accessChanged(sql, project);
      });
      await accessSeen(needs, project);
      return c.body(null, 204);
    },
  );
}
