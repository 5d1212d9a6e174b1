// Signed requests of ACME (RFC 8555, section 6.2): JWS (RFC 7515) by an account's P-256 key, in the flattened form. Pure.
import { createHash, createPublicKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** `kid`: the account's URL; without it the key itself is shown. `payload` undefined: a POST-as-GET. */
export function signedRequest(
  key: KeyObject,
  { url, nonce, kid, payload }: { url: string; nonce: string; kid: string | undefined; payload: unknown },
): string {
  const header = { alg: 'ES256', nonce, url, ...(kid === undefined ? { jwk: publicJwk(key) } : { kid }) };
  const protectedPart = base64url(JSON.stringify(header));
  const payloadPart = payload === undefined ? '' : base64url(JSON.stringify(payload));
  const signature = sign('sha256', Buffer.from(`${protectedPart}.${payloadPart}`), { key, dsaEncoding: 'ieee-p1363' });
  return JSON.stringify({ protected: protectedPart, payload: payloadPart, signature: signature.toString('base64url') });
}

/** What shows that a challenge is answered by the holder of the account's key (RFC 8555, section 8.1). */
export function keyAuthorization(token: string, key: KeyObject): string {
  // RFC 7638: the members in this order.
  return `${token}.${createHash('sha256')
    .update(JSON.stringify(publicJwk(key)))
    .digest('base64url')}`;
}

function publicJwk(key: KeyObject): { crv: string; kty: string; x: string; y: string } {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: 'jwk' }) as Record<string, string>;
  return { crv: crv!, kty: kty!, x: x!, y: y! };
}

function base64url(characters: string): string {
  return Buffer.from(characters).toString('base64url');
}
