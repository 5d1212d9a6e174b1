// ASN.1 in DER (X.690), as much as a certificate request and a self-signed certificate need. Pure; it only writes.

export function sequence(...parts: Buffer[]): Buffer {
  return value(0x30, Buffer.concat(parts));
}

export function setOf(...parts: Buffer[]): Buffer {
  return value(0x31, Buffer.concat(parts));
}

/** `[n]`, constructed. */
export function tagged(n: number, ...parts: Buffer[]): Buffer {
  return value(0xa0 | n, Buffer.concat(parts));
}

/** A name of a host within subjectAltName. */
export function dnsName(name: string): Buffer {
  return value(0x82, Buffer.from(name, 'latin1'));
}

/** Not negative, below 2^31, or the bytes of a positive one. */
export function integer(number: number | Buffer): Buffer {
  if (typeof number === 'number') return value(0x02, Buffer.from([number]));
  return value(0x02, (number[0]! & 0x80) === 0 ? number : Buffer.concat([Buffer.from([0]), number]));
}

export function yes(): Buffer {
  return value(0x01, Buffer.from([0xff]));
}

export function octets(bytes: Buffer): Buffer {
  return value(0x04, bytes);
}

export function bits(bytes: Buffer): Buffer {
  return value(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

export function text(characters: string): Buffer {
  return value(0x0c, Buffer.from(characters));
}

/** GeneralizedTime, to the second. */
export function time(ms: number): Buffer {
  return value(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));
}

/** e.g. `2.5.29.17`. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return value(0x06, Buffer.from(bytes));
}

function value(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

export function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END ${label}-----\n`;
}
