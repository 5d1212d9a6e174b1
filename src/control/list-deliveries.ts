// GET /v1/projects/{project}/deliveries: messages on their way in all queues of a project, and those that died; and all deliveries of one
// message, which may go to several places. Invariant: payloads are in the answer only where they were asked for.
import { z } from '@hono/zod-openapi';
import type { QueueStats, StoredMessage } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { DeliveryDetail, DeliveryItem, DeliveryState } from '../protocol/events-api.ts';
import { depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { delivery, deliveryOf, deliveryState } from './delivery-items.ts';
import { deadKeys, deliveryKeys, isMeant, requireSource, sourceName } from './delivery-sources.ts';
import { attributes, bodyOf, flag, messageId } from './message-items.ts';
import { walk } from './message-walk.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOfWalk, pageRequest } from './pagination.ts';
import { messageNotFound } from './peek-messages.ts';
import { hint, requireTopology } from './project-sources.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';
import { VirgaError } from '../protocol/errors.ts';

type Needs = Pick<ControlContext, 'records' | 'bus'>;

const detail = z
  .object({ id: z.string(), items: z.array(delivery.extend({ attributes, body: z.string().optional() })) })
  .openapi('DeliveryDetail') satisfies z.ZodType<{ id: string; items: object[] }>;

export function listDeliveries(app: ControlApp, { records, bus }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/deliveries',
      summary: 'List the messages of a project that are on their way, or dead',
      description:
        'Queue by queue, each in the order of its messages. A page may have fewer items than `limit` and a `next` all the same: where few of many messages fit the filters, each page looks through some of them.',
      params: z.strictObject({ project: name }),
      query: z.strictObject({
        ...pageQuery,
        state: deliveryState.optional(),
        function: name.optional(),
        source: sourceName.optional().openapi({
          description: 'e.g. `orders`, `queue/orders`, `topic/prices` (all its subscriptions), `async`; of a dead letter: where it died.',
        }),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(delivery) } },
      errors: ['project_not_found', 'function_not_found', 'source_not_found'],
    },
    async ({ params: { project }, query: { state, function: fn, source, ...query } }, c) => {
      const list = `deliveries/${project}/${state ?? ''}/${fn ?? ''}/${source ?? ''}`;
      const page = pageRequest(list, query);
      const topology = await requireTopology(records, project);
      const [own, dead] = [await deliveryKeys(bus, project), await bus.keys(`${project}/dead/`)];
      const stats = await statsOf(bus, [...own, ...dead]);
      if (source !== undefined) requireSource(topology, source, [...own, ...dead.map(deathPlaceOf)]);
      if (fn !== undefined && !topology.async.has(fn) && !topology.consumers.some((one) => one.function === fn)) {
        const known = [...new Set(topology.consumers.flatMap((one) => one.function ?? []))];
        throw new VirgaError('function_not_found', `project '${project}' has no function '${fn}'${hint(fn, known, 'functions')}`);
      }
      const keys = [...own, ...dead].sort().filter((key) => mayHave(key, stats.get(key), state));
      const fits = (key: string, message: StoredMessage): DeliveryItem | undefined => {
        const item = deliveryOf(topology, key, message);
        if (state !== undefined && item.state !== state) return undefined;
        if (source !== undefined && !isMeant(item.source, source)) return undefined;
        return fn === undefined || item.function === fn ? item : undefined;
      };
      return c.json(pageOfWalk(list, await walk(bus, { keys, after: page.after, limit: page.limit, fits })));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/deliveries/{message}',
      summary: 'The deliveries of one message: where it is on its way to, and where it died',
      params: z.strictObject({ project: name, message: messageId }),
      query: z.strictObject({ body: flag.openapi({ description: '`true`: with the body.' }) }),
      answers: { 200: { description: 'Its deliveries that are not done.', schema: detail } },
      errors: ['project_not_found', 'message_not_found'],
    },
    async ({ params: { project, message: id }, query }, c) => {
      const topology = await requireTopology(records, project);
      const found = await findAll({ bus }, [...(await deliveryKeys(bus, project)), ...(await deadKeys(bus, topology))], id);
      if (found.length === 0) throw deliveryNotFound(id, project);
      const items = found.map(({ key, message }) => ({
        ...deliveryOf(topology, key, message),
        attributes: message.attributes,
        ...bodyOf(message, query.body === 'true' ? 'whole' : 'none'),
      }));
      return c.json({ id, items } satisfies DeliveryDetail);
    },
  );
}

/** The message in each of these queues that has it. */
export async function findAll(
  { bus }: Pick<Needs, 'bus'>,
  keys: readonly string[],
  id: string,
): Promise<{ key: string; message: StoredMessage }[]> {
  const stats = await statsOf(bus, [...new Set(keys)]);
  const found: { key: string; message: StoredMessage }[] = [];
  for (const [key, one] of stats) {
    const message = depthOf(one) === 0 ? undefined : await bus.find(key, id);
    if (message !== undefined) found.push({ key, message });
  }
  return found;
}

export function deliveryNotFound(id: string, project: string): VirgaError {
  return messageNotFound(id, `the queues of project '${project}'`);
}

/** Of a queue of dead letters: the key of what died there. */
export function deathPlaceOf(key: string): string {
  const { project, name: place } = keyParts(key);
  return `${project}/${place}`;
}

/** What the statistics rule out is not read. */
function mayHave(key: string, stats: QueueStats | undefined, state: DeliveryState | undefined): boolean {
  if (depthOf(stats) === 0) return false;
  const dead = keyParts(key).kind === 'dead';
  if (state === undefined) return true;
  // Between two readings of the clock a delayed message may have become due.
  return state === 'dead' ? dead : !dead && (state === 'held' ? stats!.held > 0 : stats!.pending + stats!.delayed > 0);
}
