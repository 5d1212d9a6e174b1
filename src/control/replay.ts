// POST /v1/projects/{project}/replay: runs again what has this id, against any version. Invariant: the edge makes the call, as every
// call; here is only found what it was.
import { z } from '@hono/zod-openapi';
import { replay } from '../events/replay/replay.ts';
import type { ReplayAnswer } from '../protocol/replay-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireTopology } from './project-sources.ts';
import { replayedId, replayResult, replaySource } from './recordings.ts';
import { name } from './schemas.ts';

const run = {
  version: z.int().nullable(),
  invocation: z.string().nullable(),
  result: replayResult.nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
};
const answer = z
  .object({
    ...run,
    id: z.string(),
    source: z.string(),
    function: z.string(),
    redacted: z.array(z.string()),
    compared: z.object({ ...run, with: z.enum(['recorded', 'served']) }).nullable(),
    differences: z
      .array(
        z.union([
          z.object({ at: z.string(), lines: z.array(z.string()) }),
          z.object({ at: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
        ]),
      )
      .nullable(),
  })
  .openapi('ReplayAnswer') satisfies z.ZodType<ReplayAnswer>;

type Needs = Pick<ControlContext, 'records' | 'bus' | 'edge' | 'async' | 'limits' | 'now'>;

export function replayOne(app: ControlApp, { records, bus, edge, async, limits, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/replay',
      summary: 'Run again what passed, against any version',
      description:
        'What is named by `id`: a recorded event or request, an asynchronous invocation that has ended, a dead letter, a message that waits, or a record of a stream by its place (`clicks/0:17`: stream, partition, position). It is a real call, with all that the function does; what it is made from stays as it is.',
      params: z.strictObject({ project: name }),
      body: z.strictObject({
        id: replayedId,
        version: z.int().min(1).optional().openapi({ description: 'Default: the one that is served.' }),
        function: name.optional().openapi({ description: 'Which, where several functions got it; or any other.' }),
        source: replaySource.optional().openapi({ description: 'Which, where it passed several places.' }),
        diff: z
          .boolean()
          .optional()
          .openapi({ description: 'Compare with the recorded answer, or else with that of the version that is served, which is run too.' }),
      }),
      answers: { 200: { description: 'It ran.', schema: answer } },
      errors: [
        'project_not_found',
        'function_not_found',
        'version_not_found',
        'recording_not_found',
        'replay_impossible',
        'function_overloaded',
      ],
    },
    async ({ params: { project }, body }, c) => {
      const topology = await requireTopology(records, project);
      const parts = { sql: records, bus, async: async.records, now, invoke: (call: Parameters<typeof edge.call>[0]) => edge.call(call) };
      return c.json(await replay({ ...parts, answerBytesMax: limits.asyncAnswerBytesMax }, topology, body));
    },
  );
}
