// What filters look at, of each kind of source, and the patterns of a deployment compiled once each. Invariant: a pattern object of the
// topology is compiled at its first use and goes with it. Callers: publish.ts, deliver/, streams/.
import { compileFilter } from '../lib/event-filter.ts';
import type { FilterPattern } from '../protocol/sources/filter.ts';

const compiled = new WeakMap<FilterPattern, (event: unknown) => boolean>();

/** Whether it is for a subscriber with this filter; without one all is. */
export function passes(filter: FilterPattern | undefined, document: unknown): boolean {
  if (filter === undefined) return true;
  let test = compiled.get(filter);
  if (test === undefined) {
    test = compileFilter(filter);
    compiled.set(filter, test);
  }
  return test(document);
}

/** Of a message of a queue or a topic. */
export function messageDocument({
  body,
  attributes = {},
  subject,
}: {
  body: string;
  attributes?: Record<string, string>;
  subject?: string;
}) {
  return { attributes, body: parsed(body), ...(subject === undefined ? {} : { subject }) };
}

/** Of a record of a stream. */
export function recordDocument({
  partitionKey,
  data,
  attributes,
}: {
  partitionKey: string;
  data: string;
  attributes: Record<string, string>;
}) {
  return { key: partitionKey, attributes, data: parsed(data) };
}

/** JSON where it is that, else the text. */
function parsed(text: string): unknown {
  // Most texts that are no JSON are told by their first character, which costs less than a throw.
  if (!/^[\s]*[[{"\-0-9tfn]/.test(text)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
