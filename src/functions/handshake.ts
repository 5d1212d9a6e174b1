// The guest's way to being ready, awaited: HELLO (the runtime has booted), then READY or FAILED (the code is loaded, or
// not). Invariant: each wait ends: by the frame, by its time-out, or by the end of the sandbox. Used by instance.ts alone.
import type { VirgaError } from '../protocol/errors.ts';
import type { HelloPayload, ReadyPayload } from '../protocol/frames.ts';
import { bootLateError, loadLateError } from './failures.ts';
import type { Seen } from './failures.ts';
import type { DeployedVersion } from './version.ts';

export class Handshake {
  readonly #version: DeployedVersion;
  #hello: ((payload: HelloPayload) => void) | undefined;
  #ready: ((payload: ReadyPayload) => void) | undefined;
  #failed: ((error: VirgaError) => void) | undefined;

  constructor(version: DeployedVersion) {
    this.#version = version;
  }

  /** Somebody waits for a frame. */
  get waiting(): boolean {
    return this.#failed !== undefined;
  }

  async hello(timeoutMs: number, seen: () => Seen): Promise<HelloPayload> {
    return this.#wait(
      (done) => (this.#hello = done),
      timeoutMs,
      () => bootLateError(this.#version, timeoutMs, seen()),
    );
  }

  async ready(timeoutMs: number, seen: () => Seen): Promise<ReadyPayload> {
    return this.#wait(
      (done) => (this.#ready = done),
      timeoutMs,
      () => loadLateError(this.#version, timeoutMs, seen()),
    );
  }

  /** The frames' payloads; a malformed one throws. A frame that nobody waits for is ignored. */
  onHello(payload: Buffer): void {
    this.#hello?.(JSON.parse(payload.toString()) as HelloPayload);
  }

  onReady(payload: Buffer): void {
    this.#ready?.(JSON.parse(payload.toString()) as ReadyPayload);
  }

  fail(error: VirgaError): void {
    this.#failed?.(error);
  }

  async #wait<T>(arm: (done: (value: T) => void) => void, timeoutMs: number, late: () => VirgaError): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => reject(late()), timeoutMs);
    this.#failed = reject;
    arm(resolve);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#hello = this.#ready = this.#failed = undefined;
    }
  }
}
