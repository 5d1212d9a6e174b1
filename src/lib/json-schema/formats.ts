// The formats of JSON Schema that are checked, not only noted. Invariant: each takes time in proportion to the text, whatever that is:
// no expression here has two ways to read one character. Used by compile.ts; other formats are accepted and say nothing.
import { isIPv4, isIPv6 } from 'node:net';

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.\d+)?(?:z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i;
const DURATION = /^P(?!$)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?!$)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)$/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const LOCAL_PART = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
const URI_CHARACTERS = /^(?:[\w\-.~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})*$/i;
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const INT32_MAX = 2 ** 31;

/** Of texts; what follows "must be ". */
export const TEXT_FORMATS: Record<string, { is: (text: string) => boolean; what: string }> = {
  'date-time': { is: isDateTime, what: 'a date and time such as 2026-01-31T09:30:00Z' },
  date: { is: isDate, what: 'a date such as 2026-01-31' },
  time: { is: isTime, what: 'a time such as 09:30:00Z' },
  duration: { is: (text) => DURATION.test(text), what: 'a duration such as P3DT4H' },
  email: { is: isEmail, what: 'an email address' },
  hostname: { is: isHostname, what: 'a host name' },
  ipv4: { is: isIPv4, what: 'an IPv4 address' },
  ipv6: { is: (text) => isIPv6(text) && !text.includes('%'), what: 'an IPv6 address' },
  uri: { is: (text) => /^[a-z][a-z0-9+.-]*:/i.test(text) && isUriReference(text), what: 'a URI' },
  'uri-reference': { is: isUriReference, what: 'a URI reference' },
  uuid: { is: (text) => /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text), what: 'a UUID' },
  'json-pointer': { is: (text) => /^(?:\/(?:[^~/]|~[01])*)*$/.test(text), what: 'a JSON pointer' },
  byte: { is: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), what: 'base64' },
};

/** Of numbers, as OpenAPI has them. */
export const NUMBER_FORMATS: Record<string, { is: (value: number) => boolean; what: string }> = {
  int32: { is: (value) => Number.isInteger(value) && value >= -INT32_MAX && value < INT32_MAX, what: 'a whole number of 32 bits' },
  int64: { is: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 63, what: 'a whole number of 64 bits' },
};

function isDate(text: string): boolean {
  const [, year, month, day] = (DATE.exec(text) ?? []).map(Number);
  if (year === undefined || month! < 1 || month! > 12 || day! < 1) return false;
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day! <= (month === 2 && !leap ? 28 : DAYS[month! - 1]!);
}

function isTime(text: string): boolean {
  const parts = TIME.exec(text);
  if (parts === null) return false;
  if (parts[3] !== '60') return true;
  // A leap second is the last of a day in UTC.
  const offset = parts[4] === undefined ? 0 : (Number(parts[5]) * 60 + Number(parts[6])) * (parts[4] === '-' ? -1 : 1);
  return (Number(parts[1]) * 60 + Number(parts[2]) - offset + 2_880) % 1_440 === 1_439;
}

function isDateTime(text: string): boolean {
  return /^.{10}[t ]/i.test(text) && isDate(text.slice(0, 10)) && isTime(text.slice(11));
}

function isHostname(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => LABEL.test(label));
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@');
  if (at < 1 || at > 64 || text.length > 320) return false;
  const host = text.slice(at + 1);
  const address = /^\[(?:IPv6:)?([^\]]*)\]$/.exec(host)?.[1];
  return LOCAL_PART.test(text.slice(0, at)) && (address === undefined ? isHostname(host) : isIPv4(address) || isIPv6(address));
}

function isUriReference(text: string): boolean {
  return URI_CHARACTERS.test(text) && text.indexOf('#') === text.lastIndexOf('#');
}
