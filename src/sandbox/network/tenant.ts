// One tenancy of a namespace: the sandbox that has it now, its policy, its connections and queries, its log.
// Invariant: after end() nothing of it goes on: every connection is cut, every answer that comes late is dropped.
// Callers: namespace.ts, connection.ts, resolver.ts.
import type { Socket } from 'node:net';
import type { NetworkPolicy } from '../sandbox.ts';
import { Policy } from './policy.ts';
import type { NodeNetwork, Verdict } from './policy.ts';
import { Refusals } from './refusals.ts';
import type { LogLevel } from './wire.ts';

export class Tenant {
  readonly policy: Policy;
  readonly sockets = new Set<Socket>();
  /** Carried now. */
  connections = 0;
  /** DNS queries under way. */
  queries = 0;
  readonly #name: string;
  readonly #refusals: Refusals;
  #ended = false;

  constructor(policy: NetworkPolicy, node: NodeNetwork, log: (level: LogLevel, text: string) => void) {
    this.policy = new Policy(policy.egress, node);
    this.#name = `function '${policy.function}'`;
    this.#refusals = new Refusals((text) => log('warn', text), performance.now());
  }

  get ended(): boolean {
    return this.#ended;
  }

  refused(destination: string, verdict: Extract<Verdict, { allowed: false }>): void {
    this.#report(`egress: ${destination} was refused to ${this.#name}: ${verdict.why}; ${verdict.remedy}`);
  }

  failed(destination: string, why: string): void {
    this.#report(`egress: ${destination} could not be reached: ${why}`);
  }

  /** `name (address) port 443`, as far as it is known. */
  destination(address: string, port: number): string {
    const name = this.policy.nameOf(address, performance.now());
    return `${name === undefined ? address : `${name} (${address})`} port ${port}`;
  }

  end(): void {
    this.#ended = true;
    for (const socket of this.sockets) socket.resetAndDestroy();
    this.sockets.clear();
  }

  #report(text: string): void {
    if (!this.#ended) this.#refusals.report(text, performance.now());
  }
}
