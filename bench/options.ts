// What a run of a benchmark is given; run.ts reads it from the command line, and has each benchmark's defaults.
// Invariant: whole numbers in the bounds of run.ts. Callers: every benchmark.

export interface BenchOptions {
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  /** Of one subject in one round. */
  samples: number;
  /** A look whether it runs and roughly where things stand; writes no result. */
  quick: boolean;
}
