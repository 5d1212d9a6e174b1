// Whether a call may run now, as far as others are concerned: each project runs at most so many calls, and what its functions
// want of the processors together is at most what there is, so that handlers that compute are not run beside each other
// without end: on 2 cores, 9 instances of a handler that takes microseconds did half of what 2 do. A function of which
// nothing runs may always run one call, whatever else its project computes. Handlers that wait want next to nothing.
// Calls count with what is known of their function now, not when they began: some that wait for those at the gate would never end.
// Invariant: running ≤ projectConcurrencyMax for each project; a call that entered leaves once; whoever was kept waiting is
// asked again as soon as somebody leaves, in the order of fair-share.ts. Pure. Owned by engine.ts, asked by version-pool.ts.
import { FairLine } from './fair-share.ts';
import type { ProjectLoad, VirtualTime, Waiting } from './fair-share.ts';
import { ROUNDING } from './processor-use.ts';

/** A pool, as the gate sees it. */
export interface Runner extends Waiting {
  /** Processors that one of its calls keeps busy, 0 to the machine's. */
  readonly demand: number;
  /** What its calls may keep busy together with the rest of its project. */
  readonly demandMax: number;
  /** Its calls that run. */
  readonly running: number;
  /** Runs one waiting call, if one still waits and there is a place for it: false, it stops waiting at the gate. */
  runOne(): boolean;
}

export class RunGate {
  readonly #time: VirtualTime;
  readonly #line: FairLine<Runner>;
  readonly #projectConcurrencyMax: number;
  /** All projects together; one that runs nothing is let in beyond it. */
  readonly #demandMax: number;
  #demand = 0;

  constructor(time: VirtualTime, limits: { projectConcurrencyMax: number; demandMax: number }) {
    this.#time = time;
    this.#line = new FairLine(time);
    this.#projectConcurrencyMax = limits.projectConcurrencyMax;
    this.#demandMax = limits.demandMax;
  }

  /** A call runs from now on, if it may; `demand` and `ms` (its processor time, estimated) are given back to leave() and the tag. */
  enter(runner: Runner, demand: number, ms: number): boolean {
    if (!this.#may(runner)) return false;
    const { project } = runner;
    project.running++;
    project.demand += demand;
    this.#demand += demand;
    this.#time.serve(project, ms);
    return true;
  }

  leave(project: ProjectLoad, demand: number): void {
    project.running--;
    this.rest(project, demand);
  }

  /** A call that goes on without keeping processors busy: what it is counted with is given back now, and not when it leaves. */
  rest(project: ProjectLoad, demand: number): void {
    // What floating point leaves over must not add up.
    project.demand = project.running === 0 ? 0 : project.demand - demand;
    this.#demand = Math.max(0, this.#demand - demand);
  }

  /** The calls of one of its functions, all that run together, turned out to want this much more, or less. */
  correct(project: ProjectLoad, demand: number): void {
    project.demand = Math.max(0, project.demand + demand);
    this.#demand = Math.max(0, this.#demand + demand);
  }

  /** It has a call and a place for it, and was not let in. */
  wait(runner: Runner): void {
    this.#line.join(runner);
  }

  forget(runner: Runner): void {
    this.#line.leave(runner);
  }

  /** Somebody else should run before this one goes on. */
  othersFirst(runner: Runner): boolean {
    if (this.#line.size === 0) return false;
    const next = this.#line.next((one) => this.#may(one));
    return next !== undefined && next.project !== runner.project && this.#time.tagOf(next.project) < this.#time.tagOf(runner.project);
  }

  /** Lets in whoever waits and may. */
  letIn(): void {
    while (this.#line.size > 0) {
      const next = this.#line.next((one) => this.#may(one));
      if (next === undefined) return;
      // To the end of its project's line, or out of it.
      this.#line.leave(next);
      if (next.runOne()) this.#line.join(next);
    }
  }

  #may(runner: Runner): boolean {
    const { project, demand } = runner;
    if (project.running >= this.#projectConcurrencyMax) return false;
    if (runner.running === 0) return true;
    return project.demand + demand <= runner.demandMax + ROUNDING && this.#demand + demand <= this.#demandMax + ROUNDING;
  }
}
