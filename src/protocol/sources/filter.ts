// `filter` of a trigger or a subscription: which events it is for, as patterns in the way of Amazon EventBridge (lib/event-filter.ts).
import { z } from 'zod';
import { filterProblem } from '../../lib/event-filter.ts';

/** What there is to look at, at the top. Events have whatever attributes their sender gives them. */
const ROOTS = { message: ['attributes', 'body', 'subject'], record: ['key', 'attributes', 'data'] };

export const filter = z
  .record(z.string(), z.unknown(), { error: 'a pattern such as {type: [order.placed]}' })
  .superRefine((pattern, context) => {
    const problem = filterProblem(pattern);
    if (problem !== undefined) context.addIssue({ code: 'custom', ...problem, params: { rule: true } });
  })
  .describe('Which of the events it is for: a pattern, as in [events.md](events.md#filters). Without it all.');
export type FilterPattern = z.infer<typeof filter>;

/** That `filter` of a trigger or subscription looks at nothing that is not there. */
export function checkRoots(pattern: FilterPattern | undefined, of: keyof typeof ROOTS, context: z.RefinementCtx): void {
  const problem = pattern === undefined ? undefined : filterProblem(pattern, ROOTS[of]);
  if (problem === undefined) return;
  context.addIssue({ code: 'custom', path: ['filter', ...problem.path], message: problem.message, params: { rule: true } });
}
