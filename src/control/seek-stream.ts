// POST /v1/projects/{project}/streams/{stream}/consumers/{function}/seek: sets where a function goes on reading, so that it reads records
// again or passes over some. The batch that is under way is handled, and not committed; windows begin afresh.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import type { SeekAnswer, SeekRequest } from '../protocol/streams-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invalidRequest } from './problems.ts';
import { hint, requireTopology } from './project-sources.ts';
import { name } from './schemas.ts';
import { partitionsOf, requireStream } from './stream-facts.ts';
import { placeOf } from './stream-places.ts';

const body = z
  .strictObject({ to: z.string().min(1).max(64), partition: z.int().min(0).max(255).optional() })
  .openapi('SeekRequest') satisfies z.ZodType<SeekRequest>;
const answer = z
  .object({ partitions: z.array(z.object({ partition: z.int(), from: z.int(), to: z.int() })) })
  .openapi('Sought') satisfies z.ZodType<SeekAnswer>;

export function seekStream(app: ControlApp, { records, bus, now }: Pick<ControlContext, 'records' | 'bus' | 'now'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/streams/{stream}/consumers/{function}/seek',
      summary: 'Set where a function goes on reading a stream',
      description:
        '`to` is `oldest`, `newest`, a time, how long ago, or a position: the first record that it gets then. Windows of its trigger begin afresh.',
      params: z.strictObject({ project: name, stream: name, function: name }),
      body,
      answers: { 200: { description: 'Where it was, and where it goes on.', schema: answer } },
      errors: ['project_not_found', 'stream_not_found', 'consumer_not_found'],
    },
    async ({ params: { project, stream, function: fn }, body: { to, partition } }, c) => {
      const found = await requireStream(bus, await requireTopology(records, project), stream);
      const all = await bus.consumers(found.key);
      const known = [...new Set([...found.functions, ...all.map(({ consumer }) => consumer)])].sort();
      if (!known.includes(fn)) {
        throw new VirgaError(
          'consumer_not_found',
          `no function '${fn}' reads the stream '${stream}'${hint(fn, known, 'functions that do')}`,
        );
      }
      const partitions = await partitionsOf(bus, found);
      if (partition !== undefined && partition >= partitions.length)
        throw invalidRequest([{ path: 'partition', message: `must be from 0 to ${partitions.length - 1}`, value: partition }]);
      const wanted = partitions.filter((one) => partition === undefined || one.partition === partition);
      const asked = { path: 'to', to, nowMs: now(), single: wanted.length === 1 };
      // All are known before the first moves.
      const places = await Promise.all(wanted.map((stats) => placeOf(bus, found.key, { ...asked, stats })));
      const moved: SeekAnswer['partitions'] = [];
      for (const [index, one] of wanted.entries()) {
        const from = all.find((row) => row.consumer === fn && row.partition === one.partition)?.position ?? 0;
        await bus.seek(found.key, fn, one.partition, places[index]!);
        moved.push({ partition: one.partition, from, to: places[index]! });
      }
      return c.json({ partitions: moved } satisfies SeekAnswer);
    },
  );
}
