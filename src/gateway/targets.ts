// What routes lead to that is no function, by the key of the route. Deleting one is deleting its line here, its folder, and its
// schema in protocol/policies. Called for each route by read-model-load.ts.
import type { Route } from '../protocol/settings.ts';
import { openApiRoutes } from './openapi/openapi-targets.ts';
import { compileRedirect } from './redirect/redirect.ts';
import type { LocalTarget, OwnSource } from './stage.ts';

/** undefined: this Virga knows of no such target. */
export function compileLocalTarget(route: Route): LocalTarget | undefined {
  if (route.redirect !== undefined) return compileRedirect(route.redirect);
  return undefined;
}

/** Routes that nobody wrote down as such: what `gateway.openapi` serves. */
export function ownRoutes({ project, deployment, routes, gateway }: OwnSource): { route: Route; local: LocalTarget }[] {
  return openApiRoutes({ project, version: String(deployment), routes, gateway });
}
