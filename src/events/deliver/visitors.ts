// Calls of what is no queue (records of streams): they take places and bytes of this node as deliveries do, in the same turns.
// Invariant: of one function at most as many at a time as it can take. Owned by deliveries.ts.
import type { Invoker } from '../invoker.ts';
import type { FairTurns, ProjectTurns, Turned } from './fair-turns.ts';

export interface Visit {
  project: string;
  function: string;
  /** That are held meanwhile. */
  bytes: number;
}

export class Visitor implements Turned {
  readonly project: ProjectTurns<Turned>;
  readonly visit: Visit;
  /** It is its turn. */
  readonly admitted: () => void;

  constructor(project: ProjectTurns<Turned>, visit: Visit, admitted: () => void) {
    this.project = project;
    this.visit = visit;
    this.admitted = admitted;
  }
}

const CONCURRENCY_MAX = 10;

export interface VisitorsNeeds {
  turns: FairTurns<Turned>;
  invoker: Pick<Invoker, 'capacity'>;
  /** Somebody waits for a turn. */
  came: () => void;
  /** There is more room. */
  left: () => void;
}

export class Visitors {
  readonly #needs: VisitorsNeeds;
  readonly #turns: FairTurns<Turned>;
  /** In calls, by function. */
  readonly #counts = new Map<string, number>();

  constructor(needs: VisitorsNeeds) {
    this.#needs = needs;
    this.#turns = needs.turns;
  }

  /** Resolves when it is its turn, with what gives the place back; undefined: `signal` came first. */
  async enter(visit: Visit, signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const visitor = new Visitor(this.#turns.project(visit.project), visit, () => resolve(true));
    const onAbort = (): void => {
      this.#turns.leave(visitor);
      resolve(false);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#turns.join(visitor);
    this.#needs.came();
    const isAdmitted = await promise;
    signal.removeEventListener('abort', onAbort);
    return isAdmitted ? () => this.#leave(visitor) : undefined;
  }

  may({ project, visit }: Visitor, placesMax: number): boolean {
    const capacity = this.#needs.invoker.capacity(visit.project, visit.function) ?? 1;
    if ((this.#counts.get(nameOf(visit)) ?? 0) >= Math.max(1, Math.min(CONCURRENCY_MAX, capacity))) return false;
    return this.#turns.placesFor(project, placesMax) > 0 && this.#turns.bytesFor(project) > 0;
  }

  admit(visitor: Visitor): void {
    const { project, visit } = visitor;
    this.#counts.set(nameOf(visit), (this.#counts.get(nameOf(visit)) ?? 0) + 1);
    this.#turns.take(project, 1);
    this.#turns.serve(project);
    this.#turns.hold(project, visit.bytes);
    visitor.admitted();
  }

  #leave({ project, visit }: Visitor): void {
    const left = this.#counts.get(nameOf(visit))! - 1;
    if (left === 0) this.#counts.delete(nameOf(visit));
    else this.#counts.set(nameOf(visit), left);
    this.#turns.giveBack(project, 1);
    this.#turns.hold(project, -visit.bytes);
    this.#needs.left();
  }
}

function nameOf(visit: Visit): string {
  return `${visit.project}/${visit.function}`;
}
