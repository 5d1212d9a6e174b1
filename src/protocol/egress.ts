// What a function may reach: `internet`, `none`, or a list of names, addresses and ranges, each with a port if wanted.
// Invariant: a text that parses means the same on the client, the server and the node; what does not parse comes back
// as a sentence that says why and what to write. Pure. Callers: cli/manifest, control/schemas.ts, sandbox/network.
import { isIP } from 'node:net';
import type { BlockList } from 'node:net';
import { blockListOf, bytesOf, reservedAs } from './reserved-addresses.ts';

export type Egress = 'internet' | 'none' | string[];

export const EGRESS_DEFAULT = 'internet';
export const EGRESS_ENTRIES_MAX = 100;
export const EGRESS_ENTRY_CHARACTERS_MAX = 300;
/** Said whenever an entry is refused. */
export const EGRESS_RULE =
  'a name, *.name, an address or a range, with :port if wanted, such as api.stripe.com, *.example.com:443 or 203.0.113.0/24';

export type EgressRule = { port: number | null } & (
  | { kind: 'name'; name: string }
  /** Every name below, not the name itself. */
  | { kind: 'below'; name: string }
  | { kind: 'range'; range: string }
);

const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** A string says what is wrong with `text`. */
export function parseEgressEntry(text: string): EgressRule | string {
  if (text.length > EGRESS_ENTRY_CHARACTERS_MAX) return `has more than ${EGRESS_ENTRY_CHARACTERS_MAX} characters`;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return `is a URL; write its host alone, as in ${hostOf(text)}`;
  const { host, port } = splitPort(text);
  if (port !== undefined && (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)) {
    return `has the port '${port}'; a port is a number from 1 to 65535`;
  }
  const portNumber = port === undefined ? null : Number(port);
  const [address = '', bits, ...more] = host.split('/');
  if (isIP(address) !== 0) {
    const range = parseRange(address, bits, more.length > 0);
    return 'problem' in range ? range.problem : { kind: 'range', range: range.range, port: portNumber };
  }
  if (host.includes('/')) return 'has a path, or a range whose address is none; write the host alone, or a range such as 203.0.113.0/24';
  const name = host.toLowerCase().replace(/\.$/, '');
  const below = name.startsWith('*.');
  const bare = below ? name.slice(2) : name;
  if (bare.includes('*') || bare === '')
    return "has a '*' elsewhere than as its first label; write *.example.com, or `egress: internet` for everything";
  if (!NAME.test(bare)) return 'is neither a name nor an address';
  // Resolvers take 127.1 and 0x7f000001 for addresses.
  if (/^(\d+|0x[0-9a-f]+)$/.test(bare.split('.').at(-1)!)) return 'looks like an address but is none; write four numbers from 0 to 255';
  return below ? { kind: 'below', name: bare, port: portNumber } : { kind: 'name', name: bare, port: portNumber };
}

/** Why an entry that parses is given to nobody, unless the operator has opened what it names; undefined: it may be. */
export function privateEgress(text: string, opened: readonly string[]): { why: string; remedy: string } | undefined {
  const rule = parseEgressEntry(text);
  if (typeof rule === 'string' || rule.kind !== 'range') return undefined;
  const [first, last] = boundsOf(rule.range);
  const what = reservedAs(first);
  // A range that reaches beyond a reserved one is fine: the reserved part stays closed at each connection.
  if (what === null || reservedAs(last) !== what) return undefined;
  if (covers(blockListOf(opened), first) && covers(blockListOf(opened), last)) return undefined;
  return {
    why: `is not on the internet (${what}), and functions are kept out of such networks`,
    remedy: 'remove it from virga.yaml, or let the operator of the node open it with VIRGA_EGRESS_PRIVATE',
  };
}

export function covers(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

export function egressText(egress: Egress): string {
  return typeof egress === 'string' ? egress : `[${egress.join(', ')}]`;
}

function splitPort(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1]!, port: bracketed[2] };
  const colon = text.indexOf(':');
  // Two colons: IPv6, whose port would need the brackets.
  if (colon === -1 || text.indexOf(':', colon + 1) !== -1) return { host: text, port: undefined };
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function parseRange(address: string, bits: string | undefined, more: boolean): { range: string } | { problem: string } {
  const whole = isIP(address) === 6 ? 128 : 32;
  if (address.includes('%')) return { problem: 'has a zone (%…), which means nothing off its machine' };
  if (bits === undefined) return { range: `${address}/${whole}` };
  if (more || !/^\d{1,3}$/.test(bits) || Number(bits) > whole) return { problem: `has no prefix length from 0 to ${whole} after the /` };
  const [first] = boundsOf(`${address}/${bits}`);
  const given = isIP(address) === 6 ? spelt(bytesOf(address)) : address;
  if (first !== given) return { problem: `names an address inside the range; write ${first}/${bits}, or ${address} for the one address` };
  return { range: `${address}/${bits}` };
}

/** First and last address of a range. */
function boundsOf(range: string): [string, string] {
  const [address = '', text] = range.split('/');
  const bytes = isIP(address) === 6 ? bytesOf(address) : Buffer.from(address.split('.').map(Number));
  const bits = Number(text);
  const bound = (fill: number): string => {
    const mask = (index: number): number => (0xff << Math.max(0, Math.min(8, 8 - (bits - index * 8)))) & 0xff;
    return spelt(Buffer.from(bytes.map((byte, index) => (byte & mask(index)) | (fill & ~mask(index) & 0xff))));
  };
  return [bound(0), bound(0xff)];
}

function spelt(bytes: Buffer): string {
  return bytes.length === 4 ? [...bytes].join('.') : bytes.toString('hex').match(/.{4}/g)!.join(':');
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? 'example.com:443';
}
