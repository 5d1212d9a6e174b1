// Runs of workflows over the control API, for tests: starts them, and waits for what becomes of them.
import assert from 'node:assert/strict';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

export interface Step {
  ordinal: number;
  scope: string;
  kind: string;
  name: string;
  state: string;
  attempts: number;
  result?: unknown;
  wakeAt: string | null;
  error: { name: string; message: string } | null;
}

export interface Run {
  id: string;
  version: number;
  state: string;
  trigger: string;
  input: unknown;
  result?: unknown;
  error: { name: string; message: string } | null;
  wakeAt: string | null;
  steps: Step[];
  events: { name: string; ordinal: number | null }[];
}

/** A run is as long as its steps and waits; on a busy machine it takes its time. */
const RUN_MS_MAX = 20_000;

export class Workflows {
  readonly #virga: Virga;
  readonly #project: string;

  constructor(virga: Virga, project: string) {
    this.#virga = virga;
    this.#project = project;
  }

  async ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(`${this.#virga.controlUrl}/v1/projects/${this.#project}/workflows${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#virga.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  async start(workflow: string, input?: unknown, id?: string): Promise<string> {
    const { status, body } = await this.ask('POST', `/${workflow}/runs`, { input, ...(id === undefined ? {} : { id }) });
    assert.equal(status, 202, JSON.stringify(body));
    return body['id'] as string;
  }

  async run(workflow: string, id: string): Promise<Run> {
    const { status, body } = await this.ask('GET', `/${workflow}/runs/${id}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body as unknown as Run;
  }

  /** As soon as it is so. */
  async until(workflow: string, id: string, so: (run: Run) => boolean): Promise<Run> {
    return await eventually(async () => {
      const run = await this.run(workflow, id);
      return so(run) ? run : undefined;
    }, RUN_MS_MAX);
  }

  async ended(workflow: string, id: string): Promise<Run> {
    return await this.until(workflow, id, ({ state }) => ['succeeded', 'failed', 'cancelled'].includes(state));
  }

  async succeeded(workflow: string, id: string): Promise<Run> {
    const run = await this.ended(workflow, id);
    assert.equal(run.state, 'succeeded', JSON.stringify(run, null, 2));
    return run;
  }
}

/** A Virga with this project. */
export async function startWorkflows(
  files: Record<string, string> & { 'virga.yaml': string },
): Promise<{ virga: Virga; workflows: Workflows }> {
  const virga = await startVirga();
  const deployed = await virga.deploy(files);
  assert.equal(deployed.code, 0, deployed.stderr);
  const [, project] = /^project: (\S+)$/m.exec(files['virga.yaml'])!;
  return { virga, workflows: new Workflows(virga, project!) };
}
