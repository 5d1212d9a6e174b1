// The drivers of one node as one: each launch goes to the driver of the isolation that it asks for.
// Invariant: a launch is never started with less than it asks for; where there is no driver for it, it fails with the reason.
// Callers: server/drivers.ts makes it; launcher/service.ts and server/compile.ts use it.
import type { Socket } from 'node:net';
import { VirgaError } from '../protocol/errors.ts';
import type { Isolation } from '../protocol/settings.ts';
import type { Launch, LaunchedSandbox, OutputSink, SandboxDriver } from './driver.ts';
import type { NodeSandboxStatus } from './sandbox.ts';

export class NodeDriver implements SandboxDriver {
  readonly status: Omit<NodeSandboxStatus, 'runtimes'>;
  readonly #standard: SandboxDriver;
  readonly #strong: SandboxDriver | null;

  /** `strong` may be the same driver; a text says why there is none, and what to do about it. */
  constructor(standard: SandboxDriver, strong: SandboxDriver | string) {
    this.#standard = standard;
    const reason = typeof strong === 'string' ? strong : null;
    this.#strong = typeof strong === 'string' ? null : strong;
    this.status = { ...standard.status, strong: this.#strong?.status ?? null, strongReason: reason };
  }

  lateFiles(isolation: Isolation): boolean {
    return this.#of(isolation).status.lateFiles;
  }

  /** Whether its sandboxes join networks (network/network.ts). */
  joinsNetworks(isolation: Isolation): boolean {
    return this.#of(isolation).status.enforcement.network === 'relay';
  }

  start(launch: Launch, channel: Socket, output: OutputSink): Promise<LaunchedSandbox> {
    return this.#of(launch.isolation).start(launch, channel, output);
  }

  closeNow(): void {
    for (const driver of this.#all()) driver.closeNow();
  }

  async close(): Promise<void> {
    for (const driver of this.#all()) await driver.close();
  }

  #of(isolation: Isolation): SandboxDriver {
    if (isolation === 'standard') return this.#standard;
    if (this.#strong === null) {
      throw new VirgaError('sandbox_unavailable', `this node has no sandboxes of strong isolation: ${this.status.strongReason}`);
    }
    return this.#strong;
  }

  #all(): SandboxDriver[] {
    return this.#strong === null || this.#strong === this.#standard ? [this.#standard] : [this.#standard, this.#strong];
  }
}
