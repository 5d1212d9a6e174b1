// What is left out of recordings before anything is stored: what callers prove themselves with always, and what the rules name. Invariant:
// a body that rules speak of is written anew from what was looked through, so that nothing else of it (a key that stands twice) is kept; one
// that is no JSON is left out whole, since what they mean cannot be found in it. Compiled once for each source; used by the recorders,
// and by replay to compare an answer with one that was recorded.
import { parseExactly, writtenNumber } from '../../lib/exact-json.ts';
import { durationMs } from '../../lib/units.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { Recording } from '../../protocol/sources/recording.ts';

export const REDACTED = '[redacted]';
/** Of requests and answers. */
const ALWAYS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'x-virga-principal'];
const WEEK_MS = 7 * 86_400_000;
const DEPTH_MAX = 64;

export function recordedForMs(rules: Recording): number {
  return (rules === true ? undefined : durationMs(rules.for ?? '')) ?? WEEK_MS;
}

export class Redaction {
  readonly #headers: Set<string>;
  readonly #query = new Set<string>();
  readonly #attributes = new Set<string>();
  readonly #body: string[][] = [];

  /** `places`: as in `redact`; those of credentials need not be named. */
  constructor(places: readonly string[]) {
    this.#headers = new Set(ALWAYS);
    for (const place of places) {
      const dot = place.indexOf('.');
      const [kind, name] = dot < 0 ? [place, ''] : [place.slice(0, dot), place.slice(dot + 1)];
      if (kind === 'header') this.#headers.add(name.toLowerCase());
      else if (kind === 'query') this.#query.add(name);
      else if (kind === 'attribute') this.#attributes.add(name);
      else if (kind === 'body') this.#body.push(name === '' ? [] : name.split('.'));
    }
  }

  static of(rules: Recording, more: readonly string[] = []): Redaction {
    return new Redaction([...(rules === true ? [] : (rules.redact ?? [])), ...more]);
  }

  get hasBodyRules(): boolean {
    return this.#body.length > 0;
  }

  /** `left`: hears what was left out. */
  headers(headers: FlatHeaders, left: Set<string>): FlatHeaders {
    const kept: FlatHeaders = [];
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const name = headers[i]!.toLowerCase();
      if (this.#headers.has(name)) left.add(`header.${name}`);
      else kept.push(headers[i]!, headers[i + 1]!);
    }
    return kept;
  }

  url(url: string, left: Set<string>): string {
    const question = url.indexOf('?');
    if (question < 0 || this.#query.size === 0) return url;
    // Pair by pair, so that all else stays as it was written.
    const pairs = url
      .slice(question + 1)
      .split('&')
      .map((pair) => {
        const name = decoded(pair.split('=', 1)[0]!);
        if (!this.#query.has(name)) return pair;
        left.add(`query.${name}`);
        return `${pair.split('=', 1)[0]!}=redacted`;
      });
    return `${url.slice(0, question)}?${pairs.join('&')}`;
  }

  attributes(attributes: Record<string, string>, left: Set<string>): Record<string, string> {
    if (this.#attributes.size === 0) return attributes;
    return Object.fromEntries(
      Object.entries(attributes).filter(([name]) => {
        if (this.#attributes.has(name)) left.add(`attribute.${name}`);
        return !this.#attributes.has(name);
      }),
    );
  }

  /** undefined: all of it is left out. */
  body(body: Buffer, left: Set<string>): Buffer | undefined {
    if (this.#body.length === 0 || body.length === 0) return body;
    try {
      return this.#redactedJson(body.toString(), left);
    } catch {
      // It is no JSON, or nested too deep to be looked through.
      left.add('body');
      return undefined;
    }
  }

  #redactedJson(text: string, left: Set<string>): Buffer | undefined {
    const value = parseExactly(text);
    const found: string[] = [];
    for (const path of this.#body) {
      if (path.length === 0) {
        left.add('body');
        return undefined;
      }
      if (redact(value, path, 0)) found.push(`body.${path.join('.')}`);
    }
    const kept = Buffer.from(JSON.stringify(value));
    for (const place of found) left.add(place);
    return kept;
  }
}

/** Whether there was anything at the path. */
function redact(value: unknown, path: readonly string[], at: number): boolean {
  if (typeof value !== 'object' || value === null || writtenNumber(value) !== undefined || at > DEPTH_MAX) return false;
  const holder = value as Record<string, unknown>;
  const keys = path[at] === '*' ? Object.keys(holder) : Object.hasOwn(holder, path[at]!) ? [path[at]!] : [];
  let found = false;
  for (const key of keys) {
    if (at < path.length - 1) found = redact(holder[key], path, at + 1) || found;
    else {
      holder[key] = REDACTED;
      found = true;
    }
  }
  return found;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
