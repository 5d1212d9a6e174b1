// The header that load balancers put before a connection: PROXY protocol, version 1 (a line) and 2 (binary), as
// https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt has it. Pure: bytes in, what they say out.
// Invariant: nothing is guessed; what is not exactly such a header is malformed. Called by doors.ts.
import { isIP } from 'node:net';

export type ProxyHeader =
  | { kind: 'more' }
  | { kind: 'malformed' }
  /** `client` undefined: the load balancer speaks for itself (a health check), or of something without an address. */
  | { kind: 'header'; bytes: number; client: string | undefined };

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const LINE_BYTES_MAX = 107;
const HEAD_BYTES = 16;
/** Addresses and what a load balancer says beside them; the protocol has room for more than anybody sends. */
const BODY_BYTES_MAX = 4_096;
const MORE = { kind: 'more' } as const;
const MALFORMED = { kind: 'malformed' } as const;

export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return MORE;
  return bytes[0] === SIGNATURE[0] ? readVersion2(bytes) : readVersion1(bytes);
}

function readVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LINE_BYTES_MAX).indexOf('\r\n');
  if (end < 0) {
    const begun = 'PROXY '.startsWith(bytes.toString('latin1', 0, Math.min(bytes.length, 6)));
    return begun && bytes.length < LINE_BYTES_MAX ? MORE : MALFORMED;
  }
  const line = bytes.toString('latin1', 0, end);
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { kind: 'header', bytes: end + 2, client: undefined };
  const found = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line);
  if (found === null) return MALFORMED;
  const [, family, source = '', destination = '', ...ports] = found;
  const kind = Number(family);
  if (isIP(source) !== kind || isIP(destination) !== kind || source.includes('%') || ports.some((port) => Number(port) > 65_535))
    return MALFORMED;
  return { kind: 'header', bytes: end + 2, client: source };
}

function readVersion2(bytes: Buffer): ProxyHeader {
  const seen = Math.min(bytes.length, SIGNATURE.length);
  if (!bytes.subarray(0, seen).equals(SIGNATURE.subarray(0, seen))) return MALFORMED;
  if (bytes.length < HEAD_BYTES) return MORE;
  const command = bytes[12]!;
  const family = bytes[13]!;
  const length = bytes.readUInt16BE(14);
  if ((command !== 0x20 && command !== 0x21) || length > BODY_BYTES_MAX) return MALFORMED;
  if (bytes.length < HEAD_BYTES + length) return MORE;
  const header = { kind: 'header', bytes: HEAD_BYTES + length } as const;
  const isLocal = command === 0x20;
  switch (family) {
    case 0x11:
      if (length < 12) return MALFORMED;
      return { ...header, client: isLocal ? undefined : bytes.subarray(HEAD_BYTES, HEAD_BYTES + 4).join('.') };
    case 0x21:
      if (length < 36) return MALFORMED;
      return { ...header, client: isLocal ? undefined : address6(bytes.subarray(HEAD_BYTES, HEAD_BYTES + 16)) };
    case 0x00:
      return { ...header, client: undefined };
    default:
      return isLocal ? { ...header, client: undefined } : MALFORMED;
  }
}

/** As RFC 5952 has it; one that stands for an IPv4 address in dotted form. */
function address6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  const written = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff ? bytes.subarray(12).join('.') : written;
}
