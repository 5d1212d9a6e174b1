// `package` of serverless.yml: what goes along with the code. Virga bundles what the code imports, so patterns that name files which it
// reads become `include`; an archive that is there already is taken as it is. Used by functions.ts.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { ImportFiles } from '../files.ts';
import type { Section } from '../section.ts';
import { textOf } from '../tree.ts';

const PATTERNS_MAX = 50;
const MATCHES_MAX = 5_000;
/** Modules that are bundled, and what only builds need. */
const CODE =
  /\.(?:[cm]?[jt]sx?|py|pyc|map)$|(?:^|\/)(?:package(?:-lock)?\.json|tsconfig[^/]*\.json|yarn\.lock|pnpm-lock\.yaml|serverless\.(?:yml|yaml|json))$/;
const NEVER = /^(?:node_modules|\.git|\.serverless|\.aws-sam|\.venv|__pycache__)$/;

export interface Packaging {
  include: string[];
  /** A .zip that is there already. */
  artifact: string | undefined;
}

export function readPackaging(section: Section | undefined, files: ImportFiles): Packaging {
  if (section === undefined) return { include: [], artifact: undefined };
  const artifact = section.text('artifact');
  section.ignore('individually', 'excludeDevDependencies');
  const include: string[] = [];
  for (const key of ['patterns', 'include']) {
    const at = section.placeOf(key);
    for (const item of section.list(key).slice(0, PATTERNS_MAX)) {
      const pattern = textOf(item);
      const { report, subject } = section.reading;
      const what = `${section.reading.path}.${key}: ${pattern ?? '?'}`;
      if (pattern === undefined) report.left(at, subject, what, 'it is no text; set `include` by hand');
      else if (pattern.startsWith('!'))
        report.changed(item.at, subject, what, 'is not needed: only what the code imports goes along, and what `include` names');
      else if (pattern.startsWith('/') || pattern.split('/').includes('..'))
        report.left(item.at, subject, what, 'it is outside of the project; copy the files into it and name them in `include`');
      else if (hasAssets(pattern, files)) {
        report.carried(item.at, subject, `${what}, as include`);
        include.push(pattern.replace(/^\.\//, ''));
      } else report.changed(item.at, subject, what, 'is not needed: it matches no file but code, and code goes along when it is imported');
    }
  }
  if (section.has('exclude')) section.changed('exclude', 'is not needed: only what the code imports goes along');
  section.ignore('exclude');
  section.finish();
  if (artifact === undefined) return { include, artifact: undefined };
  return { include, artifact: artifact.value.replace(/^\.\//, '') };
}

/** Whether a pattern matches anything that is neither code nor of a build. */
function hasAssets(pattern: string, files: ImportFiles): boolean {
  let matches = 0;
  const folder = pattern.replace(/\/$/, '');
  for (const one of [folder, `${folder}/**`]) {
    for (const found of globSync(one, { cwd: files.folder, withFileTypes: true, exclude: (entry) => NEVER.test(entry.name) })) {
      if (++matches > MATCHES_MAX) return false;
      if (found.isFile() && !CODE.test(join(found.parentPath, found.name))) return true;
    }
  }
  return false;
}
