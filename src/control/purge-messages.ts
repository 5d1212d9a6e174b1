// DELETE /v1/projects/{project}/queues/{queue}/messages: drops what is in a queue and not held, or one message of it. A queue that left
// virga.yaml goes with its last message.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import { depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { messageId } from './message-items.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { messageNotFound } from './peek-messages.ts';
import { requireQueue, requireTopology } from './project-sources.ts';
import { name } from './schemas.ts';

export function purgeMessages(app: ControlApp, { records, bus }: Pick<ControlContext, 'records' | 'bus'>): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/queues/{queue}/messages',
      summary: 'Drop the messages of a queue',
      description:
        'All that are not held at the moment, or the one of an id. Its dead letters stay. A queue that virga.yaml does not name any more goes when nothing is left in it.',
      params: z.strictObject({ project: name, queue: name }),
      query: z.strictObject({ id: messageId.optional() }),
      answers: { 200: { description: 'How many were dropped.', schema: z.object({ purged: z.int() }) } },
      errors: ['project_not_found', 'queue_not_found', 'message_not_found', 'message_held'],
    },
    async ({ params: { project, queue }, query: { id } }, c) => {
      const { key, declared } = await requireQueue(bus, await requireTopology(records, project), queue);
      const purged = await bus.purge(key, id === undefined ? {} : { id });
      if (purged === 0 && id !== undefined) {
        if ((await bus.find(key, id)) === undefined) throw messageNotFound(id, `the queue '${queue}'`);
        throw messageHeld(id);
      }
      if (declared === undefined && depthOf((await statsOf(bus, [key])).get(key)) === 0) await bus.drop(key);
      return c.json({ purged });
    },
  );
}

export function messageHeld(id: string): VirgaError {
  return new VirgaError('message_held', `the message ${id} is with a receiver at the moment; try again when it is not`);
}
