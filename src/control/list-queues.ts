// GET /v1/projects/{project}/queues, and one of them: how much is in each, who takes it, and how fast it moves. Queues that left virga.yaml
// are listed as removed while the bus has them, so that no message is out of sight.
import { z } from '@hono/zod-openapi';
import { deadKey, keyParts } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import type { QueueItem, QueueRates as Rates } from '../protocol/events-api.ts';
import { backlogOf, backlogShape, depthOf, statsOf, totals } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { namedQueues, requireQueue, requireTopology } from './project-sources.ts';
import type { NamedQueue } from './project-sources.ts';
import { QueueRates } from './queue-rates.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';

const rate = z.number();
const rates = z.object({
  overMs: z.int(),
  sent: rate,
  done: rate,
  retried: rate,
  dead: rate,
}) satisfies z.ZodType<Rates>;

const item = z
  .object({
    name: z.string(),
    state: z.enum(['active', 'removed']),
    fifo: z.boolean().nullable(),
    function: z.string().nullable(),
    ...backlogShape,
    deadLetters: z.int().nullable(),
    deadLettersTo: z.string().nullable(),
    limits: z.object({ messages: z.int(), bytes: z.int() }).nullable(),
    totals,
    rates: rates.nullable(),
  })
  .openapi('Queue') satisfies z.ZodType<QueueItem>;

type Needs = Pick<ControlContext, 'records' | 'bus' | 'now'>;

export function listQueues(app: ControlApp, { records, bus, now }: Needs): void {
  const readings = new QueueRates();
  const itemsOf = async (topology: Topology, queues: readonly NamedQueue[]): Promise<QueueItem[]> => {
    const places = queues.map(({ key, declared }) => declared?.spec.dead ?? deadKey(key));
    const stats = await statsOf(bus, [...new Set([...queues.map(({ key }) => key), ...places])]);
    return queues.map(({ name: queue, key, declared }, index): QueueItem => {
      const own = stats.get(key);
      const place = keyParts(places[index]!);
      return {
        name: queue,
        state: declared === undefined ? 'removed' : 'active',
        fifo: declared?.spec.fifo ?? null,
        function: takerOf(topology, key),
        ...backlogOf(own),
        deadLetters: place.kind === 'dead' ? depthOf(stats.get(places[index]!)) : null,
        deadLettersTo: place.kind === 'dead' ? null : place.name,
        limits: declared === undefined ? null : { messages: declared.spec.messagesMax, bytes: declared.spec.bytesMax },
        totals: { sent: own?.sent ?? 0, done: own?.done ?? 0, retried: own?.retried ?? 0, dead: own?.dead ?? 0 },
        rates: readings.of(own, now()),
      };
    });
  };

  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/queues',
      summary: 'List the queues of a project, by name',
      description: 'Those that virga.yaml does not name any more are listed as `removed` until nothing is left in them.',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `queues/${project}`;
      const page = pageRequest(list, query);
      const topology = await requireTopology(records, project);
      const queues = (await namedQueues(bus, topology)).filter((queue) => queue.name > (page.after ?? ''));
      const items = await itemsOf(topology, queues.slice(0, page.limit + 1));
      return c.json(pageOf(list, page, items, (queue) => queue.name));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/queues/{queue}',
      summary: 'One queue',
      params: z.strictObject({ project: name, queue: name }),
      answers: { 200: { description: 'The queue.', schema: item } },
      errors: ['project_not_found', 'queue_not_found'],
    },
    async ({ params: { project, queue } }, c) => {
      const topology = await requireTopology(records, project);
      const [found] = await itemsOf(topology, [await requireQueue(bus, topology, queue)]);
      return c.json(found!);
    },
  );
}

/** The function that takes what is in a queue of the bus. */
export function takerOf(topology: Topology, key: string): string | null {
  return topology.consumers.find(({ queue }) => queue.key === key)?.function ?? null;
}
