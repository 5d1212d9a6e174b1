// `/{file+}` takes at least one segment, yet the folder itself, `/`, is served as well. Pure.
import type { TableRoute } from './route-table.ts';

/** The routes, and behind them those of the folders themselves: a route that names such a path comes first. */
export function withFolderRoots(routes: readonly TableRoute[]): TableRoute[] {
  const roots = routes.flatMap((one): TableRoute[] => {
    if (one.route.static === undefined) return [];
    const path = one.route.path.replace(/\/\{[^{}]+\+\}$/, '');
    return [{ ...one, route: { ...one.route, path: path === '' ? '/' : path } }];
  });
  return [...routes, ...roots];
}
