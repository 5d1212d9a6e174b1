// Whose word on who the client is counts: proxies that the operator named, by address or by how many there are in a row.
// Invariant: of anybody else, nothing that a request says of its client, scheme or host is believed. Called once for each
// connection (trusts) and, for trusted ones, once for each request (resolve).
import { BlockList, isIP } from 'node:net';
import { fromForwarded, fromXForwarded } from './forwarded.ts';
import type { ForwardedLines } from './forwarded.ts';

/** What trusted proxies said of a request; undefined: nothing, or nothing of use. */
export interface Said {
  client: string | undefined;
  scheme: 'http' | 'https' | undefined;
  host: string | undefined;
}

export class TrustedProxies {
  readonly #count: number;
  readonly #ranges = new BlockList();

  /** Addresses and ranges, or the number of proxies that every request comes through. */
  constructor(trusted: readonly string[] | number) {
    this.#count = typeof trusted === 'number' ? trusted : 0;
    for (const item of typeof trusted === 'number' ? [] : trusted) {
      const [address = '', bits] = item.split('/');
      const kind = isIP(address) === 4 ? 'ipv4' : 'ipv6';
      if (bits === undefined) this.#ranges.addAddress(address, kind);
      else this.#ranges.addSubnet(address, Number(bits), kind);
    }
  }

  /** Whether there are any. */
  get any(): boolean {
    return this.#count > 0 || this.#ranges.rules.length > 0;
  }

  trusts(address: string): boolean {
    if (this.#count > 0) return true;
    const kind = isIP(address);
    return kind !== 0 && this.#ranges.check(address, kind === 4 ? 'ipv4' : 'ipv6');
  }

  /** `peer` is trusted. The client is the last one in the chain whom no trusted proxy speaks for. */
  resolve(peer: string, lines: ForwardedLines): Said {
    // A proxy writes one of the two. Where both are there, one may be the client's own: see docs/guide/https.md.
    const x = lines.for !== undefined || lines.proto !== undefined || lines.host !== undefined;
    const hops = x ? fromXForwarded(lines) : lines.forwarded === undefined ? [] : fromForwarded(lines.forwarded);
    let at = hops.length;
    let client = peer;
    for (let taken = 0; at > 0; taken++) {
      if (this.#count > 0 ? taken >= this.#count : !this.trusts(client)) break;
      const address = hops[at - 1]!.client;
      if (address === undefined) break;
      client = address;
      at--;
    }
    const hop = hops[Math.min(at, hops.length - 1)];
    return { client: client === peer ? undefined : client, scheme: hop?.scheme, host: hop?.host };
  }
}

/** As everybody writes it: an IPv4 client of a socket for both is no IPv6 client. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
