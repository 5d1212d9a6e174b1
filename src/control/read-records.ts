// GET /v1/projects/{project}/streams/{stream}/records: looks at the records of a stream, from wherever, and waits for more where asked.
// Nobody's position moves. Invariant: `next` goes on after exactly what was looked at, so nothing is seen twice or left out.
import { z } from '@hono/zod-openapi';
import type { Bus, PartitionStats, StreamRecord } from '../events/bus.ts';
import type { StreamRecordItem, StreamRecords } from '../protocol/streams-api.ts';
import { isoOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { attributes } from './message-items.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invalidRequest } from './problems.ts';
import { requireTopology } from './project-sources.ts';
import { name, time, wholeNumber } from './schemas.ts';
import { partitionsOf, requireStream } from './stream-facts.ts';
import { placeOf } from './stream-places.ts';
import type { StreamTails } from './stream-tails.ts';

const item = z.object({
  partition: z.int(),
  position: z.int(),
  id: z.string(),
  key: z.string(),
  at: time,
  data: z.string(),
  attributes,
}) satisfies z.ZodType<StreamRecordItem>;
const answer = z
  .object({ items: z.array(item), next: z.string(), end: z.boolean() })
  .openapi('StreamRecords') satisfies z.ZodType<StreamRecords>;

const [LIMIT, LIMIT_MAX] = [100, 1_000];
const WAIT_MS_MAX = 20_000;
/** Of all partitions together. */
const BYTES_MAX = 8 * 1_024 ** 2;
/** Records that are looked at for one answer where a key is asked for. */
const LOOKED_AT_MAX = 10_000;
const AFTER = /^(?:\d{1,15}|\d{1,3}:\d{1,15}(?:,\d{1,3}:\d{1,15}){0,255})$/;

const query = z.strictObject({
  partition: wholeNumber.optional().openapi({ description: 'Only this one.' }),
  key: z.string().max(1_024).optional().openapi({ description: 'Only records of this key.' }),
  from: z.string().max(64).optional().openapi({
    description:
      '`oldest` (also without it), `newest` (what comes from now on), a time (ISO 8601, or how long ago: `2h`), or with `partition` a position.',
  }),
  after: z
    .string()
    .regex(AFTER, 'must be `next` of an earlier answer, unchanged, or with partition a position')
    .optional()
    .openapi({ description: '`next` of the answer before; with `partition` a position.' }),
  last: wholeNumber
    .refine((last) => last >= 1 && last <= LIMIT_MAX, `must be from 1 to ${LIMIT_MAX}`)
    .optional()
    .openapi({ description: 'Instead of `from`: so many records before the end, of each partition.' }),
  limit: wholeNumber.refine((limit) => limit >= 1 && limit <= LIMIT_MAX, `must be from 1 to ${LIMIT_MAX}`).optional(),
  waitMs: wholeNumber
    .refine((ms) => ms <= WAIT_MS_MAX, `must be at most ${WAIT_MS_MAX}`)
    .optional()
    .openapi({ description: 'How long to wait for the first record.' }),
});

type Needs = Pick<ControlContext, 'records' | 'bus' | 'now'> & { tails: StreamTails };

export function readRecords(app: ControlApp, { records, bus, now, tails }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/streams/{stream}/records',
      summary: 'Look at the records of a stream',
      description: 'Records of one partition come in order, those of several by time. For more ask again with `after`.',
      params: z.strictObject({ project: name, stream: name }),
      query,
      answers: { 200: { description: 'Records; maybe none.', schema: answer } },
      errors: ['project_not_found', 'stream_not_found'],
    },
    async ({ params: { project, stream }, query: asked }, c) => {
      const found = await requireStream(bus, await requireTopology(records, project), stream);
      const begins = (['from', 'after', 'last'] as const).filter((one) => asked[one] !== undefined);
      if (begins.length > 1)
        throw invalidRequest([
          { path: `?${begins[1]!}`, message: `does not go with ${begins[0]!}; give one of them`, value: asked[begins[1]!] },
        ]);
      const partitions = await partitionsOf(bus, found);
      if (asked.partition !== undefined && asked.partition >= partitions.length)
        throw invalidRequest([{ path: '?partition', message: `must be from 0 to ${partitions.length - 1}`, value: asked.partition }]);
      const wanted = partitions.filter(({ partition }) => asked.partition === undefined || partition === asked.partition);
      const place = { path: '?from', to: asked.from ?? 'oldest', nowMs: now(), single: wanted.length === 1 };
      const given = asked.after === undefined ? undefined : placesOf(asked.after, asked.partition);
      const beginOf = async (stats: PartitionStats): Promise<number> => {
        if (given !== undefined) return given.get(stats.partition) ?? 0;
        if (asked.last !== undefined) return Math.max(stats.oldest - 1, stats.newest - asked.last);
        return await placeOf(bus, found.key, { ...place, stats });
      };
      const places = new Map<number, number>();
      for (const one of wanted) places.set(one.partition, await beginOf(one));
      const wait = { waitMs: asked.waitMs ?? 0, signal: c.req.raw.signal };
      let end = false;
      const items = await tails.until(found.key, wait, async () => {
        // A partition that grew meanwhile is looked at in the next call.
        const look = await lookAt(bus, found.key, { places, key: asked.key, limit: asked.limit ?? LIMIT });
        end = look.end;
        return look.items.length > 0 || !look.end ? look.items : undefined;
      });
      const next = [...places].map(([partition, position]) => `${partition}:${position}`).join(',');
      return c.json({ items: (items ?? []).map(itemOf), next, end } satisfies StreamRecords);
    },
  );
}

/** Moves `places` on. */
async function lookAt(
  bus: Bus,
  stream: string,
  { places, key, limit }: { places: Map<number, number>; key: string | undefined; limit: number },
): Promise<{ items: StreamRecord[]; end: boolean }> {
  const max = key === undefined ? limit : Math.ceil(LOOKED_AT_MAX / places.size);
  const bytesMax = Math.ceil(BYTES_MAX / places.size);
  const newest = new Map((await bus.partitions(stream)).map((one) => [one.partition, one.newest]));
  const read = await Promise.all([...places].map(([partition, after]) => bus.read(stream, partition, { after, max, bytesMax })));
  // What comes after the last that was read of a partition may be earlier than what was read of another.
  const cut = read.map((of) => of.at(-1)).filter((last) => last !== undefined && last.position < (newest.get(last.partition) ?? 0));
  const until = Math.min(...cut.map((last) => last!.at));
  const all = read
    .flat()
    .filter(({ at }) => at <= until)
    .toSorted((a, b) => a.at - b.at || a.partition - b.partition || a.position - b.position);
  const items: StreamRecord[] = [];
  for (const record of all) {
    if (items.length >= limit) break;
    places.set(record.partition, record.position);
    if (key === undefined || record.partitionKey === key) items.push(record);
  }
  return { items, end: [...places].every(([partition, position]) => position >= (newest.get(partition) ?? 0)) };
}

function placesOf(after: string, partition: number | undefined): Map<number, number> {
  if (after.includes(':')) return new Map(after.split(',').map((one) => one.split(':').map(Number) as [number, number]));
  if (partition === undefined) throw invalidRequest([{ path: '?after', message: 'is a position, which needs `partition`', value: after }]);
  return new Map([[partition, Number(after)]]);
}

function itemOf({ partition, position, id, partitionKey, at, data, attributes: own }: StreamRecord): StreamRecordItem {
  return { partition, position, id, key: partitionKey, at: isoOf(at), data, attributes: own };
}
