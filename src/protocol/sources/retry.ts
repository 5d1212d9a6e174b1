// How often and when a delivery that failed is tried again: shared by queues, triggers, subscriptions and asynchronous invocations.
import { z } from 'zod';
import { duration, wholeNumber } from '../policies/words.ts';

const DAY_MS = 86_400_000;

export const retry = z
  .strictObject(
    {
      attempts: wholeNumber({ min: 1, max: 1_000 })
        .optional()
        .describe('Times that it is tried before it is a dead letter. Without it 5; of an asynchronous invocation 3, of a webhook 16.'),
      delay: duration({ min: 0, max: DAY_MS })
        .optional()
        .describe(
          'Before the second attempt; it doubles with each further one, and the half of it is left to chance. Without it 1s; of a webhook 5s.',
        ),
      maxDelay: duration({ min: 0, max: DAY_MS }).optional().describe('What it grows to at most. Without it 5m; of a webhook 2h.'),
    },
    { error: 'rules such as {attempts: 5, delay: 1s, maxDelay: 5m}' },
  )
  .describe('How a delivery that failed is tried again.');
export type RetryRules = z.infer<typeof retry>;
