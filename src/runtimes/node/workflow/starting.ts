// How any function starts runs of the project's workflows, and sends events to them. The shape is published in the SDK
// (sdk/src/workflow.ts). Made by service-calls.ts.
import type { ServiceRequest } from '../../../protocol/frames.ts';

interface Calls {
  call(request: ServiceRequest, data?: Uint8Array): Promise<unknown>;
}

export class Workflows {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Resolves when the run is stored. `id`: of the run; the same starts it once. */
  readonly startWorkflow = async (workflow: string, input?: unknown, options: { id?: string } = {}): Promise<unknown> => {
    const { id } = options;
    return this.#calls.call({ op: 'runs.start', workflow, ...(id === undefined ? {} : { id }) }, jsonBytes(input));
  };

  /** Resolves when the event is stored. `id`: of the event; the same is taken once. */
  readonly sendToWorkflow = async (
    workflow: string,
    run: string,
    event: string,
    data?: unknown,
    options: { id?: string } = {},
  ): Promise<unknown> => {
    const { id } = options;
    return this.#calls.call({ op: 'runs.send', workflow, run, event, ...(id === undefined ? {} : { id }) }, jsonBytes(data));
  };
}

function jsonBytes(value: unknown): Uint8Array | undefined {
  return value === undefined ? undefined : Buffer.from(JSON.stringify(value));
}
