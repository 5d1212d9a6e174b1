// What a project says of a workflow, with what holds where it says nothing. Pure.
import { durationMs } from '../../lib/units.ts';
import type { FilterPattern } from '../../protocol/sources/filter.ts';
import type { WorkflowRules } from '../../protocol/sources/workflows.ts';
import { retryOf } from '../topology.ts';
import type { Retry } from '../topology.ts';

export interface WorkflowSettings {
  retry: Retry;
  /** How long a run that has ended is kept. */
  keepMs: number;
  /** Runs that have not ended. */
  runsMax: number;
}

export type WorkflowRulesOf = (project: string, fn: string) => WorkflowSettings;

const KEEP_MS = 30 * 86_400_000;
const RUNS_MAX = 10_000;

export function workflowSettings(rules: WorkflowRules | undefined): WorkflowSettings {
  const { retry, keep, maxRuns } = rules === undefined || rules === true ? {} : rules;
  return {
    retry: retryOf(retry),
    keepMs: keep === undefined ? KEEP_MS : (durationMs(keep) ?? KEEP_MS),
    runsMax: maxRuns ?? RUNS_MAX,
  };
}

const patterns = new WeakMap<object, FilterPattern>();

/** Events of the project that its runs may wait for, as a pattern; undefined: none. */
export function eventsOf(rules: WorkflowRules | undefined): FilterPattern | undefined {
  if (rules === undefined || rules === true || rules.events === undefined) return undefined;
  let pattern = patterns.get(rules);
  if (pattern === undefined) patterns.set(rules, (pattern = { type: rules.events }));
  return pattern;
}
