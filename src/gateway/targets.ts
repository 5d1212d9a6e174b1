// What routes lead to that is no function, by the key of the route. Deleting one is deleting its line here, its folder, and its
// schema in protocol/policies. Called for each route by read-model-load.ts.
import type { Route } from '../protocol/settings.ts';
import { compileRedirect } from './redirect/redirect.ts';
import type { LocalTarget } from './stage.ts';

/** undefined: this Virga knows of no such target. */
export function compileLocalTarget(route: Route): LocalTarget | undefined {
  if (route.redirect !== undefined) return compileRedirect(route.redirect);
  return undefined;
}
