// GET /v1/projects/{project}/dead-letters, one, and DELETE: messages that were given up, wherever they lie: kept by Virga, or in a queue
// of the project that is named for them. Invariant: a body is in the answer only where it was asked for; nothing but dead letters is dropped.
import { z } from '@hono/zod-openapi';
import type { StoredMessage } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import type { DeadLetterItem } from '../protocol/events-api.ts';
import { depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { deadLetter, deadLetterOf } from './delivery-items.ts';
import { deadKeys, deliveryKeys, isMeant, requireSource, sourceName } from './delivery-sources.ts';
import { deathPlaceOf, findAll } from './list-deliveries.ts';
import { flag, messageId, messagePage, placeName } from './message-items.ts';
import { walk } from './message-walk.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOfWalk, pageRequest } from './pagination.ts';
import { messageNotFound } from './peek-messages.ts';
import { invalidRequest } from './problems.ts';
import { requireTopology, specsOf } from './project-sources.ts';
import { name, pageOf as pageSchema } from './schemas.ts';

type Needs = Pick<ControlContext, 'records' | 'bus'>;

const source = sourceName
  .optional()
  .openapi({ description: 'Where they died: `orders`, `queue/orders`, `topic/prices`, `async/resize`, …' });

export function listDeadLetters(app: ControlApp, { records, bus }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/dead-letters',
      summary: 'List the dead letters of a project',
      description: 'Place by place, each in the order of their deaths. A page may have fewer items than `limit` and a `next` all the same.',
      params: z.strictObject({ project: name }),
      query: z.strictObject({ ...messagePage, source, body: flag.openapi({ description: '`true`: with the beginning of the bodies.' }) }),
      answers: { 200: { description: 'A page.', schema: pageSchema(deadLetter) } },
      errors: ['project_not_found', 'source_not_found'],
    },
    async ({ params: { project }, query: { source: asked, body, ...query } }, c) => {
      const list = `dead-letters/${project}/${asked ?? ''}`;
      const page = pageRequest(list, query);
      const topology = await requireTopology(records, project);
      const keys = await requireDead({ bus }, topology, asked);
      const shown = { specs: specsOf(topology), body: body === 'true' ? ('begin' as const) : ('none' as const) };
      const fits = (key: string, message: StoredMessage): DeadLetterItem | undefined =>
        died(message, asked) ? deadLetterOf(key, message, shown) : undefined;
      return c.json(pageOfWalk(list, await walk(bus, { keys, after: page.after, limit: page.limit, fits })));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/dead-letters/{message}',
      summary: 'One dead letter; the places of a message that died in several',
      params: z.strictObject({ project: name, message: messageId }),
      query: z.strictObject({ body: flag.openapi({ description: '`true`: with the body.' }) }),
      answers: { 200: { description: 'The dead letter, for each place where it died.', schema: z.object({ items: z.array(deadLetter) }) } },
      errors: ['project_not_found', 'message_not_found'],
    },
    async ({ params: { project, message: id }, query }, c) => {
      const topology = await requireTopology(records, project);
      const shown = { specs: specsOf(topology), body: query.body === 'true' ? ('whole' as const) : ('none' as const) };
      const found = await findAll({ bus }, await deadKeys(bus, topology), id);
      const items = found.flatMap(({ key, message }) => deadLetterOf(key, message, shown) ?? []);
      if (items.length === 0) throw deadLetterNotFound(id, project);
      return c.json({ items });
    },
  );
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/dead-letters',
      summary: 'Drop dead letters',
      params: z.strictObject({ project: name }),
      query: z.strictObject({ source, id: messageId.optional(), all: z.literal('true').optional() }),
      answers: { 200: { description: 'How many were dropped.', schema: z.object({ purged: z.int() }) } },
      errors: ['project_not_found', 'source_not_found', 'message_not_found'],
    },
    async ({ params: { project }, query: { source: asked, id, all } }, c) => {
      if ([asked, id, all].filter((one) => one !== undefined).length !== 1)
        throw invalidRequest([{ path: '?source', message: 'is missing: give exactly one of source, id and all=true' }]);
      const topology = await requireTopology(records, project);
      const keys = await requireDead({ bus }, topology, asked);
      const purged = id === undefined ? await purge({ bus }, keys, asked) : await purgeOne({ bus }, keys, id);
      if (id !== undefined && purged === 0) throw deadLetterNotFound(id, project);
      return c.json({ purged });
    },
  );
}

/** The places of dead letters that are not empty, where the source is checked to exist. */
export async function requireDead({ bus }: Pick<Needs, 'bus'>, topology: Topology, asked: string | undefined): Promise<string[]> {
  const keys = await deadKeys(bus, topology);
  if (asked !== undefined) requireSource(topology, asked, [...(await deliveryKeys(bus, topology.project)), ...keys.map(deathPlaceOf)]);
  const stats = await statsOf(bus, keys);
  return keys.filter(
    (key) =>
      depthOf(stats.get(key)) > 0 && (asked === undefined || keyParts(key).kind !== 'dead' || isMeant(placeName(deathPlaceOf(key)), asked)),
  );
}

/** Whether it is a dead letter, and died in what is asked for. */
export function died(message: StoredMessage, asked: string | undefined): boolean {
  return message.died !== null && (asked === undefined || isMeant(placeName(message.died.from), asked));
}

export function deadLetterNotFound(id: string, project: string) {
  return messageNotFound(id, `the dead letters of project '${project}'`);
}

async function purge({ bus }: Pick<Needs, 'bus'>, keys: readonly string[], asked: string | undefined): Promise<number> {
  let purged = 0;
  for (const key of keys) {
    // A queue of Virga's own holds nothing else; in one of the project's each is looked at.
    if (keyParts(key).kind === 'dead') {
      purged += await bus.purge(key);
      continue;
    }
    let after: string | undefined;
    do {
      const { items, next } = await walk(bus, {
        keys: [key],
        after,
        limit: 1_000,
        fits: (_key, one) => (died(one, asked) ? one.id : undefined),
      });
      for (const id of items) purged += await bus.purge(key, { id });
      after = next;
    } while (after !== undefined);
  }
  return purged;
}

async function purgeOne({ bus }: Pick<Needs, 'bus'>, keys: readonly string[], id: string): Promise<number> {
  let purged = 0;
  for (const { key, message } of await findAll({ bus }, keys, id)) if (message.died !== null) purged += await bus.purge(key, { id });
  return purged;
}
