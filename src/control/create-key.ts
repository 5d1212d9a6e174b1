// POST /v1/projects/{project}/keys: makes an API key. Invariant: the key is in this one answer and nowhere else; only its sha256
// is stored.
import { z } from '@hono/zod-openapi';
import { createHash } from 'node:crypto';
import { durationMs } from '../lib/units.ts';
import { newKey, newKeyId } from '../protocol/api-key.ts';
import type { KeyAnswer, NewKey } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { KEY_ROUTE_RULE, parseKeyRoute } from '../protocol/key-route.ts';
import { accessChanged, accessSeen, KEY_COLUMNS, keyAnswer, keyItemOf } from './access.ts';
import type { KeyRow } from './access.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { lockProject } from './project-records.ts';
import { name } from './schemas.ts';

type Needs = Pick<ControlContext, 'records' | 'edge' | 'limits' | 'log' | 'now'>;

const LIST_MAX = 100;
const EXPIRES_MAX_MS = 100 * 366 * 86_400_000;

/** What is given in days as well: `90d`. */
export const keyDuration = z
  .string()
  .refine((text) => (durationMs(text) ?? -1) >= 0 && durationMs(text)! <= EXPIRES_MAX_MS, 'must be a duration such as 90d, 12h or 30m');

const body = z
  .strictObject({
    name: z.string().max(200).optional(),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'must be a scope: no spaces, no quotes'))
      .max(LIST_MAX)
      .optional(),
    plan: name.optional(),
    routes: z
      .array(z.string().refine((text) => parseKeyRoute(text) !== undefined, `must be ${KEY_ROUTE_RULE}`))
      .min(1)
      .max(LIST_MAX)
      .optional(),
    expires: keyDuration.optional(),
  })
  .openapi('KeyRequest') satisfies z.ZodType<NewKey>;

export function createKey(app: ControlApp, needs: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/keys',
      summary: 'Make an API key',
      description: 'For routes whose `auth` takes keys. The answer has the key, which is shown this once.',
      params: z.strictObject({ project: name }),
      body,
      answers: { 201: { description: 'The key.', schema: keyAnswer } },
      errors: ['project_not_found', 'too_many'],
    },
    async ({ params: { project }, body: asked, principal }, c) => {
      const id = newKeyId();
      const key = newKey(id);
      const expiresMs = asked.expires === undefined ? undefined : durationMs(asked.expires)!;
      const row = await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const { rows: counted } = await sql.query<{ count: number }>(
          'select count(*)::int as count from api_keys where revoked_at is null',
        );
        const { apiKeysMax } = needs.limits;
        if (counted[0]!.count >= apiKeysMax) {
          throw new VirgaError(
            'too_many',
            `this node has ${apiKeysMax} API keys, as many as it may (VIRGA_LIMIT_API_KEYS); revoke some first`,
          );
        }
        const { rows } = await sql.query<KeyRow>(
          `insert into api_keys (id, project, name, hash, scopes, plan, routes, created_by, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning ${KEY_COLUMNS}`,
          [
            id,
            project,
            asked.name ?? '',
            createHash('sha256').update(key).digest(),
            asked.scopes ?? [],
            asked.plan ?? null,
            asked.routes ?? null,
            principal.tokenName,
            expiresMs === undefined ? null : new Date(needs.now() + expiresMs),
          ],
        );
        await accessChanged(sql, project);
        return rows[0]!;
      });
      const answer: KeyAnswer = { ...keyItemOf(row, needs.now()), key, ...(await accessSeen(needs, project)) };
      return c.json(answer, 201);
    },
  );
}
