// The connections to the program that are open and idle. Invariant: one that may be about to be closed by the program is not
// used again: servers close idle ones after 2 s (gunicorn) to 75 s (nginx), and a sandbox may have stood still meanwhile, so
// that the program's timer and the next request come at the same moment. A new one takes 0.1 ms. Bounded by the calls that
// run at the same time. Used by proxy.ts.
import { Connection } from './connection.ts';

const IDLE_MS_MAX = 1_000;

export class Connections {
  readonly #address: { host: string; port: number };
  readonly #idle: Connection[] = [];

  constructor(address: { host: string; port: number }) {
    this.#address = address;
  }

  /** One that was idle last, or a new one. */
  take(): Connection {
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      const idleMs = performance.now() - last.idleSince;
      if (last.usable && idleMs < Math.min(IDLE_MS_MAX, last.idleS * 500)) return last;
      last.destroy();
    }
    return this.fresh();
  }

  fresh(): Connection {
    return new Connection(this.#address, (closed) => {
      const at = this.#idle.indexOf(closed);
      if (at !== -1) this.#idle.splice(at, 1);
    });
  }

  /** Its response is complete. */
  release(connection: Connection): void {
    if (!connection.usable) return;
    connection.idleSince = performance.now();
    this.#idle.push(connection);
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }
}
