// How a wait for events of the project is found when one is published: by project, type and, where its `match` asks for one value of one key
// (`{data: {userId: ['u-17']}}`), by that value. An event is looked up by all of its own values, so that whoever waits for another user's
// costs it nothing. Invariant: an event that fits a wait has the wait's key among its own. Pure.
import { createHash } from 'node:crypto';

/** Open waits of one key: so many runs one event wakes up. */
export const WAITS_MAX = 10_000;
/** Keys below one another that are looked at: `data.order.customer.id`. */
const DEPTH_MAX = 4;
/** Of a filter (lib/event-filter.ts): it looks into fewer lists within lists, and has no longer texts. */
const LISTS_MAX = 8;
const TEXT_MAX = 1_024;
/** Neither names of projects nor types of CloudEvents have it. */
const BETWEEN = '\n';

/** `match`: JSON of a pattern of the event; null: everything of the type. */
export function waitKey(project: string, type: string, match: string | null): string {
  const value = match === null ? undefined : oneValue(JSON.parse(match), []);
  return keyOf(project, type, value);
}

/** The project, and the type, that a key is of. */
export function projectOfKey(key: string): string {
  return key.split(BETWEEN)[0]!;
}

export function typeOfKey(key: string): string {
  return key.split(BETWEEN)[1] ?? '';
}

/** The keys of waits that may be for it. */
export function keysOfEvent(project: string, event: { type: string; [attribute: string]: unknown }): Set<string> {
  const keys = new Set([keyOf(project, event.type, undefined)]);
  addValues(event, [], (path, value) => void keys.add(keyOf(project, event.type, [path, value])));
  return keys;
}

type Scalar = string | number | boolean | null;

function keyOf(project: string, type: string, value: [path: string[], value: Scalar] | undefined): string {
  const last = value === undefined ? '' : createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 22);
  return [project, type, last].join(BETWEEN);
}

/** The first that has to be there for anything to fit. */
function oneValue(pattern: unknown, path: string[]): [path: string[], value: Scalar] | undefined {
  if (typeof pattern !== 'object' || pattern === null || path.length > DEPTH_MAX) return undefined;
  if (Array.isArray(pattern)) {
    const [value] = pattern as unknown[];
    return pattern.length === 1 && path.length > 0 && isScalar(value) ? [path, value] : undefined;
  }
  for (const [key, below] of Object.entries(pattern)) {
    // Either of several; and texts that may be meant as numbers.
    if (key === '$or' || (path.length === 0 && key === 'attributes')) continue;
    const found = oneValue(below, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Lists are looked through, as filters do, and further than they do. */
function addValues(value: unknown, path: string[], add: (path: string[], value: Scalar) => void, lists = 0): void {
  if (isScalar(value)) return add(path, value);
  if (Array.isArray(value)) {
    if (lists < LISTS_MAX) for (const one of value) addValues(one, path, add, lists + 1);
  } else if (typeof value === 'object' && value !== null && path.length < DEPTH_MAX)
    for (const [key, below] of Object.entries(value)) addValues(below, [...path, key], add);
}

function isScalar(value: unknown): value is Scalar {
  return (
    value === null || (typeof value === 'string' && value.length <= TEXT_MAX) || typeof value === 'number' || typeof value === 'boolean'
  );
}
