// How any function starts runs of the project's workflows, and sends events to them. The runtime (src/runtimes/node/workflow) does it.
// Invariant: importing this does nothing; outside of a function each of these rejects.

export interface Workflows {
  /** Resolves when the run is stored. `id`: of the run, unique within the workflow; the same starts it once (`started` false). */
  startWorkflow(workflow: string, input?: unknown, options?: { id?: string }): Promise<{ id: string; started: boolean; version: number }>;
  /** Resolves when the event is stored: the run gets it when it waits for it. `id`: of the event; the same is taken once. */
  sendToWorkflow(workflow: string, run: string, event: string, data?: unknown, options?: { id?: string }): Promise<{ id: string }>;
}

const WORKFLOWS = Symbol.for('virga.workflows');

async function held(): Promise<Workflows> {
  const found = Reflect.get(globalThis, WORKFLOWS) as Workflows | undefined;
  if (found === undefined) throw new Error('no workflow can be reached here: this code does not run as a function of Virga');
  return found;
}

export const startWorkflow: Workflows['startWorkflow'] = async (...args) => (await held()).startWorkflow(...args);
export const sendToWorkflow: Workflows['sendToWorkflow'] = async (...args) => (await held()).sendToWorkflow(...args);
