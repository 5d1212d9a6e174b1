// How many connections there are, in all and from each address. Invariant: bounded by the configuration; this machine itself
// and trusted proxies, behind whom many clients are, count in all only. Called once for each connection.
import type { Socket } from 'node:net';
import type { Peer } from './peer.ts';

export class ConnectionCounts {
  readonly #limits: { connectionsMax: number; clientConnectionsMax: number };
  readonly #byAddress = new Map<string, number>();
  #all = 0;

  constructor(limits: { connectionsMax: number; clientConnectionsMax: number }) {
    this.#limits = limits;
  }

  get all(): number {
    return this.#all;
  }

  /** Whether it may stay; it is counted until it is closed. */
  admit(socket: Socket, { address, trusted }: Peer): boolean {
    if (this.#all >= this.#limits.connectionsMax) return false;
    const counted = !trusted && !isLoopback(address);
    const before = counted ? (this.#byAddress.get(address) ?? 0) : 0;
    if (counted && before >= this.#limits.clientConnectionsMax) return false;
    this.#all++;
    if (counted) this.#byAddress.set(address, before + 1);
    socket.on('close', () => {
      this.#all--;
      if (!counted) return;
      const left = this.#byAddress.get(address)! - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
    return true;
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
