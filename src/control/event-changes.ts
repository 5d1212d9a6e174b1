// What changes of the events of a project between two states, in words: its queues, topics, streams and schedules, and what its functions
// take. Invariant: pure; a webhook's URL and headers may be secrets, so that only the host of the one and the names of the others appear.
// Used by changes.ts.
import type { Change } from '../protocol/control-api.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { webhookName } from '../protocol/sources/webhook-name.ts';
import type { Subscription } from '../protocol/sources/topics.ts';
import { kindOf } from '../protocol/sources/triggers.ts';
import type { Trigger } from '../protocol/sources/triggers.ts';
import { canonicalJson } from './fingerprint.ts';

const SOURCES = { queue: 'queues', topic: 'topics', stream: 'streams', schedule: 'schedules' } as const;
type Source = keyof typeof SOURCES;
const VALUE_CHARACTERS_MAX = 60;

export function sourceChanges(before: EventsSection, after: EventsSection): Change[] {
  return (Object.keys(SOURCES) as Source[]).flatMap((kind) => {
    const [old, now] = [before[SOURCES[kind]] ?? {}, after[SOURCES[kind]] ?? {}];
    return sortedUnion(Object.keys(old), Object.keys(now)).map((name): Change => {
      const [was, is] = [old[name], now[name]];
      if (is === undefined) return { kind, name, change: 'remove', detail: [] };
      if (was === undefined) return { kind, name, change: 'create', detail: rulesChanges({}, is) };
      const detail = rulesChanges(was, is);
      return { kind, name, change: detail.length === 0 ? 'none' : 'update', detail };
    });
  });
}

/** Of one function. */
export function consumerChanges(fn: string, before: EventsSection = {}, after: EventsSection = {}): string[] {
  const workflowOf = ({ workflows }: EventsSection): object => ({ workflow: workflows?.[fn] });
  return [
    ...listChanges('trigger', named(before.triggers?.[fn], triggerName), named(after.triggers?.[fn], triggerName)),
    ...valueChanges('async', before.async?.[fn], after.async?.[fn]),
    ...valueChanges('', workflowOf(before), workflowOf(after)),
  ];
}

function rulesChanges(was: object, is: object): string[] {
  const { subscriptions: old, ...before } = was as { subscriptions?: Subscription[] };
  const { subscriptions: now, ...after } = is as { subscriptions?: Subscription[] };
  return [...valueChanges('', before, after), ...listChanges('subscription', named(old, subscriptionName), named(now, subscriptionName))];
}

function triggerName(trigger: Trigger, index: number): string {
  const kind = kindOf(trigger);
  return kind === 'event' ? `event ${index + 1}` : `${kind} ${trigger[kind]}`;
}

function subscriptionName(one: Subscription): string {
  if (one.queue !== undefined) return `queue ${one.queue}`;
  return `${webhookName(one)} (${URL.parse(one.url!)?.host ?? 'url'})`;
}

function named<T extends object>(list: readonly T[] | undefined, nameOf: (one: T, index: number) => string): Map<string, T> {
  return new Map((list ?? []).map((one, index) => [nameOf(one, index), one]));
}

function listChanges(what: string, before: ReadonlyMap<string, object>, after: ReadonlyMap<string, object>): string[] {
  return sortedUnion(before.keys(), after.keys()).flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (is === undefined) return [`${what} ${name} removed`];
    if (was === undefined) return [`${what} ${name} added`];
    const detail = valueChanges('', was, is);
    return detail.length === 0 ? [] : [`${what} ${name}: ${detail.join(', ')}`];
  });
}

/** `visibility 30s → 1m`, `retry.attempts 5 → 3`, `fifo true`; what is no scalar, or may be secret, by its name alone. */
function valueChanges(path: string, was: unknown, is: unknown): string[] {
  if (canonicalJson(was) === canonicalJson(is)) return [];
  if (isPlain(was ?? {}) && isPlain(is ?? {}) && (was !== undefined || path === '') && (is !== undefined || path === '')) {
    const [old, now] = [(was ?? {}) as Record<string, unknown>, (is ?? {}) as Record<string, unknown>];
    return sortedUnion(Object.keys(old), Object.keys(now)).flatMap((key) =>
      valueChanges(path === '' ? key : `${path}.${key}`, old[key], now[key]),
    );
  }
  const [old, now] = [shown(path, was), shown(path, is)];
  if (is === undefined) return [`${path} removed`];
  if (now === undefined) return [`${path} ${was === undefined ? 'added' : 'changed'}`];
  return [old === undefined ? `${path} ${now}` : `${path} ${old} → ${now}`];
}

const MAY_BE_SECRET = /^(?:url|headers|input|secret)(?:\.|$)/;

function shown(path: string, value: unknown): string | undefined {
  if (MAY_BE_SECRET.test(path) || !(typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')) return undefined;
  const text = String(value);
  return text.length > VALUE_CHARACTERS_MAX ? undefined : text;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sortedUnion(a: Iterable<string>, b: Iterable<string>): string[] {
  return [...new Set([...a, ...b])].sort();
}
