// DELETE /v1/projects/{project}/keys/{key}: revokes an API key; the edge refuses it from then on.
import { z } from '@hono/zod-openapi';
import type { RevokedKey } from '../protocol/control-api.ts';
import { accessChanged, accessSeen, keyId, keyNotFound } from './access.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { lockProject } from './project-records.ts';
import { name } from './schemas.ts';

const answer = z.object({ id: z.string(), warning: z.string().optional() }).openapi('RevokedKey');

export function revokeKey(app: ControlApp, needs: Pick<ControlContext, 'records' | 'edge' | 'log'>): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/keys/{key}',
      summary: 'Revoke an API key',
      params: z.strictObject({ project: name, key: keyId }),
      answers: { 200: { description: 'It is revoked.', schema: answer } },
      errors: ['project_not_found', 'key_not_found'],
    },
    async ({ params: { project, key: id } }, c) => {
      await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const { rowCount } = await sql.query(
          'update api_keys set revoked_at = now() where project = $1 and id = $2 and revoked_at is null',
          [project, id.slice(3)],
        );
        if (rowCount === 0) throw keyNotFound(project, id);
        await accessChanged(sql, project);
      });
      const revoked: RevokedKey = { id, ...(await accessSeen(needs, project)) };
      return c.json(revoked, 200);
    },
  );
}
