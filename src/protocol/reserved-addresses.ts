// Which addresses are not the internet: loopback, private and link-local networks, metadata services of clouds, and the
// IPv6 forms that carry such an IPv4 address inside. Invariant: what no range below names is public; an address in any
// spelling gives the same answer. Pure. Callers: egress.ts (at deploy), sandbox/network/ (at each connection).
import { BlockList, SocketAddress, isIP } from 'node:net';

const RANGES: [range: string, what: string][] = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'private (carrier-grade NAT)'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local (with the metadata service of clouds)'],
  ['168.63.129.16/32', 'the metadata service of a cloud'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.88.99.0/24', 'reserved'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'reserved for benchmarks'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  // ::, ::1 and the abandoned IPv4-compatible form.
  ['::/96', 'unspecified, loopback or reserved'],
  ['64:ff9b:1::/48', 'private (NAT64)'],
  ['100::/64', 'reserved'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
];

let lists: { range: string; what: string; list: BlockList }[] | undefined;

/** null: the address is public. `address` is a valid IPv4 or IPv6 address. */
export function reservedAs(address: string): string | null {
  const plain = unmapped(address);
  // Not at import: it takes 10 ms, of which most commands have no use.
  lists ??= RANGES.map(([range, what]) => ({ range, what, list: blockListOf([range]) }));
  const found = lists.find(({ list }) => list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4'));
  if (found !== undefined) return `${found.what}, ${found.range}`;
  for (const inner of carriedIpv4(plain)) {
    const what = reservedAs(inner);
    if (what !== null) return `carries ${inner}: ${what}`;
  }
  return null;
}

/** IPv4 where the address is one in IPv6 clothes (::ffff:a.b.c.d), without a zone, in one spelling. */
export function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  const bytes = bytesOf(address);
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? dotted(bytes, 12) : new SocketAddress({ address: address.replace(/%.*$/, ''), family: 'ipv6' }).address;
}

export function blockListOf(ranges: Iterable<string>): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return list;
}

/** What NAT64 (RFC 6052), 6to4 (RFC 3056) and Teredo (RFC 4380, server and client) would turn into IPv4 on their way. */
function carriedIpv4(address: string): string[] {
  if (isIP(address) !== 6) return [];
  const bytes = bytesOf(address);
  const begins = (hex: string): boolean => bytes.toString('hex').startsWith(hex);
  if (begins('0064ff9b0000000000000000')) return [dotted(bytes, 12)];
  if (begins('2002')) return [dotted(bytes, 2)];
  if (begins('20010000')) return [dotted(bytes, 4), dotted(Buffer.from(bytes.subarray(12).map((byte) => byte ^ 0xff)), 0)];
  return [];
}

function dotted(bytes: Buffer, from: number): string {
  return [...bytes.subarray(from, from + 4)].join('.');
}

/** The 16 bytes of an IPv6 address. */
export function bytesOf(address: string): Buffer {
  const plain = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a, b, c, d] = parts.slice(0, 4).map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [front, back] = [words(head), words(tail ?? '')];
  const zeros = tail === undefined ? [] : Array<string>(8 - front.length - back.length).fill('0');
  return Buffer.from([...front, ...zeros, ...back].map((word) => word.padStart(4, '0')).join(''), 'hex');
}
