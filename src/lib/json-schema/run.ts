// One validation on its way through the checks that a schema was compiled to: where it is in the value, what it found, what it has
// spent. Invariant: a run ends: whatever schema and value are, it gives up when its steps are spent. Made by compile.ts.
import { pointerText } from './refs.ts';

export interface ValueProblem {
  /** `#/items/0/name` */
  pointer: string;
  /** A sentence without the value: what is sent may be secret. */
  message: string;
}

/** What the checks of a schema have looked at, for `unevaluated…`. */
export class Seen {
  all = false;
  readonly keys = new Set<string | number>();

  add(other: Seen): void {
    this.all ||= other.all;
    for (const key of other.keys) this.keys.add(key);
  }
}

/** Whether the value is what it should be; if it is not, the run knows why. */
export type Check = (value: unknown, run: Run, seen: Seen | undefined) => boolean;

/** Gives the checks of the schemas within a schema; of each there is one, however often it is referred to. */
export interface Compiling {
  check(schema: unknown): Check;
}

/** How deep checks may be in each other: a chain of references costs stack. */
const DEPTH_MAX = 1_000;

export class TooMuch extends Error {}
const TOO_MUCH = new TooMuch('more to check than one value may take');

export class Run {
  /** Of the value that is being checked. */
  readonly path: (string | number)[] = [];
  readonly problems: ValueProblem[] = [];
  readonly #problemsMax: number;
  #steps: number;
  depth = 0;
  /** Above 0: whether the value matches is all that is asked. */
  quiet = 0;

  constructor(limits: { problemsMax: number; stepsMax: number }) {
    this.#problemsMax = limits.problemsMax;
    this.#steps = limits.stepsMax;
  }

  get full(): boolean {
    return this.problems.length >= this.#problemsMax;
  }

  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw TOO_MUCH;
  }

  enter(): void {
    this.spend(1);
    if (++this.depth > DEPTH_MAX) throw TOO_MUCH;
  }

  /** Always false. */
  fail(message: string, key?: string | number): false {
    if (this.quiet > 0 || this.full) return false;
    this.problems.push({ pointer: pointerText(key === undefined ? this.path : [...this.path, key]), message });
    return false;
  }

  /** Whether to stop at the first problem. */
  get hasty(): boolean {
    return this.quiet > 0 || this.full;
  }

  below(key: string | number, value: unknown, check: Check): boolean {
    this.path.push(key);
    const valid = check(value, this, undefined);
    this.path.pop();
    return valid;
  }

  matches(check: Check, value: unknown, seen: Seen | undefined): boolean {
    this.quiet++;
    const valid = check(value, this, seen);
    this.quiet--;
    return valid;
  }
}
