// What an attack is: something that a sandbox should refuse, and what became of it. Used by the attacks beside it.
// Invariant: an attack that comes through changes nothing that outlasts it, since with the process driver it does.

export interface Outcome {
  /** It got what it wanted: the wall does not hold. */
  through: boolean;
  /** What was met, e.g. `EPERM`, or what was got. */
  detail: string;
}

export type Attack = () => Outcome | Promise<Outcome>;

export function refused(detail: string): Outcome {
  return { through: false, detail };
}

export function through(detail: string): Outcome {
  return { through: true, detail };
}

/** Through when `work` returns: its result is the detail. */
export function attempt(work: () => unknown): Outcome {
  try {
    return through(String(work()).slice(0, 100));
  } catch (error) {
    return refused(codeOf(error));
  }
}

/** Through when one of them is. */
export function anyOf<T>(candidates: readonly T[], tryOne: (candidate: T) => Outcome): Outcome {
  const outcomes = candidates.map(tryOne);
  return outcomes.find((outcome) => outcome.through) ?? refused([...new Set(outcomes.map(({ detail }) => detail))].join(', '));
}

export function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
