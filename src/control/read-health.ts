// GET /v1/health: open; says that the control API answers and nothing more. `virga status` asks /v1/status.
import { z } from '@hono/zod-openapi';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';

export function readHealth(app: ControlApp): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/health',
      summary: 'Whether the control API answers',
      open: true,
      answers: { 200: { description: 'It does.', schema: z.object({ status: z.literal('ok') }) } },
      errors: [],
    },
    (_input, c) => c.json({ status: 'ok' }),
  );
}
