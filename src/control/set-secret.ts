// PUT /v1/projects/{project}/secrets/{secret}: stores a secret, or another value of one. Invariant: the value is stored sealed and
// is in no answer, no log and no list. The project is created if need be: a deployment may need the secret before it can be made.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import { secretName } from '../protocol/policies/words.ts';
import { accessChanged, accessSeen } from './access.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invalidRequest } from './problems.ts';
import { lockOrCreateProject } from './project-records.ts';
import { name } from './schemas.ts';
import { secretContext } from '../protocol/secret-context.ts';
import { secretItem, secretItemOf } from './secrets.ts';
import type { SecretRow } from './secrets.ts';

/** Of a project. */
const SECRETS_MAX = 200;
const VALUE_BYTES_MAX = 64 * 1024;

const answer = secretItem.extend({ warning: z.string().optional() }).openapi('StoredSecret');

export function setSecret(app: ControlApp, needs: Pick<ControlContext, 'records' | 'edge' | 'sealing' | 'log'>): void {
  operation(
    app,
    {
      method: 'put',
      path: '/v1/projects/{project}/secrets/{secret}',
      summary: 'Store a secret',
      description: 'For authenticators of the gateway, which name it. The value never comes back.',
      params: z.strictObject({ project: name, secret: secretName }),
      // Checked below: what a schema refuses is quoted in the answer.
      body: z
        .strictObject({ value: z.unknown().openapi({ type: 'string', description: `At least 1 and at most ${VALUE_BYTES_MAX} bytes.` }) })
        .openapi('SecretRequest'),
      answers: { 200: { description: 'It is stored.', schema: answer } },
      errors: ['too_many', 'conflict'],
    },
    async ({ params: { project, secret }, body: { value }, principal }, c) => {
      if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > VALUE_BYTES_MAX)
        throw invalidRequest([{ path: 'value', message: `must be a text of at least 1 and at most ${VALUE_BYTES_MAX} bytes` }]);
      const sealed = needs.sealing.seal(Buffer.from(value), secretContext(project, secret));
      const row = await needs.records.transaction(async (sql) => {
        await lockOrCreateProject(sql, project);
        const { rows: counted } = await sql.query<{ count: number }>(
          'select count(*)::int as count from secrets where project = $1 and name <> $2',
          [project, secret],
        );
        if (counted[0]!.count >= SECRETS_MAX)
          throw new VirgaError('too_many', `project '${project}' has ${SECRETS_MAX} secrets, as many as it may`);
        const { rows } = await sql.query<SecretRow>(
          `insert into secrets (project, name, sealed, updated_by) values ($1, $2, $3, $4)
           on conflict (project, name) do update set sealed = excluded.sealed, updated_at = now(), updated_by = excluded.updated_by
           returning name, created_at, updated_at`,
          [project, secret, sealed, principal.tokenName],
        );
        await accessChanged(sql, project);
        return rows[0]!;
      });
      return c.json({ ...secretItemOf(row), ...(await accessSeen(needs, project)) }, 200);
    },
  );
}
