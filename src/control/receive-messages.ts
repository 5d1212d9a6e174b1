// POST /v1/projects/{project}/queues/{queue}/receive: takes messages for whoever is no function: a worker elsewhere, a script. They are
// held until they are settled, or until their visibility ends. Refused where a function takes the queue: each message goes to one of those
// who receive, so the two would take them from each other, and what one of them fails at counts as an attempt of the other.
import { z } from '@hono/zod-openapi';
import { durationMs } from '../lib/units.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ReceivedItem, ReceiveRequest } from '../protocol/events-api.ts';
import { duration } from '../protocol/policies/words.ts';
import { isoOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { takerOf } from './list-queues.ts';
import { attributes } from './message-items.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireDeclaredQueue, requireTopology } from './project-sources.ts';
import type { Receivers } from './receivers.ts';
import { name, time } from './schemas.ts';

const MAX = 100;
const WAIT_MS_MAX = 20_000;

/** As `visibility` of a queue may be. */
export const visibility = duration({ min: 1_000, max: 12 * 3_600_000 });

const body = z
  .strictObject({
    max: z.int().min(1).max(MAX).optional(),
    visibility: visibility.optional(),
    waitMs: z.int().min(0).max(WAIT_MS_MAX).optional(),
  })
  .openapi('ReceiveRequest') satisfies z.ZodType<ReceiveRequest>;

const item = z
  .object({
    receipt: z.string(),
    id: z.string(),
    body: z.string(),
    attributes,
    attempt: z.int(),
    sentAt: time,
    firstReceivedAt: time,
    heldUntil: time,
    group: z.string().nullable(),
    deduplicationId: z.string().nullable(),
    sequence: z.string(),
  })
  .openapi('ReceivedMessage') satisfies z.ZodType<ReceivedItem>;

type Needs = Pick<ControlContext, 'records' | 'now'> & { receivers: Receivers };

export function receiveMessages(app: ControlApp, { records, receivers, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/queues/{queue}/receive',
      summary: 'Receive messages of a queue that no function takes',
      description:
        'Up to `max`, held for `visibility`: settle each by its receipt before that, or it comes again. With `waitMs` the answer waits for the first message. Refused where a function takes the messages of the queue.',
      params: z.strictObject({ project: name, queue: name }),
      body,
      answers: { 200: { description: 'The messages; maybe none.', schema: z.object({ messages: z.array(item) }) } },
      errors: ['project_not_found', 'queue_not_found', 'queue_has_function'],
    },
    async ({ params: { project, queue }, body: asked }, c) => {
      const topology = await requireTopology(records, project);
      const { spec, visibilityMs } = requireDeclaredQueue(topology, queue);
      const fn = takerOf(topology, spec.key);
      if (fn !== null)
        throw new VirgaError(
          'queue_has_function',
          `the messages of the queue '${queue}' go to function '${fn}', which would miss what is received here; \`virga queues peek ${queue}\` looks without taking. For both, publish to a topic with a queue for each`,
        );
      const leaseMs = asked.visibility === undefined ? visibilityMs : durationMs(asked.visibility)!;
      const { max = 1, waitMs = 0 } = asked;
      const messages = await receivers.receive(spec, { max, leaseMs, waitMs, signal: c.req.raw.signal });
      const heldUntil = isoOf(now() + leaseMs);
      const items = messages.map((message): ReceivedItem => ({
        receipt: message.receipt,
        id: message.id,
        body: message.body,
        attributes: message.attributes,
        attempt: message.attempt,
        sentAt: isoOf(message.sentAt),
        firstReceivedAt: isoOf(message.firstReceivedAt ?? now()),
        heldUntil,
        group: message.group,
        deduplicationId: message.deduplicationId,
        sequence: message.sequence,
      }));
      return c.json({ messages: items });
    },
  );
}
