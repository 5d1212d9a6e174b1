// POST /v1/projects/{project}/deliveries/{message}/cancel: takes a message back that is on its way, from all queues that have it, or from
// one source. What is held by its receiver is not taken away from it. Wake-ups of workflows and asynchronous invocations have a state beside
// their message: they are cancelled as what they are.
import { z } from '@hono/zod-openapi';
import { keyParts } from '../events/queue-keys.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ControlContext } from './context.ts';
import { deliveryKeys, isMeant, requireSource, sourceName } from './delivery-sources.ts';
import { deliveryNotFound, findAll } from './list-deliveries.ts';
import { messageId, placeName } from './message-items.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireTopology } from './project-sources.ts';
import { messageHeld } from './purge-messages.ts';
import { name } from './schemas.ts';

/** What is more than a message: whoever keeps its state has to end it. */
const OTHERS: Record<string, string> = {
  workflow: 'what wakes a run of a workflow up, which would never go on without it; cancel the run: `virga workflows cancel`',
  async: 'an asynchronous invocation, whose state is kept; cancel that: `virga invocation ID --cancel`',
};

const answer = z.object({ cancelled: z.int() }).openapi('DeliveryCancelled');

export function cancelDelivery(app: ControlApp, { records, bus }: Pick<ControlContext, 'records' | 'bus'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/deliveries/{message}/cancel',
      summary: 'Take back a message that is on its way',
      description: 'It is dropped wherever it waits, and becomes no dead letter. What its receiver holds at the moment is left to it.',
      params: z.strictObject({ project: name, message: messageId }),
      body: z.strictObject({ source: sourceName.optional() }).openapi('CancelRequest'),
      answers: { 200: { description: 'From how many queues it was taken.', schema: answer } },
      errors: ['project_not_found', 'source_not_found', 'message_not_found', 'message_held', 'conflict'],
    },
    async ({ params: { project, message: id }, body: { source } }, c) => {
      const topology = await requireTopology(records, project);
      const keys = await deliveryKeys(bus, project);
      if (source !== undefined) requireSource(topology, source, keys);
      const found = (await findAll({ bus }, keys, id)).filter(({ key }) => source === undefined || isMeant(placeName(key), source));
      if (found.length === 0) throw deliveryNotFound(id, project);
      const own = found.filter(({ key }) => OTHERS[keyParts(key).kind] === undefined);
      if (own.length === 0) throw new VirgaError('conflict', `${id} is ${OTHERS[keyParts(found[0]!.key).kind]}`);
      let cancelled = 0;
      for (const { key } of own) cancelled += await bus.purge(key, { id });
      if (cancelled === 0) throw messageHeld(id);
      return c.json({ cancelled });
    },
  );
}
