// Calls of what is no queue (records of streams): they take places and bytes of this node as deliveries do, in the same turns.
// Invariant: of one function at most as many at a time as it can take. Owned by deliveries.ts.
import type { ConsumerLine } from './consumer-line.ts';
import type { ProjectTurns } from './fair-turns.ts';

/** Who waits for a turn. */
export type Turned = ConsumerLine | Visitor;

export class Visitor {
  readonly project: ProjectTurns<Turned>;
  readonly function: string;
  readonly bytes: number;
  /** It is its turn. */
  readonly admitted: () => void;

  constructor(of: { project: ProjectTurns<Turned>; function: string; bytes: number }, admitted: () => void) {
    this.project = of.project;
    this.function = of.function;
    this.bytes = of.bytes;
    this.admitted = admitted;
  }
}

/** Visitors in calls, by function. */
export class VisitorCounts {
  readonly #counts = new Map<string, number>();

  of({ project, function: fn }: Visitor): number {
    return this.#counts.get(`${project.name}/${fn}`) ?? 0;
  }

  add(visitor: Visitor, by: 1 | -1): void {
    const name = `${visitor.project.name}/${visitor.function}`;
    const count = this.of(visitor) + by;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}
