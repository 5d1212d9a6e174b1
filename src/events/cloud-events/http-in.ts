// CloudEvents as they come by HTTP, after the HTTP protocol binding 1.0.2: structured (`application/cloudevents+json`), batched
// (`application/cloudevents-batch+json`) and binary (`ce-` headers); beside them plain JSON, in which what is missing is filled in.
// Invariant: what comes out passed checkedEvent(). Used by control/, gateway/.
import { parseExactly } from '../../lib/exact-json.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import { checkedEvent, isJsonType, wrong } from './attributes.ts';

export interface ReceivedBody {
  /** Names in lower case. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
}

/** Fills in what an event lacks; for plain JSON alone. */
export type Complete = (event: Record<string, unknown>) => Record<string, unknown>;

export function receivedEvents({ headers, body }: ReceivedBody, complete: Complete): CloudEvent[] {
  const type = mediaTypeOf(headers);
  if (type === 'application/cloudevents+json') return [checkedEvent(jsonOf(body), '')];
  if (type === 'application/cloudevents-batch+json') {
    const list = jsonOf(body);
    if (!Array.isArray(list)) throw wrong('', 'expected a list of CloudEvents');
    return list.map((one, index) => checkedEvent(one, `${index}.`));
  }
  if (type.startsWith('application/cloudevents'))
    throw new VirgaError(
      'unsupported_media_type',
      `events come as application/cloudevents+json or application/cloudevents-batch+json, not as '${type}'`,
    );
  if (isBinaryEvent(headers)) return [binaryEvent({ headers, body })];
  if (type !== 'application/json')
    throw new VirgaError(
      'unsupported_media_type',
      `this is no event: send application/cloudevents+json, application/cloudevents-batch+json, application/json, or ce- headers (the content-type is ${type === '' ? 'missing' : `'${type.slice(0, 100)}'`})`,
    );
  const input = jsonOf(body);
  if (Array.isArray(input)) return input.map((one, index) => checkedEvent(completed(one, complete), `${index}.`));
  const list = isObject(input) && input['type'] === undefined ? input['events'] : undefined;
  if (Array.isArray(list)) return list.map((one, index) => checkedEvent(completed(one, complete), `events.${index}.`));
  return [checkedEvent(completed(input, complete), '')];
}

export function isBinaryEvent(headers: ReceivedBody['headers']): boolean {
  return headers['ce-specversion'] !== undefined || headers['ce-id'] !== undefined || headers['ce-type'] !== undefined;
}

/** Whether it is an event in any of the three modes. */
export function isEventRequest(headers: ReceivedBody['headers']): boolean {
  return mediaTypeOf(headers).startsWith('application/cloudevents') || isBinaryEvent(headers);
}

function completed(one: unknown, complete: Complete): unknown {
  return isObject(one) ? complete(one) : one;
}

/** §3.1: attributes in headers, data in the body. */
function binaryEvent({ headers, body }: ReceivedBody): CloudEvent {
  const event: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith('ce-') || value === undefined) continue;
    const attribute = name.slice(3);
    if (attribute === 'datacontenttype') throw wrong(name, 'the media type of the data is the content-type');
    if (attribute === 'data' || attribute === 'data_base64') throw wrong(name, 'the data is the body');
    event[attribute] = decodedHeader(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const type = headers['content-type'];
  if (typeof type === 'string' && type !== '') event['datacontenttype'] = type;
  Object.assign(event, dataOf(typeof type === 'string' ? type : '', body));
  return checkedEvent(event, '', (attribute) => (attribute.startsWith('data') ? attribute : `ce-${attribute}`));
}

/** What the bytes of a media type are as data: JSON as its value, text in UTF-8 as a text, all else in base64. */
export function dataOf(contentType: string, body: Buffer): { data?: unknown } | { data_base64: string } {
  if (body.length === 0) return {};
  if (isJsonType(contentType)) return { data: jsonOf(body) };
  const text = TEXT_TYPE.test(contentType) && !OTHER_CHARSET.test(contentType) ? wellFormed(body) : undefined;
  return text === undefined ? { data_base64: body.toString('base64') } : { data: text };
}

const TEXT_TYPE = /^(?:text\/|[^;]*[/+]xml\s*(?:;|$))/i;
const OTHER_CHARSET = /;\s*charset\s*=(?!\s*"?(?:utf-?8|us-ascii)"?\s*(?:;|$))/i;

/** §3.1.3.2: out of double quotes, then one round of percent-decoding; node:http gives bytes as Latin-1. */
function decodedHeader(name: string, value: string): string {
  const inner = /^"(.*)"$/s.exec(value)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? value;
  const bytes = Buffer.from(inner, 'latin1').toString('latin1');
  const raw = bytes.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(raw, 'latin1'));
  } catch {
    throw wrong(name, 'it is not UTF-8, percent-encoded');
  }
}

function mediaTypeOf(headers: ReceivedBody['headers']): string {
  const type = headers['content-type'];
  return (Array.isArray(type) ? type[0] : type)?.split(';')[0]!.trim().toLowerCase() ?? '';
}

function textOf(body: Buffer): string {
  const text = wellFormed(body);
  if (text === undefined) throw new VirgaError('invalid_request', 'the body is not valid UTF-8');
  return text;
}

function wellFormed(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** Without keys that change what an object is; its numbers stay as they are written. */
export function jsonOf(body: Buffer): unknown {
  const text = textOf(body);
  try {
    // Hearing of each key takes ten times as long, so it is done only when that one may be there.
    return parseExactly(text, /__proto__|\\u/.test(text) ? refuseProto : undefined);
  } catch (error) {
    if (error instanceof VirgaError) throw error;
    throw new VirgaError('invalid_request', `the body is not valid JSON: ${(error as Error).message}`);
  }
}

function refuseProto(key: string): void {
  if (key === '__proto__') throw wrong(key, 'is not allowed as a key');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
