// Between the calls of an instance: whether something that a call left behind is still at work, and the kernel's stop.
// Invariant: what is frozen is thawed before anything is written to it. Owned by instance.ts.
import type { Sandbox } from '../sandbox/sandbox.ts';

export class Rest {
  readonly #sandbox: Sandbox;
  /** The guest says that promises given to waitUntil have not settled. */
  background = false;
  frozen = false;

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Stops the sandbox until thaw(); nothing happens where the machine cannot. */
  freeze(): void {
    if (!this.frozen) this.frozen = this.#sandbox.freeze();
  }

  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    this.#sandbox.thaw();
  }
}
