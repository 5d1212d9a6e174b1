// POST /v1/projects/{project}/dead-letters/redrive, GET …/redrives, one of them, POST …/redrives/{redrive}/cancel: dead letters go back to
// where they died. One message is moved at once; all of a source, or of the project, by redrives.ts, at a rate if one is given.
import { z } from '@hono/zod-openapi';
import type { QueueSpec, StoredMessage } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import type { RedriveItem, RedriveRequest } from '../protocol/events-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { deadKeys, isMeant, sourceName } from './delivery-sources.ts';
import { deadLetterNotFound, died, requireDead } from './list-dead-letters.ts';
import { findAll } from './list-deliveries.ts';
import { messageId, placeName } from './message-items.ts';
import { walk } from './message-walk.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invalidRequest } from './problems.ts';
import { requireProject } from './project-records.ts';
import { requireDeclaredQueue, requireTopology, specsOf } from './project-sources.ts';
import type { MoveSome, Redrives } from './redrives.ts';
import { name, time } from './schemas.ts';

const RATE_MAX = 100_000;

type Needs = Pick<ControlContext, 'records' | 'bus' | 'now'> & { redrives: Redrives };

const redriveId = z.string().regex(/^rdr_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the id of a redrive: rdr_ and 26 characters');

const item = z
  .object({
    id: z.string(),
    state: z.enum(['running', 'done', 'cancelled', 'failed']),
    source: z.string().nullable(),
    to: z.string().nullable(),
    rate: z.int().nullable(),
    total: z.int(),
    moved: z.int(),
    startedAt: time,
    endedAt: time.nullable(),
    error: z.string().nullable(),
  })
  .openapi('Redrive') satisfies z.ZodType<RedriveItem>;

const body = z
  .strictObject({
    source: sourceName.optional(),
    id: messageId.optional(),
    all: z.literal(true).optional(),
    to: name.optional(),
    rate: z.int().min(1).max(RATE_MAX).optional(),
  })
  .openapi('RedriveRequest') satisfies z.ZodType<RedriveRequest>;

export function redriveDeadLetters(app: ControlApp, { records, bus, redrives, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/dead-letters/redrive',
      summary: 'Send dead letters back to where they died',
      description:
        'One of `source`, `id` and `all`. They begin anew, with attempt 1. With an `id` it is done when this answers; else it runs in the background, `rate` messages a second, also after a restart, and can be looked at and cancelled. What died in a place that is not there any more stays, unless `to` names a queue.',
      params: z.strictObject({ project: name }),
      body,
      answers: {
        200: { description: 'It is done.', schema: item },
        202: { description: 'It runs.', schema: item },
      },
      errors: [
        'project_not_found',
        'source_not_found',
        'queue_not_found',
        'message_not_found',
        'redrive_running',
        'queue_full',
        'conflict',
      ],
    },
    async ({ params: { project }, body: asked }, c) => {
      if ([asked.source, asked.id, asked.all].filter((one) => one !== undefined).length !== 1)
        throw invalidRequest([{ path: 'source', message: 'is missing: give exactly one of source, id and all' }]);
      if (asked.id !== undefined && asked.rate !== undefined)
        throw invalidRequest([{ path: 'rate', message: 'is for many; with an id it is one message', value: asked.rate }]);
      const topology = await requireTopology(records, project);
      if (asked.to !== undefined) requireDeclaredQueue(topology, asked.to);
      if (asked.id !== undefined) return c.json(await redriveOne({ bus, now }, topology, { id: asked.id, to: asked.to }), 200);
      const keys = await requireDead({ bus }, topology, asked.source);
      const total = await countDead({ bus }, keys, asked.source);
      const plan = { source: asked.source ?? null, to: asked.to ?? null, rate: asked.rate ?? null, total };
      if (total === 0) return c.json(ended(plan, { id: '', now: now() }), 200);
      return c.json(await redrives.start(project, plan), 202);
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/redrives',
      summary: 'List the redrives of a project that run, and the last that ended',
      params: z.strictObject({ project: name }),
      answers: { 200: { description: 'Newest first.', schema: z.object({ items: z.array(item) }) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project } }, c) => {
      await requireProject(records, project);
      return c.json({ items: await redrives.list(project) });
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/redrives/{redrive}',
      summary: 'How far a redrive is',
      params: z.strictObject({ project: name, redrive: redriveId }),
      answers: { 200: { description: 'The redrive.', schema: item } },
      errors: ['project_not_found', 'redrive_not_found'],
    },
    async ({ params: { project, redrive } }, c) => {
      await requireProject(records, project);
      return c.json(await redrives.find(project, redrive));
    },
  );
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/redrives/{redrive}/cancel',
      summary: 'End a redrive',
      description: 'What it has moved stays where it is. It does not run any more when this answers.',
      params: z.strictObject({ project: name, redrive: redriveId }),
      answers: { 200: { description: 'The redrive as it ended.', schema: item } },
      errors: ['project_not_found', 'redrive_not_found'],
    },
    async ({ params: { project, redrive } }, c) => {
      await requireProject(records, project);
      return c.json(await redrives.cancel(project, redrive));
    },
  );
}

