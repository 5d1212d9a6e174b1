// What the attributes of a CloudEvent may be, after CloudEvents 1.0.2 §3. Invariant: what checkedEvent() gives back has the required
// attributes and no others than the specification allows; attributes that were null are gone, as the JSON format says. Pure.
import { VirgaError } from '../../protocol/errors.ts';
import type { CloudEvent } from '../../protocol/events.ts';

const NAME = /^[a-z0-9]{1,64}$/;
const TEXT_MAX = 4_096;
/** §3.1: control characters, halves of surrogate pairs and code points that are no characters. */
const NO_TEXT =
  /[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef]|\p{Cs}|[\u{fffe}\u{ffff}\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{10fffe}\u{10ffff}]/u;
const URI_REFERENCE = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
const TIME = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const MEDIA_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(?:;.*)?$/;
/** With its length: a pattern that counts by four has a stack that 8 MiB overflow. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const INT32 = 2 ** 31;

type Check = (value: string) => string | undefined;

const CHECKS: Record<string, Check> = {
  specversion: (value) => (value === '1.0' ? undefined : "expected '1.0', the version of CloudEvents that is taken"),
  id: (value) => (value.length <= 256 ? undefined : `it has ${value.length} characters; at most 256 are taken`),
  source: (value) => (URI_REFERENCE.test(value) ? undefined : 'expected a URI reference such as /shop/orders or https://example.com/shop'),
  type: () => undefined,
  subject: () => undefined,
  dataschema: (value) => (URI_REFERENCE.test(value) && URL.canParse(value) ? undefined : 'expected an absolute URI'),
  datacontenttype: (value) => (MEDIA_TYPE.test(value) ? undefined : 'expected a media type such as application/json'),
  time: (value) => (isTime(value) ? undefined : 'expected a time of RFC 3339, such as 2026-01-02T03:04:05Z'),
};
const REQUIRED = ['specversion', 'id', 'source', 'type'];

/** `place`: before the names in errors, e.g. `events.3.`; `named`: how the sender wrote an attribute, e.g. `ce-id`. */
export function checkedEvent(input: unknown, place: string, named: (attribute: string) => string = (attribute) => attribute): CloudEvent {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw wrong(place.slice(0, -1), 'expected a CloudEvent: an object');
  const event: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(input as Record<string, unknown>)) {
    if (value === null && key !== 'data') continue;
    if (key !== 'data') {
      const message = key === 'data_base64' ? base64Problem(value) : attributeProblem(key, value);
      if (message !== undefined) throw wrong(place + named(key.slice(0, 100)), message);
    }
    event[key] = value;
  }
  for (const key of REQUIRED) if (event[key] === undefined) throw wrong(place + named(key), 'is missing: every CloudEvent has it');
  if (event['data'] !== undefined && event['data_base64'] !== undefined)
    throw wrong(`${place}data_base64`, 'an event has data or data_base64, not both');
  return event as unknown as CloudEvent;
}

function attributeProblem(key: string, value: unknown): string | undefined {
  if (!NAME.test(key)) return 'names of attributes are lower-case letters and digits alone';
  const check = Object.hasOwn(CHECKS, key) ? CHECKS[key] : undefined;
  if (typeof value === 'string') {
    if (value === '' && check !== undefined) return 'must not be empty; leave it out';
    if (value.length > TEXT_MAX) return `it has ${value.length} characters; at most ${TEXT_MAX} are taken`;
    if (NO_TEXT.test(value)) return 'it holds a control character, or something else that is no character';
    return check?.(value);
  }
  if (check !== undefined) return `expected a text`;
  if (typeof value === 'boolean' || (Number.isInteger(value) && (value as number) >= -INT32 && (value as number) < INT32)) return undefined;
  return 'the value of an extension is a text, true, false, or a whole number of 32 bits; other things belong into data';
}

/** application/json, and what is JSON below another name. */
export function isJsonType(contentType: string): boolean {
  return /^\s*[^;/]+\/(?:[^;]+\+)?json\s*(?:;|$)/i.test(contentType);
}

function base64Problem(value: unknown): string | undefined {
  return typeof value === 'string' && value.length % 4 === 0 && BASE64.test(value) ? undefined : 'expected base64';
}

function isTime(text: string): boolean {
  const [, year, month, day, hour, minute, second] = TIME.exec(text)?.map(Number) ?? [];
  if (day === undefined || month! < 1 || month! > 12 || day < 1 || hour! > 23 || minute! > 59 || second! > 60) return false;
  return day <= new Date(Date.UTC(year!, month, 0)).getUTCDate();
}

export function wrong(path: string, message: string): VirgaError {
  return new VirgaError('invalid_request', `${path === '' ? 'the body' : `'${path}'`}: ${message}`, { detail: [{ path, message }] });
}
