// GET /v1/projects/{project}/streams, and one of them: how much is kept, how fast it comes, and how far each function has read.
import { z } from '@hono/zod-openapi';
import type { StreamFacts } from '../protocol/streams-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireTopology } from './project-sources.ts';
import { name, pageOf as pageSchema, pageQuery, time } from './schemas.ts';
import { factsOf, namedStreams, requireStream } from './stream-facts.ts';

const state = z.enum(['active', 'removed']);
const consumer = z.object({
  function: z.string(),
  state,
  lag: z.int(),
  lagMs: z.int(),
  missed: z.int(),
  partitions: z.array(z.object({ partition: z.int(), position: z.int(), lag: z.int(), missed: z.int(), heldUntil: time.nullable() })),
});
const item = z
  .object({
    name: z.string(),
    state,
    records: z.int(),
    bytes: z.int(),
    perSecond: z.number(),
    oldestAt: time.nullable(),
    newestAt: time.nullable(),
    limits: z.object({ retentionMs: z.int(), bytes: z.int() }).nullable(),
    partitions: z.array(z.object({ partition: z.int(), oldest: z.int(), newest: z.int(), bytes: z.int() })),
    consumers: z.array(consumer),
  })
  .openapi('Stream') satisfies z.ZodType<StreamFacts>;

export function listStreams(app: ControlApp, { records, bus, now }: Pick<ControlContext, 'records' | 'bus' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/streams',
      summary: 'List the streams of a project, by name',
      description: 'Those that virga.yaml does not name any more are listed as `removed` while their records are kept.',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `streams/${project}`;
      const page = pageRequest(list, query);
      const all = await namedStreams(bus, await requireTopology(records, project));
      const items: StreamFacts[] = [];
      // One after the other: each asks several questions of the bus at once.
      for (const stream of all.filter((one) => one.name > (page.after ?? '')).slice(0, page.limit + 1))
        items.push(await factsOf(bus, stream, now()));
      return c.json(pageOf(list, page, items, (stream) => stream.name));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/streams/{stream}',
      summary: 'One stream',
      params: z.strictObject({ project: name, stream: name }),
      answers: { 200: { description: 'The stream.', schema: item } },
      errors: ['project_not_found', 'stream_not_found'],
    },
    async ({ params: { project, stream } }, c) => {
      const found = await requireStream(bus, await requireTopology(records, project), stream);
      return c.json(await factsOf(bus, found, now()));
    },
  );
}
