// Workflows of one project, through the control API: what runs there are, and what is done to them. Made by control.ts.
import type { ChangedRun, RunDetail, RunItem, RunState, SentRunEvent, StartedRun, WorkflowItem } from '../../src/protocol/workflow-api.ts';
import { pathOf } from './calls.ts';
import type { CallOptions, Calls, Listing } from './calls.ts';

export type {
  ChangedRun,
  RunDetail,
  RunEventItem,
  RunItem,
  RunState,
  RunStep,
  SentRunEvent,
  StartedRun,
  WorkflowItem,
} from '../../src/protocol/workflow-api.ts';

export class WorkflowRuns {
  readonly #calls: Calls;
  readonly #project: string;

  constructor(calls: Calls, project: string) {
    this.#calls = calls;
    this.#project = project;
  }

  list(options: CallOptions = {}): Listing<WorkflowItem> {
    return this.#calls.list(this.#path(), {}, options);
  }

  /** The newest first. */
  runs(workflow: string, options: CallOptions & { state?: RunState | undefined } = {}): Listing<RunItem> {
    return this.#calls.list(this.#path(workflow, 'runs'), { state: options.state }, options);
  }

  /** With its steps, behind `after`. */
  run(workflow: string, run: string, options: CallOptions & { after?: number | undefined } = {}): Promise<RunDetail> {
    return this.#calls.get(this.#path(workflow, 'runs', run), options, { after: options.after });
  }

  /** `id`: of the run; the same starts it once. */
  start(workflow: string, input?: unknown, options: CallOptions & { id?: string | undefined } = {}): Promise<StartedRun> {
    return this.#post({ input, id: options.id }, options, workflow, 'runs');
  }

  /** `id`: of the event; the same is taken once. */
  send(
    workflow: string,
    run: string,
    event: { name: string; data?: unknown; id?: string | undefined },
    options: CallOptions = {},
  ): Promise<SentRunEvent> {
    return this.#post(event, options, workflow, 'runs', run, 'events');
  }

  cancel(workflow: string, run: string, options: CallOptions = {}): Promise<ChangedRun> {
    return this.#post(undefined, options, workflow, 'runs', run, 'cancel');
  }

  /** A run that failed goes on from its failed step; with `version`, with the code of that one. */
  retry(workflow: string, run: string, options: CallOptions & { version?: number | undefined } = {}): Promise<ChangedRun> {
    return this.#post({ version: options.version }, options, workflow, 'runs', run, 'retry');
  }

  #post<T>(json: unknown, options: CallOptions, ...segments: string[]): Promise<T> {
    return this.#calls.post(this.#path(...segments), json, options);
  }

  #path(...segments: string[]): string {
    return pathOf(this.#project, 'workflows', ...segments);
  }
}
