// `workflow` of a function: it is durable. Its steps are run once, and while it sleeps it holds no instance.
import { z } from 'zod';
import { filterProblem } from '../../lib/event-filter.ts';
import { duration, wholeNumber } from '../policies/words.ts';
import { retry } from './retry.ts';

const EVENTS_MAX = 100;
const events = z
  .array(z.unknown(), { error: 'types of events such as [user.confirmed, {prefix: order.}]' })
  .min(1)
  .max(EVENTS_MAX)
  .superRefine((types, context) => {
    const problem = types.length === 0 ? undefined : filterProblem({ type: types });
    if (problem !== undefined)
      context.addIssue({ code: 'custom', path: problem.path.slice(1), message: problem.message, params: { rule: true } });
  })
  .describe(
    'Types of events of the project that its runs may wait for, by `waitForEvent(name, {event})`: as in a pattern, such as [user.confirmed, {prefix: order.}].',
  );

const rules = z.strictObject(
  {
    retry: retry.optional().describe('How a step that failed is tried again, unless it says otherwise itself.'),
    keep: duration({ min: 60_000, max: 365 * 86_400_000 })
      .optional()
      .describe('How long a run that has ended can be looked at. Without it 30d.'),
    maxRuns: wholeNumber({ min: 1, max: 1_000_000 })
      .optional()
      .describe('Runs that have not ended; the next one is refused with 429. Without it 10000.'),
    events: events.optional(),
    concurrency: wholeNumber({ min: 1, max: 1_000 }).optional().describe('Runs that are awake at the same time. Without it 10.'),
  },
  { error: 'true, or rules such as {keep: 30d, maxRuns: 1000}' },
);

export const workflow = z
  .union([z.literal(true), rules], { error: 'true, or rules such as {keep: 30d, maxRuns: 1000}' })
  .describe(
    'Makes the function a workflow: `context.step`, `sleep`, `waitForEvent` and `parallel` are there, and each call is a run that survives crashes, deploys and weeks of sleep.',
  );
/** What of a function keeps it from being a workflow: its runtime's guest, or the form of its code, knows no steps. */
export function workflowProblem(fn: { runtime: string; form: string }): string | undefined {
  if (!/^(?:nodejs|python)\d+$/.test(fn.runtime))
    return `a function of the runtime '${fn.runtime}' cannot be a workflow; those of nodejs26, nodejs24 and python3 can`;
  if (fn.form !== 'native')
    return `a function of the form '${fn.form}' cannot be a workflow; write its handler for Virga: handler(input, context)`;
  return undefined;
}

export type WorkflowRules = z.infer<typeof workflow>;