/** One step of a redrive: from each place of dead letters in turn. */
export function moveSome({ records, bus }: Pick<Needs, 'records' | 'bus'>): MoveSome {
  return async (project, { source, to }, max) => {
    const topology = await requireTopology(records, project);
    let moved = 0;
    for (const key of await requireDead({ bus }, topology, source ?? undefined)) {
      if (moved >= max) break;
      moved += await bus.redrive(key, {
        targetOf: targetsOf(topology, { source: source ?? undefined, to: to ?? undefined }),
        max: max - moved,
      });
    }
    return moved;
  };
}

/** Of a queue of the project's own those that died in the source; beyond what one walk reads, all that is in it counts. */
async function countDead({ bus }: Pick<Needs, 'bus'>, keys: readonly string[], source: string | undefined): Promise<number> {
  const stats = await statsOf(bus, keys);
  let total = 0;
  for (const key of keys) {
    const depth = depthOf(stats.get(key));
    if (keyParts(key).kind === 'dead') total += depth;
    else {
      const fits = (_key: string, message: StoredMessage): true | undefined => (died(message, source) ? true : undefined);
      const { items, next } = await walk(bus, { keys: [key], after: undefined, limit: depth + 1, fits });
      total += next === undefined ? items.length : depth;
    }
  }
  return total;
}

async function redriveOne(
  { bus, now }: Pick<Needs, 'bus' | 'now'>,
  topology: Topology,
  { id, to }: { id: string; to: string | undefined },
): Promise<RedriveItem> {
  const found = (await findAll({ bus }, await deadKeys(bus, topology), id)).filter(({ message }) => died(message, undefined));
  if (found.length === 0) throw deadLetterNotFound(id, topology.project);
  let moved = 0;
  for (const { key } of found) moved += await bus.redrive(key, { targetOf: targetsOf(topology, { source: undefined, to }), max: 1, id });
  if (moved === 0) {
    const from = placeName(found[0]!.message.died!.from);
    throw new VirgaError(
      'conflict',
      `${id} died in ${from}, which is not there any more; say where to: \`to\` names a queue of the project`,
    );
  }
  return ended({ source: null, to: to ?? null, rate: null, total: found.length }, { id: '', now: now(), moved });
}

function targetsOf(
  topology: Topology,
  { source, to }: { source: string | undefined; to: string | undefined },
): (from: string) => QueueSpec | undefined {
  const specs = specsOf(topology);
  const target = to === undefined ? undefined : topology.queues.get(to)?.spec;
  return (from) => {
    if (keyParts(from).project !== topology.project || (source !== undefined && !isMeant(placeName(from), source))) return undefined;
    return to === undefined ? specs.get(from) : target;
  };
}

function ended(
  plan: Pick<RedriveItem, 'source' | 'to' | 'rate' | 'total'>,
  { id, now, moved = 0 }: { id: string; now: number; moved?: number },
): RedriveItem {
  const at = new Date(now).toISOString();
  return { id, state: 'done', ...plan, moved, startedAt: at, endedAt: at, error: null };
}
