// `queues` of virga.yaml: messages that wait for a function, or for whoever receives them.
import { z } from 'zod';
import { durationMs } from '../../lib/units.ts';
import { byteSize, declaredName, duration, wholeNumber } from '../policies/words.ts';
import { recording } from './recording.ts';
import { retry } from './retry.ts';

const DAY_MS = 86_400_000;
const GIB = 1_024 ** 3;

export const queue = z
  .strictObject(
    {
      fifo: z
        .boolean({ error: 'true or false' })
        .optional()
        .describe(
          'Whether messages have groups, which are delivered in the order of their sending: one group after its own order, different groups beside each other. It can change only while the queue is empty.',
        ),
      visibility: duration({ min: 1_000, max: 12 * 3_600_000 })
        .optional()
        .describe(
          'How long a message that was received by the API is held for whoever received it. Functions hold theirs as long as they run. Without it 30s.',
        ),
      delay: duration({ min: 0, max: 30 * DAY_MS })
        .optional()
        .describe('How long a message waits before it is delivered, unless it says otherwise itself.'),
      retention: duration({ min: 60_000, max: 365 * DAY_MS })
        .optional()
        .describe('How long a message is kept; then it is a dead letter. Without it 14d.'),
      retry: retry.optional(),
      deduplication: duration({ min: 0, max: 7 * DAY_MS })
        .optional()
        .describe('For how long a message with the `deduplicationId` of an earlier one is taken for the same, and dropped. Without it 5m.'),
      deadLetters: declaredName
        .optional()
        .describe('Another queue of the project, where its dead letters go. Without it they are kept for 14 days: `virga dead-letters`.'),
      maxMessages: wholeNumber({ min: 1, max: 1_000_000_000 }).optional().describe('More are refused with 429. Without it 1000000.'),
      maxBytes: byteSize({ min: 1_024, max: 1_024 * GIB })
        .optional()
        .describe('The same for the bytes of its messages. Without it 1 GiB.'),
      record: recording.optional(),
    },
    { error: 'rules such as {visibility: 30s, retry: {attempts: 5}}, or {}' },
  )
  .superRefine(({ delay = '0s', retention = '14d' }, context) => {
    if ((durationMs(delay) ?? 0) < (durationMs(retention) ?? Infinity)) return;
    const message = `each message would be too old, after ${retention}, before it is delivered; make \`retention\` longer`;
    context.addIssue({ code: 'custom', path: ['delay'], message, params: { rule: true } });
  })
  .describe('A queue.');
export type QueueRules = z.infer<typeof queue>;
