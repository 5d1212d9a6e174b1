// What a run did before: the handler asks for its steps again, and gets here what became of each. Invariant: a step is found by its
// scope, kind, name and occurrence, once; what is left where the code asks for something new was not asked for again, which is an error
// of the code.
import type { HistoryStep, StepIdentity } from '../../../protocol/workflow-run.ts';

export class History {
  readonly #steps = new Map<string, HistoryStep>();
  /** Of each scope, those within it counted: steps that were not asked for yet. */
  readonly #left = new Map<string, number>();
  #last = 0;

  constructor(steps: HistoryStep[]) {
    for (const step of steps) {
      this.#steps.set(keyOf(step), step);
      this.#count(step.scope, 1);
      this.#last = Math.max(this.#last, step.ordinal);
    }
  }

  get size(): number {
    return this.#steps.size;
  }

  /** Whether the code in this scope did before what it does now. */
  isReplay(scope: string): boolean {
    return (this.#left.get(scope) ?? 0) > 0;
  }

  /** The step that has begun: what became of it before, or undefined, and its place among all. */
  take(step: Omit<StepIdentity, 'ordinal'>): { before: HistoryStep | undefined; ordinal: number } {
    const key = keyOf(step);
    const before = this.#steps.get(key);
    if (before === undefined) return { before, ordinal: ++this.#last };
    this.#steps.delete(key);
    this.#count(step.scope, -1);
    return { before, ordinal: before.ordinal };
  }

  /** The first that was not asked for again, of one scope or of all. */
  leftIn(scope?: string): HistoryStep | undefined {
    let first: HistoryStep | undefined;
    for (const step of this.#steps.values())
      if ((scope === undefined || step.scope === scope) && (first === undefined || step.ordinal < first.ordinal)) first = step;
    return first;
  }

  #count(scope: string, by: number): void {
    const parts = scope === '' ? [] : scope.split('/');
    for (let n = 0; n <= parts.length; n++) {
      const path = parts.slice(0, n).join('/');
      this.#left.set(path, (this.#left.get(path) ?? 0) + by);
    }
  }
}

function keyOf({ scope, kind, name, occurrence }: Omit<StepIdentity, 'ordinal'>): string {
  return `${scope}\n${kind}\n${occurrence}\n${name}`;
}

/** For people: `step 'charge'`, `the 2nd sleep`, `the wait for 'paid'`. */
export function describeStep({ kind, name, occurrence }: Pick<StepIdentity, 'kind' | 'name' | 'occurrence'>): string {
  const which = occurrence === 1 ? '' : ` (number ${occurrence} of that name)`;
  if (kind === 'step') return `the step '${name}'${which}`;
  if (kind === 'wait') return `the wait for '${name}'${which}`;
  return `sleep ${name === '' ? occurrence : `'${name}'${which}`}`;
}
