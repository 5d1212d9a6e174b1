// GET /v1/status: the node at a glance. Invariant: answers while the edge is away (`edge` is null then); bounded by the
// edge client's own timeout.
import { z } from '@hono/zod-openapi';
import type { NodeStatus } from '../protocol/control-api.ts';
import { FUNCTION_RUNTIMES, RUNTIMES } from '../protocol/settings.ts';
import type { Bus } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { EventsStatus } from '../protocol/events-api.ts';
import { depthOf, isoOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { time } from './schemas.ts';

export interface NodeIdentity {
  /** Name of the machine. */
  node: string;
  version: string;
  /** Unix ms. */
  startedAt: number;
}

const enforced = z.string().nullable();
const driver = z.object({
  driver: z.string(),
  runtime: z.string().nullable(),
  lateFiles: z.boolean(),
  enforcement: z.object({
    isolation: enforced,
    memory: enforced,
    cpus: enforced,
    pids: enforced,
    tmp: enforced,
    network: enforced,
    notes: z.array(z.string()),
  }),
});
const edgeStats = z.object({
  pid: z.int(),
  uptimeS: z.number(),
  residentBytes: z.int(),
  deployment: z.int(),
  inFlight: z.int(),
  webSockets: z.int(),
  functions: z.array(
    z.object({
      project: z.string(),
      function: z.string(),
      version: z.int(),
      runtime: z.enum(FUNCTION_RUNTIMES),
      starting: z.int(),
      idle: z.int(),
      busy: z.int(),
      draining: z.int(),
      queued: z.int(),
      inFlight: z.int(),
    }),
  ),
  blanks: z.array(z.object({ runtime: z.enum(RUNTIMES), memoryMiB: z.int(), ready: z.int(), booting: z.int() })),
  deliveries: z.array(
    z.object({
      project: z.string(),
      kind: z.string(),
      source: z.string(),
      function: z.string().nullable(),
      queue: z.string(),
      received: z.int(),
      done: z.int(),
      retried: z.int(),
      dead: z.int(),
      released: z.int(),
      inFlight: z.int(),
      waiting: z.int(),
      lagMs: z.int(),
      pausedUntil: z.int().nullable(),
    }),
  ),
  records: z.object({
    pending: z.int(),
    pendingBytes: z.int(),
    written: z.int(),
    dropped: z.object({ invocations: z.int(), logLines: z.int() }),
  }),
  sandbox: driver
    .extend({
      strong: driver.nullable(),
      strongReason: z.string().nullable(),
      runtimes: z.array(z.object({ name: z.enum(FUNCTION_RUNTIMES), version: z.string().nullable(), remedy: z.string().nullable() })),
    })
    .nullable(),
});

const eventsStatus = z.object({
  queues: z.int(),
  pending: z.int(),
  delayed: z.int(),
  held: z.int(),
  deadLetters: z.int(),
  oldestAt: time.nullable(),
}) satisfies z.ZodType<EventsStatus>;

const status = z
  .object({
    node: z.string(),
    version: z.string(),
    uptimeS: z.number(),
    startedAt: time,
    edge: edgeStats.nullable(),
    postgres: z.object({ version: z.string(), databaseBytes: z.int(), roundTripMs: z.number() }),
    urls: z.object({ control: z.string(), edge: z.string() }),
    projects: z.int(),
    functions: z.int(),
    events: eventsStatus,
  })
  .openapi('NodeStatus') satisfies z.ZodType<NodeStatus>;

export function readStatus(
  app: ControlApp,
  needs: Pick<ControlContext, 'records' | 'bus' | 'edge' | 'urls' | 'now'> & { identity: NodeIdentity },
): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/status',
      summary: 'The state of the node',
      answers: { 200: { description: 'The node, its edge (null while that does not answer) and its database.', schema: status } },
      errors: [],
    },
    async (_input, c) => {
      const { records, bus, edge, urls, now, identity } = needs;
      const askedAt = performance.now();
      await records.query('select 1');
      const roundTripMs = Math.round((performance.now() - askedAt) * 1_000) / 1_000;
      const [stats, events, { rows }] = await Promise.all([
        edge.stats(),
        eventsOf(bus),
        records.query<{ version: string; bytes: string; projects: number; functions: number }>(
          `select current_setting('server_version') as version, pg_database_size(current_database()) as bytes,
                  (select count(*)::int from projects) as projects,
                  (select count(*)::int from projects p join deployments d on d.id = p.current_deployment,
                          jsonb_object_keys(d.state -> 'functions')) as functions`,
        ),
      ]);
      const row = rows[0]!;
      return c.json({
        node: identity.node,
        version: identity.version,
        uptimeS: Math.round((now() - identity.startedAt) / 1_000),
        startedAt: new Date(identity.startedAt).toISOString(),
        edge: stats ?? null,
        postgres: { version: row.version.split(' ')[0]!, databaseBytes: Number(row.bytes), roundTripMs },
        urls: { control: urls.control, edge: urls.edge },
        projects: row.projects,
        functions: row.functions,
        events,
      });
    },
  );
}

/** What waits in all queues of all projects, and what died. */
async function eventsOf(bus: Bus): Promise<EventsStatus> {
  const keys = (await bus.keys('')).filter((key) => !['stream', 'redrive'].includes(keyParts(key).kind));
  const sums = { queues: 0, pending: 0, delayed: 0, held: 0, deadLetters: 0 };
  let oldestAt = Infinity;
  for (const [key, stats] of await statsOf(bus, keys)) {
    if (keyParts(key).kind === 'dead') {
      sums.deadLetters += depthOf(stats);
      continue;
    }
    sums.queues += 1;
    sums.pending += stats.pending;
    sums.delayed += stats.delayed;
    sums.held += stats.held;
    oldestAt = Math.min(oldestAt, stats.oldestAt ?? Infinity);
  }
  return { ...sums, oldestAt: Number.isFinite(oldestAt) ? isoOf(oldestAt) : null };
}
