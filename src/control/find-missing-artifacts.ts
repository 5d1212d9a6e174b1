// POST /v1/artifacts/missing: which of these the server lacks, so that a client uploads only those. What it has is
// renewed, since it is about to be deployed: housekeeping leaves it alone for a while.
import { z } from '@hono/zod-openapi';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { sha256 } from './schemas.ts';

const AT_ONCE_MAX = 1_000;

export function findMissingArtifacts(app: ControlApp, { records, blobs }: Pick<ControlContext, 'records' | 'blobs'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/artifacts/missing',
      summary: 'Ask which artifacts are missing',
      body: z.strictObject({ sha256: z.array(sha256).max(AT_ONCE_MAX) }),
      answers: { 200: { description: 'Those that have to be uploaded.', schema: z.object({ missing: z.array(sha256) }) } },
      errors: [],
    },
    async ({ body }, c) => {
      const wanted = [...new Set(body.sha256)];
      // In one order, so that two of these never wait for each other in a circle.
      const { rows } = await records.query<{ sha256: string }>(
        `update artifacts set created_at = now()
          where sha256 in (select sha256 from artifacts where sha256 = any($1) order by sha256 for no key update) returning sha256`,
        [wanted],
      );
      const known = new Set(rows.map((row) => row.sha256));
      const missing: string[] = [];
      for (const sha of wanted) if (!known.has(sha) || !(await blobs.has(sha))) missing.push(sha);
      return c.json({ missing });
    },
  );
}
