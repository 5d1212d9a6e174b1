// What an Azure app's files say: the entry points of package.json's `main` (a file or globs, e.g. `src/functions/*.js`), and
// host.json. Invariant: an app without entry points, and one of the older model (function.json), is an error that says so.
// Called by azure.ts.
import { existsSync, globSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LoadError } from '../../failure.ts';

export interface HostSettings {
  routePrefix: string;
  /** Messages of a queue that run at the same time. */
  queueBatch: number;
}

const PREFIX_DEFAULT = 'api';
const QUEUE_BATCH = { default: 16, max: 32 };

/** `file` is the bundle, or package.json: then its `main` counts. */
export function entriesOf(codeFolder: string, file: string): string[] {
  if (file !== 'package.json') return [file];
  const { main } = readJson(join(codeFolder, file)) as { main?: unknown };
  if (typeof main !== 'string' || main === '') {
    throw new LoadError(
      olderModel(codeFolder) ??
        "package.json has no `main`; Azure's v4 model needs the app's entry points there, such as src/functions/*.js",
    );
  }
  const found = globSync(main, { cwd: codeFolder, exclude: ['**/node_modules/**'] }).toSorted();
  if (found.length === 0) throw new LoadError(`\`main\` of package.json is '${main}', which matches no file; is the app built?`);
  return found;
}

/** Why the app registered nothing. */
export function nothingRegistered(codeFolder: string, entries: readonly string[]): LoadError {
  return new LoadError(
    olderModel(codeFolder) ??
      `${entries.join(', ')} registered no function; expected app.http(…), app.timer(…) and so on of @azure/functions`,
  );
}

function olderModel(codeFolder: string): string | undefined {
  const folder = readdirSync(codeFolder, { withFileTypes: true }).find(
    (entry) => entry.isDirectory() && existsSync(join(codeFolder, entry.name, 'function.json')),
  );
  if (folder === undefined) return undefined;
  return `${folder.name}/function.json is of the model v3 of Azure Functions for Node; Virga runs v4 (app.http(…)): learn.microsoft.com/azure/azure-functions/functions-node-upgrade-v4 says how to move on`;
}

export function hostSettings(codeFolder: string): HostSettings {
  const file = join(codeFolder, 'host.json');
  const settings: HostSettings = { routePrefix: PREFIX_DEFAULT, queueBatch: QUEUE_BATCH.default };
  if (!existsSync(file)) return settings;
  const { extensions } = readJson(file) as { extensions?: { http?: { routePrefix?: unknown }; queues?: { batchSize?: unknown } } };
  const { routePrefix } = extensions?.http ?? {};
  if (typeof routePrefix === 'string') settings.routePrefix = routePrefix;
  const { batchSize } = extensions?.queues ?? {};
  if (typeof batchSize === 'number' && Number.isInteger(batchSize)) settings.queueBatch = Math.max(1, Math.min(QUEUE_BATCH.max, batchSize));
  return settings;
}

/** Azure's host takes comments in host.json. */
function readJson(file: string): unknown {
  const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  const bare = text.replace(/("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (_, string?: string) => string ?? '');
  try {
    return JSON.parse(bare) ?? {};
  } catch (error) {
    throw new LoadError(`${file.slice(file.lastIndexOf('/') + 1)} is not valid JSON: ${(error as Error).message}`);
  }
}
