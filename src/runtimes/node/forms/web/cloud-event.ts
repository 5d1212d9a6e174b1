// A CloudEvent in JSON as headers and body: the binary mode of the CloudEvents HTTP binding 1.0.2 (section 3.1), which every
// framework for events takes. Invariant: what is no sound CloudEvent is left as it is. Pure. Called by program-request.ts.
import type { FlatHeaders } from '../../../../protocol/frames.ts';

const STRUCTURED = /^application\/cloudevents\+json\b/i;
const ATTRIBUTE = /^[a-z0-9]{1,64}$/;
const JSON_TYPE = /^[\w.+-]+\/(?:[\w.+-]+\+)?json\b/i;
/** Section 3.1.3.2: what an HTTP header would not carry through. */
const ENCODED = /[^\x21-\x7e]|["%]/gu;
const NOTHING = Buffer.alloc(0);

/** Undefined: it is no CloudEvent in JSON. */
export function binaryMode(contentType: string, payload: Buffer): { headers: FlatHeaders; body: Buffer } | undefined {
  if (!STRUCTURED.test(contentType)) return undefined;
  let event: unknown;
  try {
    event = JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined;
  const { data, data_base64: base64, datacontenttype: type = 'application/json', ...attributes } = event as Record<string, unknown>;
  if (!['specversion', 'id', 'source', 'type'].every((name) => typeof attributes[name] === 'string') || typeof type !== 'string')
    return undefined;
  const headers: FlatHeaders = [];
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) continue;
    if (!ATTRIBUTE.test(name) || (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')) return undefined;
    headers.push(
      `ce-${name}`,
      String(value).replaceAll(ENCODED, (char) => encoded(char)),
    );
  }
  if (data === undefined && base64 === undefined) return { headers, body: NOTHING };
  headers.push('content-type', type);
  if (typeof base64 === 'string') return { headers, body: Buffer.from(base64, 'base64') };
  const text = typeof data === 'string' && !JSON_TYPE.test(type) ? data : JSON.stringify(data);
  return { headers, body: Buffer.from(text) };
}

function encoded(char: string): string {
  return [...Buffer.from(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
