// Why an instance was ended, or a call of it failed, at a limit: which one, what it had reached, what it said last, and the
// setting to raise. Stored with the invocation; the caller gets only the short message of the error.
// Invariant: bounded (EXPLANATION_LINES_MAX, EXPLANATION_BYTES_MAX), since it quotes what a function printed.
// Made by functions/failures.ts, read by the control API and the CLI.

/** `exit`: its process ended without one of our limits being involved, as far as is known. */
export const EXPLANATION_CAUSES = ['memory', 'pids', 'tmp', 'timeout', 'protocol', 'boot', 'load', 'exit'] as const;

export interface Explanation {
  cause: (typeof EXPLANATION_CAUSES)[number];
  /** The limit that was reached, for people, e.g. `256 MiB`; null when there is none. */
  limit: string | null;
  /** The setting in virga.yaml that moves the limit; null when none does. */
  setting: string | null;
  /** What is known, in sentences for people. */
  facts: string[];
  /** Highest memory of the instance; null: nobody counted. */
  peakMemoryBytes: number | null;
  /**
   * Of the whole instance in the last `windowMs` before its end: CPU time used, and time for which it was ready to run
   * while others had the CPU; null: nobody counted.
   */
  cpu: { ms: number; queuedMs: number; windowMs: number } | null;
  /** What the instance logged last, oldest first. */
  lastLines: string[];
}

export const EXPLANATION_LINES_MAX = 10;
/** Of all of `lastLines` together. */
export const EXPLANATION_BYTES_MAX = 4 * 1024;
