// CloudEvents as they go out by HTTP, after the HTTP protocol binding 1.0.2: structured, or binary with `ce-` headers. Invariant: what
// http-in.ts reads of it is the same event. Used by webhooks/.
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import { isJsonType } from './attributes.ts';

export interface HttpMessage {
  headers: Record<string, string>;
  body: Buffer;
}

/** `text`: the event in JSON. */
export function structured(text: string): HttpMessage {
  return { headers: { 'content-type': `${CLOUD_EVENT_TYPE}; charset=utf-8` }, body: Buffer.from(text) };
}

export function binary(event: CloudEvent): HttpMessage {
  const { data, data_base64: base64, datacontenttype, ...attributes } = event;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributes)) headers[`ce-${name}`] = encodedHeader(String(value));
  if (datacontenttype !== undefined) headers['content-type'] = datacontenttype;
  if (base64 !== undefined) return { headers, body: Buffer.from(base64, 'base64') };
  if (data === undefined) return { headers, body: Buffer.alloc(0) };
  const type = (headers['content-type'] ??= 'application/json');
  return { headers, body: Buffer.from(isJsonType(type) || typeof data !== 'string' ? JSON.stringify(data) : data) };
}

/** §3.1.3.2: space, quote, percent and all that is not printable ASCII, as the percent-encoded bytes of UTF-8. */
function encodedHeader(value: string): string {
  return value.replaceAll(/[^\x21\x23\x24\x26-\x7e]+/g, (part) =>
    Buffer.from(part).reduce((text, byte) => `${text}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  );
}
