// What is committed with a position: the windows that are open and what the function gave for each. Invariants: what was stored is read
// again by any later version of this file; a state is bounded. Used by partition-run.ts.
import type { OpenWindow } from './windows.ts';

export const STATE_BYTES_MAX = 256 * 1_024;
/** Of one partition; the schema of `window` keeps to it (protocol/sources/triggers.ts). */
const STATES_BYTES_MAX = 4 * 1_024 ** 2;

interface Stored {
  windows: readonly { start: number; end: number; state?: unknown }[];
}

export function openWindowsOf(state: string | null): OpenWindow[] {
  if (state === null) return [];
  return (JSON.parse(state) as Stored).windows.map(({ start, end, state: own }) => ({ start, end, state: own }));
}

/** null: none is open. */
export function stateOf(open: readonly OpenWindow[]): string | null {
  return open.length === 0 ? null : JSON.stringify({ windows: open } satisfies Stored);
}

/** What is wrong with what a function gave; undefined: nothing. */
export function stateProblem(state: unknown, open: readonly OpenWindow[]): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(state) ?? '');
  if (bytes > STATE_BYTES_MAX) {
    return `the state of a window has ${bytes} bytes, and may have ${STATE_BYTES_MAX}: keep sums in it, and what is large elsewhere`;
  }
  const all = Buffer.byteLength(stateOf(open) ?? '');
  if (all > STATES_BYTES_MAX) {
    return `the states of the ${open.length} open windows have ${all} bytes, and may have ${STATES_BYTES_MAX} together: keep less in each, or have fewer open at a time`;
  }
  return undefined;
}
