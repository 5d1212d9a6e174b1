// What routes lead to that is no function, by the key of the route. Deleting one is deleting its line here, its folder, and its
// schema in protocol/policies. Called for each route by read-model-load.ts.
import type { Route } from '../protocol/settings.ts';
import { openApiRoutes } from './openapi/openapi-targets.ts';
import { compileRedirect } from './redirect/redirect.ts';
import { PublishTarget } from './publishing/publish-target.ts';
import type { PublishingNeeds } from './publishing/publish-target.ts';
import type { StaticFiles } from './static/static-files.ts';
import { StaticTarget } from './static/static-target.ts';
import { statusRoutes } from './respond-async/status-routes.ts';
import type { StatusServices } from './respond-async/status-routes.ts';
import { runStatusRoutes } from './start-run/run-status.ts';
import type { RunStatusServices } from './start-run/run-status.ts';
import type { LocalTarget, OwnRoute, OwnSource } from './stage.ts';

/** What targets work with. */
export interface TargetNeeds {
  files: StaticFiles;
  /** Of the project: folder → sha256 of its artifact. */
  folders: Record<string, string>;
  publishing: PublishingNeeds;
}

/** undefined: this Virga knows of no such target. */
export function compileLocalTarget(route: Route, { files, folders, publishing }: TargetNeeds): LocalTarget | undefined {
  if (route.redirect !== undefined) return compileRedirect(route.redirect);
  if (route.static !== undefined) {
    const sha256 = folders[route.static.folder];
    return sha256 === undefined ? undefined : new StaticTarget(files.folder(sha256), route.static, route.path);
  }
  return PublishTarget.of(route, publishing);
}

/** Routes that nobody wrote down as such: what `gateway.openapi` serves, and where asynchronous invocations and runs of workflows can be followed. */
export function ownRoutes(source: OwnSource, services: { async: StatusServices; runs: RunStatusServices }): OwnRoute[] {
  const { project, deployment, routes, gateway } = source;
  return [
    ...openApiRoutes({ project, version: String(deployment), routes, gateway }),
    ...statusRoutes(source, services.async),
    ...runStatusRoutes(source, services.runs),
  ];
}
