// GET /v1/projects/{project}/queues/{queue}/messages, and one of them: looks at what is in a queue without taking it. Messages are in the
// order of their sending; those that are held or delayed are shown too.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import type { ControlContext } from './context.ts';
import { flag, messageId, messagePage, queuedMessage, queuedMessageOf } from './message-items.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest, sequenceKey } from './pagination.ts';
import { requireQueue, requireTopology } from './project-sources.ts';
import { name, pageOf as pageSchema } from './schemas.ts';

export function peekMessages(app: ControlApp, { records, bus }: Pick<ControlContext, 'records' | 'bus'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/queues/{queue}/messages',
      summary: 'Look at the messages of a queue, oldest first',
      description: 'Nothing is received, and no attempt is counted. Of a long body its beginning is shown.',
      params: z.strictObject({ project: name, queue: name }),
      query: z.strictObject({
        ...messagePage,
        after: z
          .string()
          .regex(/^\d{1,18}$/, 'must be a sequence: decimal digits')
          .optional()
          .openapi({ description: 'Only messages behind this sequence.' }),
        body: flag.openapi({ description: '`false`: without the bodies.' }),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(queuedMessage) } },
      errors: ['project_not_found', 'queue_not_found'],
    },
    async ({ params: { project, queue }, query }, c) => {
      const list = `messages/${project}/${queue}`;
      const page = pageRequest(list, query);
      const { key } = await requireQueue(bus, await requireTopology(records, project), queue);
      const after = sequenceKey(page.after) ?? query.after;
      const messages = await bus.peek(key, { ...(after === undefined ? {} : { after }), limit: page.limit + 1 });
      const items = messages.map((message) => queuedMessageOf(message, query.body === 'false' ? 'none' : 'begin'));
      return c.json(pageOf(list, page, items, ({ sequence }) => sequence));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/queues/{queue}/messages/{message}',
      summary: 'One message of a queue, with its whole body',
      params: z.strictObject({ project: name, queue: name, message: messageId }),
      answers: { 200: { description: 'The message.', schema: queuedMessage } },
      errors: ['project_not_found', 'queue_not_found', 'message_not_found'],
    },
    async ({ params: { project, queue, message: id } }, c) => {
      const { key } = await requireQueue(bus, await requireTopology(records, project), queue);
      const message = await bus.find(key, id);
      if (message === undefined) throw messageNotFound(id, `the queue '${queue}'`);
      return c.json(queuedMessageOf(message, 'whole'));
    },
  );
}

/** `place`: e.g. `the queue 'orders'`. */
export function messageNotFound(id: string, place: string): VirgaError {
  return new VirgaError('message_not_found', `there is no message ${id} in ${place} (any more)`);
}
