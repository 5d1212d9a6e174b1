// `filter` of a trigger or a subscription: which events it is for, as patterns in the way of Amazon EventBridge (lib/event-filter.ts).
import { z } from 'zod';
import { filterProblem } from '../../lib/event-filter.ts';

/** What there is to look at, at the top. Events have whatever attributes their sender gives them. */
/** What is `data` and `type` at EventBridge. */
const FOREIGN: Record<string, string> = { detail: 'data', 'detail-type': 'type' };
/** Of attributes; their values are no objects. */
const ATTRIBUTE = /^[a-z0-9]{1,64}$/;

const ROOTS = { message: ['attributes', 'body', 'subject'], record: ['key', 'attributes', 'data'] };

export const filter = z
  .record(z.string(), z.unknown(), { error: 'a pattern such as {type: [order.placed]}' })
  .superRefine((pattern, context) => {
    const problem = filterProblem(pattern);
    if (problem !== undefined) context.addIssue({ code: 'custom', ...problem, params: { rule: true } });
  })
  .describe('Which of the events it is for: a pattern, as in [events.md](events.md#filters). Without it all.');
export type FilterPattern = z.infer<typeof filter>;

/** That a pattern for events looks at what events have. */
export function checkEvent(pattern: FilterPattern, context: z.RefinementCtx, path: PropertyKey[] = ['event']): void {
  for (const [key, value] of Object.entries(pattern)) {
    const at = [...path, key];
    if (key === '$or' && Array.isArray(value)) {
      for (const [index, one] of value.entries()) checkEvent(one as FilterPattern, context, [...at, index]);
      continue;
    }
    const nested = !Array.isArray(value);
    if (key === 'data' || (ATTRIBUTE.test(key) && !nested)) continue;
    const meant = FOREIGN[key];
    const message =
      meant === undefined
        ? `events have no '${key}'${nested ? ' with something below it' : ''}: they have attributes such as type, source and subject, and data`
        : `events have no '${key}'; what EventBridge calls so is '${meant}' here`;
    context.addIssue({ code: 'custom', path: at, message, params: { rule: true } });
  }
}

/** That `filter` of a trigger or subscription looks at nothing that is not there. */
export function checkRoots(pattern: FilterPattern | undefined, of: keyof typeof ROOTS, context: z.RefinementCtx): void {
  const problem = pattern === undefined ? undefined : filterProblem(pattern, ROOTS[of]);
  if (problem === undefined) return;
  context.addIssue({ code: 'custom', path: ['filter', ...problem.path], message: problem.message, params: { rule: true } });
}
