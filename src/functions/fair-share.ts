// Who comes next when projects wait for something that they share (places to start, memory, processors): start-time fair
// queueing on processor time. Each project has a tag, the virtual time up to which it has been served; whoever waits with the
// lowest tag is next, and being served moves its tag on by what that costs. A project that asked for nothing for a while
// starts at the present, so it saves nothing up, and is not behind the thousand calls of another either.
// Invariant: the virtual time never falls; between two projects that both always wait, what each was served differs by at most
// one turn of each. Pure. Owned by engine.ts; run-gate.ts and room.ts wait in it.

/** A project's part of what is shared. */
export class ProjectLoad {
  readonly name: string;
  /** Calls that run, and the processors that they want together. */
  running = 0;
  demand = 0;
  /** Calls that wait, and the body bytes that are held for them. */
  queued = 0;
  queuedBytes = 0;
  /** What its sandboxes count with in the memory budget, MiB. */
  memoryMiB = 0;
  /** Virtual time up to which it has been served, ms of processor time. */
  servedUntil = 0;

  constructor(name: string) {
    this.name = name;
  }
}

export class VirtualTime {
  #now = 0;

  /** Where a project stands in the line: lowest first. */
  tagOf(project: ProjectLoad): number {
    return Math.max(this.#now, project.servedUntil);
  }

  /** The project is served something that costs `ms` of processor time, as far as is known. */
  serve(project: ProjectLoad, ms: number): void {
    if (project.servedUntil > this.#now) this.#now = project.servedUntil;
    project.servedUntil = this.#now + ms;
  }

  /** It cost more (or less) than was estimated. */
  correct(project: ProjectLoad, ms: number): void {
    project.servedUntil += ms;
  }
}

/** Waits in the line: a pool. */
export interface Waiting {
  readonly project: ProjectLoad;
}

/** Those that wait for one shared thing: first the project with the lowest tag, within it whoever came first. */
export class FairLine<T extends Waiting> {
  readonly #time: VirtualTime;
  readonly #projects = new Map<ProjectLoad, Set<T>>();
  #size = 0;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get size(): number {
    return this.#size;
  }

  /** Waits from now on; who waits already keeps the place. */
  join(one: T): void {
    let own = this.#projects.get(one.project);
    if (own === undefined) this.#projects.set(one.project, (own = new Set()));
    if (own.has(one)) return;
    own.add(one);
    this.#size++;
  }

  leave(one: T): void {
    const own = this.#projects.get(one.project);
    if (own === undefined || !own.delete(one)) return;
    this.#size--;
    if (own.size === 0) this.#projects.delete(one.project);
  }

  /** Who is next of those that `may`; it goes on waiting until it leaves. */
  next(may: (one: T) => boolean = () => true): T | undefined {
    let best: T | undefined;
    let lowest = Infinity;
    for (const [project, own] of this.#projects) {
      const tag = this.#time.tagOf(project);
      if (tag >= lowest) continue;
      for (const one of own) {
        if (!may(one)) continue;
        best = one;
        lowest = tag;
        break;
      }
    }
    return best;
  }
}
