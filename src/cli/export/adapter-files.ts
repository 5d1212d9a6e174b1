// The files that stand between AWS Lambda's runtimes and a function of Virga's own form: the adapter, and an entry point which says
// what it adapts. Invariant: a zip that was exported, imported and is exported again gets them anew, never twice; a file
// of the author's with such a name is not overwritten. Used by function-code.ts.
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { ArtifactEntry } from '../build/archive.ts';
import { contentOf } from './entry-content.ts';

export interface Adapted {
  /** Of the function's code: the file, and what to call of it; undefined: what Virga finds by itself. */
  file: string;
  name: string | undefined;
  project: string;
  function: string;
}

const ADAPTERS = join(import.meta.dirname, 'adapters');
const MADE_BY = 'made by `virga export`';
export const ADAPTER_HANDLER = 'virga_lambda.handler';

export function nodeAdapter({ file, name, ...facts }: Adapted, entries: readonly ArtifactEntry[]): ArtifactEntry[] {
  const told = JSON.stringify({ ...facts, ...(name === undefined ? {} : { handler: name }) });
  const entry = `// ${MADE_BY}: what AWS Lambda calls.
import * as code from ${JSON.stringify(`./${file}`)};
import { adapt } from './virga_adapter.mjs';

export const handler = adapt(code, ${told});
`;
  const source = readFileSync(join(ADAPTERS, 'node.ts'), 'utf8');
  return withAdapter(entries, [
    ['virga_adapter.mjs', `// ${MADE_BY}.\n${withoutTypes(source)}`],
    ['virga_lambda.mjs', entry],
  ]);
}

export function pythonAdapter({ file, name = 'handler', ...facts }: Adapted, entries: readonly ArtifactEntry[]): ArtifactEntry[] {
  const entry = `# ${MADE_BY}: what AWS Lambda calls.
from virga_adapter import adapt

handler = adapt(${JSON.stringify(file)}, ${JSON.stringify(name)}, ${JSON.stringify(facts)})
`;
  return withAdapter(entries, [
    ['virga_adapter.py', `# ${MADE_BY}.\n${readFileSync(join(ADAPTERS, 'python.py'), 'utf8')}`],
    ['virga_lambda.py', entry],
  ]);
}

function withAdapter(entries: readonly ArtifactEntry[], files: [path: string, text: string][]): ArtifactEntry[] {
  const names = new Set(files.map(([path]) => path));
  for (const entry of entries)
    if (names.has(entry.path) && !contentOf(entry).includes(MADE_BY))
      throw new VirgaError('build_failed', `${entry.path} has the name of the adapter that an export needs; rename the file`);
  return [
    ...entries.filter(({ path }) => !names.has(path)),
    ...files.map(([path, text]): ArtifactEntry => ({ path, content: Buffer.from(text) })),
  ];
}

/** Where types stood are blanks, which go too. */
function withoutTypes(source: string): string {
  return stripTypeScriptTypes(source)
    .replaceAll(/ +$/gm, '')
    .replaceAll(/(?<=\S) {2,}(?=\S)/g, ' ')
    .replaceAll(/(?<=[\w)\]}]) (?=[,;)])/g, '')
    .replaceAll(/\n{3,}/g, '\n\n');
}
