// Runs of workflows as the control API shows them, from their rows. Used by list-runs.ts and read-run.ts.
import { z } from '@hono/zod-openapi';
import type { RunItem } from '../protocol/workflow-api.ts';
import { RUN_STATES } from '../protocol/workflow-api.ts';
import type { KeptError } from '../protocol/workflow-run.ts';
import { time } from './schemas.ts';

export const keptError = z.object({
  name: z.string(),
  message: z.string(),
  stack: z.string().optional(),
  type: z.string().optional(),
  fields: z.record(z.string(), z.unknown()).optional(),
  step: z.int().optional(),
});

export const runShape = {
  id: z.string(),
  workflow: z.string(),
  version: z.int(),
  state: z.enum(RUN_STATES),
  trigger: z.string(),
  createdAt: time,
  startedAt: time.nullable(),
  updatedAt: time,
  endedAt: time.nullable(),
  wakeAt: time.nullable(),
  error: keptError.nullable(),
};

export interface RunRow {
  run: string;
  id: string;
  workflow: string;
  version: number;
  state: RunItem['state'];
  trigger: string;
  createdAt: Date;
  startedAt: Date | null;
  updatedAt: Date;
  endedAt: Date | null;
  wakeAt: Date | null;
  error: string | null;
}

export const RUN_COLUMNS = `run::text, id, function as workflow, version, state, trigger, created_at as "createdAt", started_at as "startedAt",
  updated_at as "updatedAt", ended_at as "endedAt", wake_at as "wakeAt", error`;

export function runItemOf({ createdAt, startedAt, updatedAt, endedAt, wakeAt, error, ...row }: Omit<RunRow, 'run'>): RunItem {
  return {
    ...row,
    createdAt: createdAt.toISOString(),
    startedAt: startedAt?.toISOString() ?? null,
    updatedAt: updatedAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
    wakeAt: row.state === 'sleeping' || row.state === 'waiting' ? (wakeAt?.toISOString() ?? null) : null,
    error: errorOf(error),
  };
}

export function errorOf(text: string | null): KeptError | null {
  return text === null ? null : (parsed(text) as KeptError);
}

/** What a guest wrote, which need not be JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { name: 'Error', message: 'what was kept is no JSON' };
  }
}
