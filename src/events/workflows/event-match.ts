// Whether an event fits what a wait asks for: a pattern as filters have it, of its data, or of the whole of an event of the project. Used by
// due-steps.ts and event-waits.ts; checked when the wait begins.
import { compileFilter, filterProblem } from '../../lib/event-filter.ts';

/** `match`: JSON of a pattern; null: everything fits. */
export function patternFits(match: string | null, data: string): boolean {
  if (match === null) return true;
  return compileFilter({ data: JSON.parse(match) as unknown })({ data: JSON.parse(data) as unknown });
}

/** What is wrong with it, and where. `whole`: it is of an event of the project. */
export function matchProblem(match: string, { whole }: { whole: boolean }): { at: string; message: string } | undefined {
  const pattern: unknown = JSON.parse(match);
  const problem = filterProblem(whole ? pattern : { data: pattern });
  if (problem === undefined) return undefined;
  const path = problem.path.map(String).slice(whole ? 0 : 1);
  return { at: ['match', ...path].join('.'), message: problem.message };
}
