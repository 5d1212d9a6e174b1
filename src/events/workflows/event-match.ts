// Whether the data of an event fits what a wait asks for: a pattern as filters have it, of the data. Used by due-steps.ts; checked when the
// wait begins.
import { compileFilter, filterProblem } from '../../lib/event-filter.ts';
import { VirgaError } from '../../protocol/errors.ts';

/** `match`: JSON of a pattern; null: everything fits. */
export function patternFits(match: string | null, data: string): boolean {
  if (match === null) return true;
  return compileFilter({ data: JSON.parse(match) as unknown })({ data: JSON.parse(data) as unknown });
}

/** Fails with `invalid_request`. */
export function checkMatch(match: string, event: string): void {
  const problem = filterProblem({ data: JSON.parse(match) as unknown });
  if (problem === undefined) return;
  const [, ...path] = problem.path.map(String);
  const at = ['match', ...path].join('.');
  throw new VirgaError('invalid_request', `${at} of the wait for '${event}': ${problem.message}`);
}
