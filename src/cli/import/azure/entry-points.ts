// Where an app of Azure's v4 model begins: `main` of package.json, a file or globs of files that the compiler wrote. One file is built from
// its source; several are taken as they are, with the folder of the app. What the sources register is reported by name
// and line: HTTP, timers and queues are carried over. Used by azure.ts.
import { globSync } from 'node:fs';
import { remedyForSource } from '../event-sources.ts';
import type { EventSources, ForeignSource, Rules } from '../event-sources.ts';
import { azureTime } from '../foreign-cron.ts';
import type { ImportFiles } from '../files.ts';
import type { FunctionRuntime } from '../../../protocol/settings.ts';
import type { Report } from '../report.ts';
import { entryOf, textOf } from '../tree.ts';

export interface AppEntry {
  source: string;
  runtime: FunctionRuntime;
  /** Some of its routes are behind function keys. */
  keyed: boolean;
  triggers: Rules[];
}

const PACKAGE = 'package.json';
const SOURCES_MAX = 500;
const REGISTERS = /\bapp\s*\.\s*([A-Za-z]+)\s*\(\s*['"`]([^'"`\n]{1,100})['"`]/g;
/** What a timer or a queue says of itself stands in the object behind its name. */
const SETTINGS_CHARACTERS = 600;
const SCHEDULE = /\bschedule\s*:\s*['"`]([^'"`\n]{1,100})['"`]/;
const QUEUE_NAME = /\bqueueName\s*:\s*['"`]([^'"`\n]{1,100})['"`]/;
const KEYED = /\bauthLevel\s*:\s*['"`](function|admin)['"`]/gi;
const HTTP = new Set(['http', 'get', 'put', 'post', 'patch', 'deleteRequest', 'deleteHttp']);
/** Those that the form `azure` calls, once something sends the event. */
const RUNS = new Set(['timer', 'storageQueue', 'storageBlob', 'eventGrid', 'generic', 'warmup']);
const REFUSED = 'Virga has no such trigger, and the deploy refuses it: take it out';
const TRIGGERS: Record<string, ForeignSource> = {
  timer: 'schedule',
  storageQueue: 'queue',
  serviceBusQueue: 'queue',
  serviceBusTopic: 'topic',
  storageBlob: 'bucket',
  eventHub: 'stream',
  eventGrid: 'bus',
  cosmosDB: 'table',
  sql: 'table',
  mySql: 'table',
  warmup: 'other',
  webPubSub: 'websocket',
  generic: 'other',
};

export function entryPointsOf(
  files: ImportFiles,
  { report, name, olderModel, sources: declared }: { report: Report; name: string; olderModel: boolean; sources: EventSources },
): AppEntry | undefined {
  const pack = files.isFile(PACKAGE) ? files.tree(PACKAGE) : undefined;
  const main = textOf(entryOf(pack, 'main'));
  const at = pack?.kind === 'mapping' ? (pack.entries.get('main')?.at ?? pack.at) : { file: PACKAGE, line: 1 };
  if (main === undefined) {
    if (!olderModel) report.left(at, '', 'main', 'package.json names no entry point, such as src/functions/*.js; add `source` by hand');
    return undefined;
  }
  const sources = sourcesOf(main, files);
  const { keyed, triggers } = scan(sources, files, { report, name, declared });
  if (sources.length === 1 && !/[*{?[]/.test(main)) {
    if (sources[0] === main) report.carried(at, name, `main ${main}`);
    else report.changed(at, name, `main ${main}`, `is built from its source, ${sources[0]}`);
    return { source: sources[0]!, runtime: 'nodejs24', keyed, triggers };
  }
  report.changed(
    at,
    name,
    `main ${main}`,
    'several files: the folder is taken as it is; run its build, and `npm prune --omit=dev`, before `virga deploy`',
  );
  return { source: '.', runtime: 'nodejs24', keyed, triggers };
}

/** The sources of what `main` names: in TypeScript where there are any. */
function sourcesOf(main: string, files: ImportFiles): string[] {
  const plain = main.replace(/^\.\//, '');
  const from = [plain, plain.replace(/^(?:dist|build|out|lib)\//, ''), plain.replace(/^(?:dist|build|out|lib)\//, 'src/')];
  for (const pattern of [...from.map((one) => one.replace(/\.js(?=$|[,}])/g, '.ts')), plain]) {
    const found = globSync(pattern, { cwd: files.folder, exclude: (path) => path.includes('node_modules') });
    const there = found.map((path) => path.replaceAll('\\', '/')).filter((path) => files.isFile(path));
    if (there.length > 0) return there.toSorted().slice(0, SOURCES_MAX);
  }
  return [];
}

interface Scanning {
  report: Report;
  name: string;
  declared: EventSources;
}

function scan(sources: readonly string[], files: ImportFiles, { report, name, declared }: Scanning): Pick<AppEntry, 'keyed' | 'triggers'> {
  let keyed = false;
  const triggers: Rules[] = [];
  for (const file of sources) {
    const text = files.text(file);
    const lineAt = (index: number): number => text.slice(0, index).split('\n').length;
    for (const found of text.matchAll(REGISTERS)) {
      const [, trigger, own] = found;
      const at = { file, line: lineAt(found.index) };
      if (HTTP.has(trigger!)) report.carried(at, name, `app.${trigger} ${own}`);
      else if (trigger === 'timer' || trigger === 'storageQueue') {
        const made = triggerOf(trigger, own!, text.slice(found.index, found.index + SETTINGS_CHARACTERS), declared);
        if ('why' in made) report.left(at, name, `app.${trigger} ${own}`, made.why);
        else {
          triggers.push(made.trigger);
          report.carried(at, name, `app.${trigger} ${own}`);
        }
      } else if (TRIGGERS[trigger!] !== undefined)
        report.left(at, name, `app.${trigger} ${own}`, RUNS.has(trigger!) ? remedyForSource(TRIGGERS[trigger!]!) : REFUSED);
    }
    for (const found of text.matchAll(KEYED)) {
      keyed = true;
      const remedy =
        "Virga has no function keys, and the deploy refuses it: check who calls in the function and say authLevel: 'anonymous', then take the # before the routes away";
      report.left({ file, line: lineAt(found.index) }, name, `authLevel ${found[1]}`, remedy);
    }
  }
  return { keyed, triggers };
}

/** The form finds a timer by its name, and a queue by the one that it is of: the sources are called so. */
function triggerOf(
  kind: 'timer' | 'storageQueue',
  own: string,
  text: string,
  declared: EventSources,
): { trigger: Rules } | { why: string } {
  const [, value] = (kind === 'timer' ? SCHEDULE : QUEUE_NAME).exec(text) ?? [];
  if (kind === 'storageQueue')
    return value === undefined ? { why: remedyForSource('queue') } : { trigger: { queue: declared.declare('queue', value) } };
  const time = value === undefined ? { why: 'its time is not written here' } : azureTime(value);
  if ('why' in time) return { why: `${time.why}; ${remedyForSource('schedule')}` };
  return { trigger: { schedule: declared.declare('schedule', own, time.schedule) } };
}
