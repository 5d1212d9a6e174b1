// What the first message of a TLS client asks for: the protocols (ALPN, RFC 7301) and the host (SNI, RFC 6066). Node says them
// only after a certificate was chosen and it was decided whether the client is asked for one of its own, which for acme-tls/1
// (RFC 8737) and for hosts that ask (auth/certificate/) depends on them. Pure; whatever is not understood is left to OpenSSL to
// refuse. Called by doors.ts, only on nodes that need to know.

const RECORD_HEAD_BYTES = 5;
const HANDSHAKE = 22;
/** Of one record, RFC 8446, section 5.1. A hello in several records is not looked into. */
const RECORD_BYTES_MAX = 16_384;
const SERVER_NAME = 0;
const ALPN = 16;
const NOTHING: Hello = { protocols: [], name: undefined };

export interface Hello {
  protocols: string[];
  /** In lower case. */
  name: string | undefined;
}

export function helloOf(bytes: Buffer): Hello | 'more' | 'malformed' {
  if (bytes[0] !== HANDSHAKE) return NOTHING;
  if (bytes.length < RECORD_HEAD_BYTES) return 'more';
  const length = bytes.readUInt16BE(3);
  if (length > RECORD_BYTES_MAX) return 'malformed';
  if (bytes.length < RECORD_HEAD_BYTES + length) return 'more';
  try {
    return extensionsIn(bytes.subarray(RECORD_HEAD_BYTES, RECORD_HEAD_BYTES + length));
  } catch {
    // A read beyond the end.
    return NOTHING;
  }
}

function extensionsIn(message: Buffer): Hello {
  let at = 4 + 2 + 32; // type and length, version, random
  at += 1 + message.readUInt8(at); // session id
  at += 2 + message.readUInt16BE(at); // cipher suites
  at += 1 + message.readUInt8(at); // compression
  const end = at + 2 + message.readUInt16BE(at);
  at += 2;
  const hello: Hello = { ...NOTHING };
  while (at < end) {
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 2);
    at += 4;
    const body = message.subarray(at, at + length);
    if (type === ALPN) hello.protocols = listIn(body);
    // One name of the type host_name: length of the list, type, length of the name.
    else if (type === SERVER_NAME && length > 5 && body.readUInt8(2) === 0)
      hello.name = body.toString('latin1', 5, 5 + body.readUInt16BE(3)).toLowerCase();
    at += length;
  }
  return hello;
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
