// Routes in words: what one leads to, and what it asks for beside path and method. For changes, lists, messages, and to tell
// routes apart. Used by control and cli.
import type { Conditions } from './policies/conditions.ts';
import type { Route } from './settings.ts';

/** e.g. `function hello`, `redirect to /new/{id}`. */
export function targetText(route: Pick<Route, 'function' | 'redirect' | 'static' | 'queue' | 'topic' | 'event'>): string {
  if (route.function !== undefined) return `function ${route.function}`;
  if (route.redirect !== undefined) return `redirect to ${route.redirect.to}`;
  if (route.static !== undefined) return `files of ${route.static.folder}`;
  if (route.queue !== undefined) return `queue ${nameOf(route.queue)}`;
  if (route.topic !== undefined) return `topic ${nameOf(route.topic)}`;
  if (route.event !== undefined) return route.event === true ? 'events' : `event ${route.event.type}`;
  return 'nothing';
}

function nameOf(target: string | { name: string }): string {
  return typeof target === 'string' ? target : target.name;
}

/** e.g. `host api.example.com, header x-version: 2, query beta`; empty for none. Equal conditions have equal texts. */
export function conditionsText(conditions: Conditions | undefined): string {
  const { hosts, headers = {}, query = {} } = conditions ?? {};
  return [
    ...(hosts === undefined ? [] : [`host ${[...new Set(hosts)].sort().join(' or ')}`]),
    ...valueTexts('header', headers),
    ...valueTexts('query', query),
  ].join(', ');
}

function valueTexts(what: string, values: Record<string, string | true>): string[] {
  return Object.keys(values)
    .sort()
    .map((name) => (values[name] === true ? `${what} ${name}` : `${what} ${name}: ${values[name]}`));
}
