// POST /v1/projects/{project}/queues/{queue}/messages: sends messages to a queue. Invariant: when it answers, they are stored, all or none.
import { z } from '@hono/zod-openapi';
import { newId } from '../lib/ids.ts';
import type { MessageToSend, SentMessage } from '../protocol/control-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireDeclaredQueue, requireTopology } from './project-sources.ts';
import { name } from './schemas.ts';

const MESSAGES_MAX = 1_000;
const DELAY_MS_MAX = 30 * 86_400_000;

const message = z
  .strictObject({
    body: z.string(),
    attributes: z.record(z.string().min(1).max(256), z.string()).optional(),
    delayMs: z.int().min(0).max(DELAY_MS_MAX).optional(),
    group: z.string().min(1).max(256).optional(),
    deduplicationId: z.string().min(1).max(256).optional(),
  })
  .openapi('MessageToSend') satisfies z.ZodType<MessageToSend>;
const sent = z.object({ id: z.string(), duplicate: z.boolean() }).openapi('SentMessage') satisfies z.ZodType<SentMessage>;

export function sendMessages(app: ControlApp, { records, bus }: Pick<ControlContext, 'records' | 'bus'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/queues/{queue}/messages',
      summary: 'Send messages to a queue',
      params: z.strictObject({ project: name, queue: name }),
      body: z.strictObject({ messages: z.array(message).min(1).max(MESSAGES_MAX) }),
      answers: { 200: { description: 'They are stored, in this order.', schema: z.object({ sent: z.array(sent) }) } },
      errors: ['project_not_found', 'queue_not_found', 'queue_full', 'request_too_large'],
    },
    async ({ params, body }, c) => {
      const topology = await requireTopology(records, params.project);
      const { spec } = requireDeclaredQueue(topology, params.queue);
      const { delayMs } = topology.queues.get(params.queue)!;
      const messages = body.messages.map((one) => ({
        id: newId('msg'),
        body: one.body,
        attributes: one.attributes ?? {},
        delayMs: one.delayMs ?? delayMs,
        ...(one.group === undefined ? {} : { group: one.group }),
        ...(one.deduplicationId === undefined ? {} : { deduplicationId: one.deduplicationId }),
      }));
      const [results = []] = await bus.send([{ queue: spec, messages }]);
      return c.json({ sent: results.map(({ id, result }) => ({ id, duplicate: result === 'duplicate' })) });
    },
  );
}
