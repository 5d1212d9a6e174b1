// What a route leads to, in words: for changes, lists and messages. Used by control and cli.
import type { Route } from './settings.ts';

/** e.g. `function hello`, `redirect to /new/{id}`. */
export function targetText(route: Pick<Route, 'function' | 'redirect'>): string {
  if (route.function !== undefined) return `function ${route.function}`;
  if (route.redirect !== undefined) return `redirect to ${route.redirect.to}`;
  return 'nothing';
}
