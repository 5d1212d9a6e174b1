// GET /v1/projects/{project}/invocations/{id}: one record with its log lines.
import { z } from '@hono/zod-openapi';
import { queryInvocation } from '../observe/invocation-queries.ts';
import { queryLogs } from '../observe/log-queries.ts';
import type { InvocationDetail } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invocationId, invocationRecord, logLine, name } from './schemas.ts';

const LINES_MAX = 1_000;

const detail = z
  .object({ invocation: invocationRecord, logs: z.array(logLine), logsCut: z.boolean() })
  .openapi('InvocationDetail') satisfies z.ZodType<InvocationDetail>;

export function readInvocation(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/invocations/{id}',
      summary: 'Read the record of an invocation, with its log',
      params: z.strictObject({ project: name, id: invocationId }),
      answers: { 200: { description: 'The record and at most 1,000 log lines.', schema: detail } },
      errors: ['invocation_not_found'],
    },
    async ({ params: { project, id } }, c) => {
      const invocation = await queryInvocation(records, project, id);
      if (invocation === undefined) {
        const message = `project '${project}' has no record of invocation ${id}; records are written a moment after the answer and kept for a set time`;
        throw new VirgaError('invocation_not_found', message);
      }
      const logs = await queryLogs(records, { project, invocation: id }, LINES_MAX + 1);
      return c.json({ invocation, logs: logs.slice(0, LINES_MAX), logsCut: logs.length > LINES_MAX });
    },
  );
}
