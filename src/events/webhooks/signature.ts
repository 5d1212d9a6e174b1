// How webhooks are signed: Standard Webhooks (standardwebhooks.com), symmetric. One signature for each secret, so that a receiver can
// change over from one to the next. Pure; the other side of it is gateway/auth/webhook/schemes.ts. Used by webhook-kind.ts.
import { createHmac } from 'node:crypto';

export interface SignedParts {
  id: string;
  /** Unix seconds. */
  timestamp: number;
  body: Buffer;
}

export function signatureHeaders({ id, timestamp, body }: SignedParts, secrets: readonly Buffer[]): Record<string, string> {
  const headers: Record<string, string> = { 'webhook-id': id, 'webhook-timestamp': String(timestamp) };
  if (secrets.length === 0) return headers;
  const signatures = secrets.map((secret) => {
    const hash = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
    return `v1,${hash.digest('base64')}`;
  });
  return { ...headers, 'webhook-signature': signatures.join(' ') };
}

/** `whsec_` and base64, or the bytes as they are. */
function keyOf(secret: Buffer): Buffer {
  const text = secret.toString('utf8').trim();
  return text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : secret;
}
