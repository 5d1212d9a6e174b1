// The edge's part in workflows, put together: who wakes runs up, keeps their steps, and answers their guests. Made by edge.ts.
import type { Bus } from '../events/bus.ts';
import type { DeliveryKind } from '../events/deliver/delivery-kind.ts';
import type { EventCall, EventOutcome } from '../events/invoker.ts';
import { EventWaits } from '../events/workflows/event-waits.ts';
import { askRuns } from '../events/workflows/guest-runs.ts';
import { Runs } from '../events/workflows/runs.ts';
import { Starter } from '../events/workflows/start-run.ts';
import { TriggerStarts } from '../events/workflows/trigger-starts.ts';
import type { LiveWorkflow } from '../events/workflows/trigger-starts.ts';
import { StepWriter } from '../events/workflows/step-writer.ts';
import { WorkflowKind } from '../events/workflows/workflow-kind.ts';
import { eventsOf, workflowSettings } from '../events/workflows/workflow-rules.ts';
import { passes } from '../events/filters.ts';
import { keyParts } from '../events/queue-keys.ts';
import { projectOfKey } from '../events/workflows/wait-keys.ts';
import type { GuestServices } from '../functions/guest-services.ts';
import type { DeployedVersion } from '../functions/version.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import { workflowConsumer } from '../events/topology.ts';
import type { Consumer } from '../events/topology.ts';
import { ERRORS, VirgaError } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { ServiceRequest } from '../protocol/frames.ts';
import type { WorkflowRequest } from '../protocol/workflow-run.ts';
import type { PostgresRecords } from '../store/records/postgres.ts';
import type { Sql } from '../store/records/records.ts';
import type { PlatformLog } from './platform-log.ts';

export interface EdgeWorkflowsNeeds {
  records: PostgresRecords;
  bus: Bus;
  invoke: (call: EventCall) => Promise<EventOutcome>;
  model: Pick<ReadModel, 'project'>;
  limits: { workflowStepsMax: number; workflowHistoryBytesMax: number; workflowBytesMax: number };
  log: PlatformLog;
}

export interface EdgeWorkflows {
  kind: WorkflowKind;
  /** Brings events of the project to the runs that wait for them. */
  waits: DeliveryKind;
  services: Record<'workflow' | 'runs', GuestServices>;
  /** Starts runs where the function of a trigger is a workflow. */
  starting: (kind: DeliveryKind) => DeliveryKind;
  starter: Starter;
  /** Of workflows that left virga.yaml and have runs that go on. */
  leftConsumers(): Consumer[];
  /** Looks for such workflows; never rejects. */
  lookForLeft(): Promise<void>;
  /** Wakes up what an earlier process of this edge had awake. */
  recover(): Promise<void>;
}

/** How long a step waits for a database that is away. */
const PATIENCE_MS = 20_000;

export function edgeWorkflows({ records, bus, invoke, model, limits, log }: EdgeWorkflowsNeeds): EdgeWorkflows {
  const runs = new Runs(records, 'edge', {
    allHeard: async (waitsFor, at) => {
      const queue = model.project(projectOfKey(waitsFor))?.topology.waits;
      // Nothing is brought to anybody (any more).
      if (queue === undefined) return true;
      const [first] = await bus.peek(queue.key, { limit: 1 });
      return first === undefined || first.sentAt > at;
    },
  });
  const starter = new Starter({ records, bus, now: Date.now, limits });
  const workflowOf = (project: string, fn: string): LiveWorkflow | undefined => {
    const served = model.project(project);
    const [rules, live] = [served?.topology.workflows.get(fn), served?.functions.get(fn)];
    return rules === undefined || live === undefined ? undefined : { version: live.version, runsMax: workflowSettings(rules).runsMax };
  };
  let left: { project: string; function: string }[] = [];
  const workflowsOf = (project: string): string[] => [...(model.project(project)?.topology.workflows.keys() ?? [])];
  const kind = new WorkflowKind({
    runs,
    writer: new StepWriter({ query: prepared(records) }, { patienceMs: PATIENCE_MS }),
    invoker: { invoke },
    rulesOf: (project, fn) => workflowSettings(model.project(project)?.topology.workflows.get(fn)),
    wake: (name, at) => starter.wake(name, at),
    hearsEvent: ({ project, function: fn }, type) => {
      const types = eventsOf(model.project(project)?.topology.workflows.get(fn));
      return types !== undefined && passes(types, { type });
    },
    now: Date.now,
    limits,
    log,
  });
  // Where all places of a function are taken, messages for those that have them wait: news of an event, or that they are cancelled.
  bus.onReady((key) => {
    const { project, kind: what, name } = keyParts(key);
    if (what === 'workflow') kind.heard(project, name);
  });
  return {
    kind,
    waits: new EventWaits({ records, starter }),
    starter,
    leftConsumers: () =>
      left
        .filter(({ project, function: fn }) => model.project(project)?.topology.workflows.has(fn) === false)
        .map(({ project, function: fn }) => workflowConsumer(project, fn, true)),
    lookForLeft: async () => {
      try {
        left = await runs.alive();
      } catch (error) {
        log('warn', 'runs of workflows that are no more are looked for later', { reason: String(error) });
      }
    },
    services: {
      workflow: service((caller, request, data) => kind.ask(caller, request as WorkflowRequest, data)),
      runs: service(({ project }, request, data) => askRuns({ starter, workflowOf, workflowsOf }, project, request, data)),
    },
    starting: (otherwise) => new TriggerStarts({ starter, workflowOf, now: Date.now }, otherwise),
    recover: async () => {
      for (const name of await runs.orphans()) await starter.wake(name);
    },
  };
}

/** Each statement once for each connection: the one of the writer takes Postgres 1 ms to parse and plan. */
function prepared({ pool }: PostgresRecords): Sql['query'] {
  return async <R>(text: string, values?: unknown[]) => {
    const { rows, rowCount } = await pool.query({ name: 'workflow-steps', text, values: values ?? [] });
    return { rows: rows as R[], rowCount };
  };
}

function service(ask: (caller: DeployedVersion, request: ServiceRequest, data: Buffer) => Promise<unknown>): GuestServices {
  return {
    serve: (caller, request, data, answer) => {
      ask(caller, request, data).then(
        (value) => answer({ value: value ?? null }),
        (error: unknown) => answer({ error: known(error) }),
      );
    },
  };
}

function known(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof VirgaError && error.code in ERRORS) return { code: error.code, message: error.message };
  return { code: 'internal', message: `the edge failed: ${String(error)}` };
}
