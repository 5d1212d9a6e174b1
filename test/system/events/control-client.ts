// The control API as the tests of events use it: what is sent, and what has come into a queue. Used by the tests of this folder.
import assert from 'node:assert/strict';
import type { Virga } from '../virga.ts';

export interface Answer<T> {
  status: number;
  body: T;
}

export interface Came {
  id: string;
  body: string;
  attributes: Record<string, string>;
  group: string | null;
}

export class ControlClient {
  readonly #virga: Virga;
  readonly #project: string;

  constructor(virga: Virga, project: string) {
    this.#virga = virga;
    this.#project = project;
  }

  async post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
    const response = await fetch(`${this.#virga.controlUrl}/v1/projects/${this.#project}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#virga.token}`, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as T };
  }

  async get<T>(path: string): Promise<T> {
    const headers = { authorization: `Bearer ${this.#virga.token}` };
    const response = await fetch(`${this.#virga.controlUrl}/v1/projects/${this.#project}${path}`, { headers });
    const body = (await response.json()) as T;
    assert.equal(response.status, 200, JSON.stringify(body));
    return body;
  }

  /** The next messages of a queue that no function takes, which are done then; waits for as many. */
  async take(queue: string, count: number): Promise<Came[]> {
    const came: Came[] = [];
    while (came.length < count) {
      const { status, body } = await this.post<{ messages: (Came & { receipt: string })[] }>(`/queues/${queue}/receive`, {
        max: count - came.length,
        waitMs: 10_000,
      });
      assert.equal(status, 200, JSON.stringify(body));
      assert.ok(body.messages.length > 0, `only ${came.length} of ${count} came into '${queue}' within 10 s: ${JSON.stringify(came)}`);
      const settlements = body.messages.map(({ receipt }) => ({ receipt, as: 'done' }));
      assert.equal((await this.post(`/queues/${queue}/settle`, { settlements })).status, 200);
      came.push(...body.messages);
    }
    return came;
  }

  /** What is in a queue, in the order of its sending. */
  async peek(queue: string): Promise<Came[]> {
    const headers = { authorization: `Bearer ${this.#virga.token}` };
    const response = await fetch(`${this.#virga.controlUrl}/v1/projects/${this.#project}/queues/${queue}/messages`, { headers });
    return ((await response.json()) as { items?: Came[] }).items ?? [];
  }

  /** Dead letters that have come into a queue of the project, which are done then. */
  async dead(queue: string, count: number): Promise<(Came & { lastError: string | null })[]> {
    const until = Date.now() + 10_000;
    for (;;) {
      const headers = { authorization: `Bearer ${this.#virga.token}` };
      const response = await fetch(`${this.#virga.controlUrl}/v1/projects/${this.#project}/queues/${queue}/messages`, { headers });
      const { items } = (await response.json()) as { items: (Came & { lastError: string | null })[] };
      if (items.length >= count) {
        await this.take(queue, count);
        return items.slice(0, count);
      }
      assert.ok(Date.now() < until, `only ${items.length} of ${count} dead letters came into '${queue}'`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** That nothing is in it. */
  async empty(queue: string): Promise<void> {
    const { body } = await this.post<{ messages: unknown[] }>(`/queues/${queue}/receive`, { max: 10 });
    assert.deepEqual(body.messages, []);
  }
}
