// Whose turn it is, and how much each project may hold at a time: places (calls of deliveries) and bytes of messages of this node.
// Start-time fair queueing over projects that have something to do, a call is a unit of service. Invariants: between two projects that
// both always wait, what each was given differs by at most one turn; one project holds at most three times what is free, so at most three
// quarters of all: a place is left for whoever comes with a single message. Pure. Owned by deliveries.ts.

export class ProjectTurns<T> {
  readonly name: string;
  places = 0;
  bytes = 0;
  /** Virtual time up to which it has been served. */
  servedUntil = 0;
  /** Lines with something to do, first whoever came first. */
  readonly waiting = new Set<T>();

  constructor(name: string) {
    this.name = name;
  }
}

/** Whoever waits for turns. */
export interface Turned {
  project: ProjectTurns<Turned>;
}

const SHARE_OF_FREE = 3;

export class FairTurns<T extends { project: ProjectTurns<T> }> {
  readonly #placesMax: number;
  readonly #bytesMax: number;
  readonly #projects = new Map<string, ProjectTurns<T>>();
  readonly #waiting = new Set<ProjectTurns<T>>();
  #now = 0;
  #places = 0;
  #bytes = 0;

  constructor(limits: { placesMax: number; bytesMax: number }) {
    this.#placesMax = limits.placesMax;
    this.#bytesMax = limits.bytesMax;
  }

  get places(): number {
    return this.#places;
  }

  get bytes(): number {
    return this.#bytes;
  }

  project(name: string): ProjectTurns<T> {
    let project = this.#projects.get(name);
    if (project === undefined) this.#projects.set(name, (project = new ProjectTurns(name)));
    return project;
  }

  /** Those that are not named and hold nothing are forgotten. */
  keep(names: ReadonlySet<string>): void {
    for (const [name, { places, bytes, waiting }] of this.#projects)
      if (!names.has(name) && places + bytes + waiting.size === 0) this.#projects.delete(name);
  }

  /** It has something to do from now on; who waits already keeps the place. */
  join(line: T): void {
    line.project.waiting.add(line);
    this.#waiting.add(line.project);
  }

  leave(line: T): void {
    const { project } = line;
    if (project.waiting.delete(line) && project.waiting.size === 0) this.#waiting.delete(project);
  }

  get someWait(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whose turn it is of those that `may`. */
  next(may: (line: T) => boolean): T | undefined {
    let best: T | undefined;
    let lowest = Infinity;
    for (const project of this.#waiting) {
      const tag = Math.max(this.#now, project.servedUntil);
      if (tag >= lowest) continue;
      for (const line of project.waiting) {
        if (!may(line)) continue;
        best = line;
        lowest = tag;
        break;
      }
    }
    return best;
  }

  /** Places that it may take now. `atMost`: in use on this node. */
  placesFor({ places }: ProjectTurns<T>, atMost: number): number {
    const free = this.#placesMax - this.#places;
    // Whoever takes n of what is free may hold n more than now, of which at most SHARE_OF_FREE times the rest: n ≤ (3·free − held) / 4.
    const fair =
      places === 0 ? Math.max(1, (SHARE_OF_FREE * free) / (SHARE_OF_FREE + 1)) : (SHARE_OF_FREE * free - places) / (SHARE_OF_FREE + 1);
    return Math.max(0, Math.floor(Math.min(fair, free, atMost - this.#places)));
  }

  /** The same for bytes. */
  bytesFor({ bytes }: ProjectTurns<T>): number {
    const free = this.#bytesMax - this.#bytes;
    return Math.max(0, Math.floor((SHARE_OF_FREE * free - bytes) / (SHARE_OF_FREE + 1)));
  }

  take(project: ProjectTurns<T>, places: number): void {
    project.places += places;
    this.#places += places;
  }

  /** It had a turn. */
  serve(project: ProjectTurns<T>): void {
    if (project.servedUntil > this.#now) this.#now = project.servedUntil;
    project.servedUntil = this.#now + 1;
  }

  giveBack(project: ProjectTurns<T>, places: number): void {
    project.places -= places;
    this.#places -= places;
  }

  /** Holds so many more bytes, or fewer. */
  hold(project: ProjectTurns<T>, bytes: number): void {
    project.bytes += bytes;
    this.#bytes += bytes;
  }
}
