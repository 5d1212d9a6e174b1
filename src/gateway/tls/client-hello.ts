// The protocols (ALPN, RFC 7301) that the first message of a TLS client asks for. Node says them only after a certificate was
// chosen, which for acme-tls/1 (RFC 8737) depends on them. Pure; whatever is not understood is left to OpenSSL to refuse.
// Called by doors.ts, only on nodes that get certificates by ACME.

const RECORD_HEAD_BYTES = 5;
const HANDSHAKE = 22;
/** Of one record, RFC 8446, section 5.1. A hello in several records is not looked into. */
const RECORD_BYTES_MAX = 16_384;
const ALPN = 16;

export function helloOf(bytes: Buffer): string[] | 'more' | 'malformed' {
  if (bytes[0] !== HANDSHAKE) return [];
  if (bytes.length < RECORD_HEAD_BYTES) return 'more';
  const length = bytes.readUInt16BE(3);
  if (length > RECORD_BYTES_MAX) return 'malformed';
  if (bytes.length < RECORD_HEAD_BYTES + length) return 'more';
  try {
    return protocolsIn(bytes.subarray(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + length));
  } catch {
    // A read beyond the end.
    return [];
  }
}

function protocolsIn(message: Buffer): string[] {
  let at = 4 + 2 + 32; // type and length, version, random
  at += 1 + message.readUInt8(at); // session id
  at += 2 + message.readUInt16BE(at); // cipher suites
  at += 1 + message.readUInt8(at); // compression
  const end = at + 2 + message.readUInt16BE(at);
  at += 2;
  while (at < end) {
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 2);
    at += 4;
    if (type === ALPN) return listIn(message.subarray(at, at + length));
    at += length;
  }
  return [];
}

function listIn(list: Buffer): string[] {
  const protocols: string[] = [];
  for (let at = 2; at < list.length;) {
    const length = list.readUInt8(at);
    protocols.push(list.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return protocols;
}
