// POST /v1/projects/{project}/keys/{key}/rotate: gives an API key a new secret; the old one is accepted for a while longer.
// Invariant: at most two secrets of a key are accepted, the one before the last rotation only within its grace time.
import { z } from '@hono/zod-openapi';
import { createHash } from 'node:crypto';
import { durationMs } from '../lib/units.ts';
import { newKey } from '../protocol/api-key.ts';
import type { KeyAnswer } from '../protocol/control-api.ts';
import { accessChanged, accessSeen, KEY_COLUMNS, keyAnswer, keyId, keyItemOf, keyNotFound } from './access.ts';
import type { KeyRow } from './access.ts';
import type { ControlContext } from './context.ts';
import { keyDuration } from './create-key.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { lockProject } from './project-records.ts';
import { name } from './schemas.ts';

const GRACE_MS = 24 * 3_600_000;

export function rotateKey(app: ControlApp, needs: Pick<ControlContext, 'records' | 'edge' | 'log' | 'now'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/keys/{key}/rotate',
      summary: 'Give an API key a new secret',
      description: 'The old one is accepted for `grace` longer (without it 24h). The answer has the new key, which is shown this once.',
      params: z.strictObject({ project: name, key: keyId }),
      body: z.strictObject({ grace: keyDuration.optional() }),
      answers: { 200: { description: 'The key.', schema: keyAnswer } },
      errors: ['project_not_found', 'key_not_found'],
    },
    async ({ params: { project, key: id }, body: { grace } }, c) => {
      const key = newKey(id.slice(3));
      const graceMs = grace === undefined ? GRACE_MS : durationMs(grace)!;
      const row = await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const { rows } = await sql.query<KeyRow>(
          `update api_keys set previous_hash = hash, previous_until = $4, hash = $3, rotated_at = $5
            where project = $1 and id = $2 and revoked_at is null returning ${KEY_COLUMNS}`,
          [project, id.slice(3), createHash('sha256').update(key).digest(), new Date(needs.now() + graceMs), new Date(needs.now())],
        );
        if (rows[0] === undefined) throw keyNotFound(project, id);
        await accessChanged(sql, project);
        return rows[0];
      });
      const answer: KeyAnswer = { ...keyItemOf(row, needs.now()), key, ...(await accessSeen(needs, project)) };
      return c.json(answer, 200);
    },
  );
}
