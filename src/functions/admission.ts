// Whether one more call may wait, and what its client is told if not: calls and body bytes that wait are bounded for each
// function, each project, and the node, so that no flood takes the edge's memory, and no function or project all of the room.
// Invariant: what waits is at most what the limits say; every refusal is a VirgaError with the seconds after which it is worth
// to come again. Pure but for its two sums. Owned by engine.ts, asked by version-pool.ts when a call cannot run at once.
import { VirgaError } from '../protocol/errors.ts';
import type { ProjectLoad } from './fair-share.ts';
import type { DeployedVersion } from './version.ts';
import { nameOf } from './version.ts';

export interface QueueLimits {
  queueCallsMax: number;
  queueBytesMax: number;
  projectQueueCallsMax: number;
  projectQueueBytesMax: number;
  functionQueueBytesMax: number;
}

export class Admission {
  readonly #limits: QueueLimits;
  #calls = 0;
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get calls(): number {
    return this.#calls;
  }

  /** One more call of `bytes` waits from now on, unless that is refused. */
  join(version: DeployedVersion, project: ProjectLoad, bytes: number, own: { bytes: number; retryAfterS: number }): VirgaError | undefined {
    const refusal = this.#refusal(version, project, bytes, own.bytes);
    if (refusal !== undefined) return new VirgaError(refusal.code, refusal.message, { retryAfterS: own.retryAfterS });
    this.#calls++;
    this.#bytes += bytes;
    project.queued++;
    project.queuedBytes += bytes;
    return undefined;
  }

  /** It does not wait any more. */
  leave(project: ProjectLoad, bytes: number): void {
    this.#calls--;
    this.#bytes -= bytes;
    project.queued--;
    project.queuedBytes -= bytes;
  }

  #refusal(
    version: DeployedVersion,
    project: ProjectLoad,
    bytes: number,
    ownBytes: number,
  ): { code: 'function_overloaded' | 'project_overloaded' | 'node_overloaded'; message: string } | undefined {
    const limits = this.#limits;
    // One always may, however large: nothing that waits would ever make room for it.
    if (ownBytes > 0 && ownBytes + bytes > limits.functionQueueBytesMax) {
      const message = `calls of ${nameOf(version)} wait with ${ownBytes} bytes of bodies, and at most ${limits.functionQueueBytesMax} may (VIRGA_LIMIT_FUNCTION_QUEUE_BYTES); try again later`;
      return { code: 'function_overloaded', message };
    }
    const who = `project '${project.name}'`;
    if (project.queued >= limits.projectQueueCallsMax) {
      const message = `${project.queued} calls of ${who} wait, as many as may (VIRGA_LIMIT_PROJECT_QUEUE_CALLS); try again later`;
      return { code: 'project_overloaded', message };
    }
    if (project.queuedBytes > 0 && project.queuedBytes + bytes > limits.projectQueueBytesMax) {
      const message = `calls of ${who} wait with ${project.queuedBytes} bytes of bodies, and at most ${limits.projectQueueBytesMax} may (VIRGA_LIMIT_PROJECT_QUEUE_BYTES); try again later`;
      return { code: 'project_overloaded', message };
    }
    if (this.#calls >= limits.queueCallsMax || (this.#bytes > 0 && this.#bytes + bytes > limits.queueBytesMax)) {
      const message = `this node has ${this.#calls} calls waiting with ${this.#bytes} bytes of bodies, as much as it may (VIRGA_LIMIT_QUEUE_CALLS, VIRGA_LIMIT_QUEUE_BYTES); try again later`;
      return { code: 'node_overloaded', message };
    }
    return undefined;
  }
}
