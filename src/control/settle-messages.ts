// POST /v1/projects/{project}/queues/{queue}/settle: what became of messages that were received: done, to be tried again, dead, or held for
// longer. Invariant: a receipt that holds nothing any more changes nothing, and the answer says so.
import { z } from '@hono/zod-openapi';
import type { Settlement } from '../events/bus.ts';
import { durationMs } from '../lib/units.ts';
import type { SettleAnswer } from '../protocol/events-api.ts';
import { duration } from '../protocol/policies/words.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireDeclaredQueue, requireTopology } from './project-sources.ts';
import { visibility } from './receive-messages.ts';
import type { Receivers } from './receivers.ts';
import { name } from './schemas.ts';

const ITEMS_MAX = 100;

const receipt = z.string().min(1).max(256);
const error = z.string().max(2_000).optional();
const delay = duration({ min: 0, max: 30 * 86_400_000 });

const settlement = z.discriminatedUnion('as', [
  z.strictObject({ receipt, as: z.literal('done') }),
  z.strictObject({ receipt, as: z.literal('retry'), delay: delay.optional(), error }),
  z.strictObject({ receipt, as: z.literal('dead'), error }),
  z.strictObject({ receipt, as: z.literal('extend'), visibility }),
]);

const answer = z
  .object({ results: z.array(z.object({ receipt: z.string(), settled: z.boolean() })) })
  .openapi('SettleAnswer') satisfies z.ZodType<SettleAnswer>;

type Needs = Pick<ControlContext, 'records'> & { receivers: Receivers };

export function settleMessages(app: ControlApp, { records, receivers }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/queues/{queue}/settle',
      summary: 'Say what became of received messages',
      description:
        '`done`: it is dropped. `retry`: it may be received again after `delay`, or is dead if it was received as often as may be. `dead`: it becomes a dead letter. `extend`: it is held for `visibility` from now. `settled` is false where the message is not held under this receipt any more: it came, or comes, to another receiver.',
      params: z.strictObject({ project: name, queue: name }),
      body: z.strictObject({ settlements: z.array(settlement).min(1).max(ITEMS_MAX) }).openapi('SettleRequest'),
      answers: { 200: { description: 'For each, in order, whether it was settled.', schema: answer } },
      errors: ['project_not_found', 'queue_not_found'],
    },
    async ({ params: { project, queue }, body: { settlements } }, c) => {
      const { spec } = requireDeclaredQueue(await requireTopology(records, project), queue);
      const settled = await receivers.bus.settle(spec, settlements.map(settlementOf));
      return c.json({ results: settlements.map((one, index) => ({ receipt: one.receipt, settled: settled[index] === true })) });
    },
  );
}

function settlementOf(one: z.infer<typeof settlement>): Settlement {
  const said = 'error' in one && one.error !== undefined ? { error: one.error } : {};
  if (one.as === 'retry') return { receipt: one.receipt, as: 'retry', delayMs: durationMs(one.delay ?? '0s')!, ...said };
  if (one.as === 'dead') return { receipt: one.receipt, as: 'dead', ...said };
  if (one.as === 'extend') return { receipt: one.receipt, as: 'extend', leaseMs: durationMs(one.visibility)! };
  return { receipt: one.receipt, as: 'done' };
}
