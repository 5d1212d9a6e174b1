// The edge's part in workflows, put together: who wakes runs up, keeps their steps, and answers their guests. Made by edge.ts.
import type { Bus } from '../events/bus.ts';
import type { EventCall, EventOutcome } from '../events/invoker.ts';
import { Runs } from '../events/workflows/runs.ts';
import { Starter } from '../events/workflows/start-run.ts';
import { StepWriter } from '../events/workflows/step-writer.ts';
import { WorkflowKind } from '../events/workflows/workflow-kind.ts';
import { workflowSettings } from '../events/workflows/workflow-rules.ts';
import type { GuestServices } from '../functions/guest-services.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import { ERRORS, VirgaError } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { WorkflowRequest } from '../protocol/workflow-run.ts';
import type { Records } from '../store/records/records.ts';
import type { PlatformLog } from './platform-log.ts';

export interface EdgeWorkflowsNeeds {
  records: Records;
  bus: Bus;
  invoke: (call: EventCall) => Promise<EventOutcome>;
  model: Pick<ReadModel, 'project'>;
  limits: { workflowStepsMax: number; workflowHistoryBytesMax: number; workflowBytesMax: number };
  log: PlatformLog;
}

export interface EdgeWorkflows {
  kind: WorkflowKind;
  services: GuestServices;
  starter: Starter;
  /** Wakes up what an earlier process of this edge had awake. */
  recover(): Promise<void>;
}

/** How long a step waits for a database that is away. */
const PATIENCE_MS = 20_000;

export function edgeWorkflows({ records, bus, invoke, model, limits, log }: EdgeWorkflowsNeeds): EdgeWorkflows {
  const runs = new Runs(records, 'edge');
  const starter = new Starter({ records, bus, now: Date.now, limits });
  const kind = new WorkflowKind({
    runs,
    writer: new StepWriter(records, { patienceMs: PATIENCE_MS }),
    invoker: { invoke },
    rulesOf: (project, fn) => workflowSettings(model.project(project)?.topology.workflows.get(fn)),
    wake: (name, at) => starter.wake(name, at),
    now: Date.now,
    limits,
    log,
  });
  return {
    kind,
    starter,
    services: {
      serve: (caller, request, data, answer) => {
        kind.ask(caller, request as WorkflowRequest, data).then(
          (value) => answer({ value: value ?? null }),
          (error: unknown) => answer({ error: known(error) }),
        );
      },
    },
    recover: async () => {
      for (const name of await runs.orphans()) await starter.wake(name);
    },
  };
}

function known(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof VirgaError && error.code in ERRORS) return { code: error.code, message: error.message };
  return { code: 'internal', message: `the edge failed: ${String(error)}` };
}
