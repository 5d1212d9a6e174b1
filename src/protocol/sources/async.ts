// `async` of a function: what holds for invocations that nobody waits for (`virga invoke --async`, `Prefer: respond-async`).
import { z } from 'zod';
import { duration, wholeNumber } from '../policies/words.ts';
import { destination } from './destinations.ts';
import { retry } from './retry.ts';

export const asyncRules = z
  .strictObject(
    {
      retry: retry.optional(),
      maxAge: duration({ min: 1_000, max: 14 * 86_400_000 })
        .optional()
        .describe('An invocation that has not succeeded by then has failed. Without it 6h.'),
      keep: duration({ min: 60_000, max: 365 * 86_400_000 })
        .optional()
        .describe('How long its answer can be read, and its idempotency key is known. Without it 1d.'),
      concurrency: wholeNumber({ min: 1, max: 1_000 })
        .optional()
        .describe('Such invocations at the same time. Without it as many as the function has instances, at most 10.'),
      onSuccess: destination.optional().describe('Where an event with the answer goes when it succeeded.'),
      onFailure: destination.optional().describe('Where an event with the error goes when it failed for good.'),
    },
    { error: 'rules such as {retry: {attempts: 3}, onFailure: {queue: failed}}' },
  )
  .describe(
    'What holds for asynchronous invocations. A function that says it, be it `{}`, also takes them over HTTP: requests with `Prefer: respond-async` are answered 202 and run later.',
  );
export type AsyncRules = z.infer<typeof asyncRules>;
