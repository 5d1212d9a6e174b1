// Reads a JSON body strictly: the right content type, valid UTF-8, valid JSON, no `__proto__` keys. Invariant: what comes
// out can be walked and stored without surprises. Called by operation.ts.
import type { IncomingMessage } from 'node:http';
import { VirgaError } from '../protocol/errors.ts';
import { readBody } from './body.ts';
import { invalidRequest } from './problems.ts';

const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

export async function readJson(incoming: IncomingMessage, limits: { jsonBytesMax: number; bodyIdleMs: number }): Promise<unknown> {
  const type = incoming.headers['content-type'];
  if (type === undefined || !JSON_TYPE.test(type)) {
    const given = type === undefined ? 'none' : `'${type.slice(0, 100)}'`;
    throw new VirgaError('invalid_request', `the content-type must be application/json (got ${given})`);
  }
  const bytes = await readBody(incoming, {
    maxBytes: limits.jsonBytesMax,
    idleMs: limits.bodyIdleMs,
    code: 'request_too_large',
    what: 'the body',
    limit: 'the bound of JSON bodies',
  });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new VirgaError('invalid_request', 'the body is not valid UTF-8');
  }
  try {
    // The reviver costs ten times the parsing, so it runs only when the key may be there.
    return /__proto__|\\u/.test(text) ? JSON.parse(text, refuseProto) : JSON.parse(text);
  } catch (error) {
    if (error instanceof VirgaError) throw error;
    throw new VirgaError('invalid_request', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw invalidRequest([{ path: key, message: 'is not allowed as a key' }]);
  return value;
}
