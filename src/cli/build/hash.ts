// One hash over several texts, of which none can run into the next. Used by pip.ts.
import { createHash } from 'node:crypto';

/** 64 hex digits. */
export function hashOf(...parts: string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`);
  return hash.digest('hex');
}
