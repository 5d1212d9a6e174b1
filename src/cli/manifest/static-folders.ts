// Folders that routes serve (`static`): whether they are there, with the pages that the rules name. Called by manifest.ts.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { staticPathProblem } from '../../protocol/policies/static.ts';
import type { Route } from '../../protocol/settings.ts';
import { suggestion } from '../suggest.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';

/** `path` of each: where its path stands. What the schema refuses is not looked at. */
export function staticProblems(
  routes: readonly { path: Path; route: Omit<Route, 'function'> }[],
  { document, folder }: { document: ManifestDocument; folder: string },
): Problem[] {
  return routes.flatMap(({ path, route }) => {
    const rules: unknown = route.static;
    if (typeof rules !== 'object' || rules === null) return [];
    const problems: Problem[] = [];
    const wrongPath = staticPathProblem(route.path);
    if (wrongPath !== undefined) problems.push({ ...document.placeOfValue(path), message: `the path ${route.path} ${wrongPath}` });
    const { folder: served, ...named } = rules as Record<string, unknown>;
    if (typeof served !== 'string' || served === '' || served.split('/').includes('..')) return problems;
    const at = [...path.slice(0, -1), 'static'];
    const found = statSync(join(folder, served), { throwIfNoEntry: false });
    if (found?.isDirectory() !== true) {
      const message =
        found === undefined ? `there is no folder '${served}'${near(folder, served)}` : `'${served}' is a file; expected a folder`;
      return [...problems, { ...document.placeOfValue([...at, 'folder']), message }];
    }
    for (const key of ['fallback', 'notFound'] as const) {
      const file = named[key];
      if (typeof file !== 'string' || statSync(join(folder, served, file), { throwIfNoEntry: false })?.isFile() === true) continue;
      const message = `there is no file '${file}' in the folder '${served}'${near(join(folder, served), file)}`;
      problems.push({ ...document.placeOfValue([...at, key]), message });
    }
    return problems;
  });
}

function near(folder: string, name: string): string {
  return suggestion(name, readdirSync(folder));
}
