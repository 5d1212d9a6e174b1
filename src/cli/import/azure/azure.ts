// host.json of an Azure Functions app as a project of Virga: one function of the form `azure`, which serves all that the app registers.
// Invariants: nothing of local.settings.json but names is taken; functions of the older model (function.json), which Virga
// does not run, are named with what triggers them and what to do. Called by import.ts.
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { durationText } from '../../../lib/units.ts';
import { EventSources } from '../event-sources.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { kebabName, LIMITS, Names, within } from '../project.ts';
import type { ImportedFunction, ImportedProject, Variable } from '../project.ts';
import type { Report } from '../report.ts';
import { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Place } from '../tree.ts';
import { entryPointsOf } from './entry-points.ts';
import type { AppEntry } from './entry-points.ts';
import { olderFunctionsOf } from './older-model.ts';

const REMEDIES: Record<string, string> = {
  logging: 'nothing to do: `virga logs` shows what the app says',
  extensionBundle: 'nothing to do: Virga has triggers of its own',
  concurrency: 'set `concurrency` and `instances` instead',
  retry: 'Virga does not call again by itself',
  healthMonitor: 'nothing to do: Virga watches instances itself',
  singleton: 'set instances.max: 1 where only one may run',
  watchDirectories: 'nothing to do: `virga dev` watches the folder',
  watchFiles: 'nothing to do: `virga dev` watches the folder',
  managedDependency: 'nothing to do: it is about PowerShell',
  customHandler: 'serve HTTP with runtime: web',
  aggregator: 'nothing to do: `virga invocations` has every call',
  applicationInsights: 'nothing to do: `virga invocations` has every call',
  sendCanceledInvocationsToWorker: 'nothing to do: a call that its client has left is told so',
  telemetryMode: 'nothing to do: `virga invocations` has every call',
};
/** Settings of Azure's host itself, which say nothing to the code. */
const OF_THE_HOST = /^(?:AzureWebJobs|FUNCTIONS_|WEBSITE_|SCM_|APPLICATIONINSIGHTS_|APPINSIGHTS_|ENABLE_ORYX)/;
const LOCAL_SETTINGS = 'local.settings.json';
const FOLDERS_MAX = 1_000;

export function readAzure(file: string, files: ImportFiles, { report }: { options: ImportOptions; report: Report }): ImportedProject {
  const tree = files.tree(file);
  const original = basename(files.folder);
  const project: ImportedProject = { name: kebabName(original), defaults: { env: [] }, functions: [], absent: [] };
  const at: Place = { file, line: 1 };
  const folders = readdirSync(files.folder, { withFileTypes: true }).slice(0, FOLDERS_MAX);
  const older = folders.filter((entry) => entry.isDirectory() && files.isFile(`${entry.name}/function.json`)).map((entry) => entry.name);
  for (const name of older.toSorted()) olderFunctionsOf(name, files, { report, project });
  const worker = textOf(entryOf(localSettings(files), 'FUNCTIONS_WORKER_RUNTIME'));
  const names = new Names(report);
  const name = kebabName(original);
  const reading = { report, resolve: (one: typeof tree) => one, subject: name, path: '' };
  const host = tree.kind === 'mapping' ? new Section(tree, reading) : undefined;
  if (worker !== undefined && worker !== 'node') {
    report.left(
      at,
      '',
      `an app for ${worker}`,
      'Virga runs Azure Functions for Node.js; serve HTTP with runtime: web, or write it for one of the other forms',
    );
    project.absent.push({ name, why: `it is an app for ${worker}` });
  } else {
    const sources = new EventSources();
    project.sources = sources;
    const entries = entryPointsOf(files, { report, name, olderModel: older.length > 0, sources });
    if (entries !== undefined) project.functions.push(appOf(names.of(original, at), at, { host, files, report, entries }));
  }
  names.tell(project.functions);
  host?.ignore('version', '$schema', 'functionTimeout', 'extensions');
  host?.leave(REMEDIES);
  host?.finish();
  return project;
}

interface AppParts {
  host: Section | undefined;
  files: ImportFiles;
  report: Report;
  entries: AppEntry;
}

function appOf(name: string, at: Place, { host, files, report, entries }: AppParts): ImportedFunction {
  const prefix = host?.section('extensions')?.section('http')?.text('routePrefix')?.value;
  if (prefix !== undefined) report.carried(at, name, `routePrefix ${prefix === '' ? '(none)' : prefix}, from host.json`);
  const timeout = host?.text('functionTimeout');
  const timeoutMs = timeout === undefined ? undefined : timeoutOf(timeout.value, timeout.at, { report, name });
  return {
    name,
    at,
    source: entries.source,
    runtime: entries.runtime,
    form: 'azure',
    routes: ['/', '/{path+}'].map((path) => ({
      at,
      path,
      methods: null,
      ...(entries.keyed ? { closed: 'some functions were behind keys; check who calls, then open it' } : {}),
    })),
    triggers: entries.triggers,
    env: settingsOf(name, files, report),
    include: entries.source === '.' ? [] : ['host.json'],
    external: [],
    layers: [],
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** `00:05:00`; `-1` is without end. */
function timeoutOf(text: string, at: Place, { report, name }: { report: Report; name: string }): number | undefined {
  const [, days = '0', hours, minutes, seconds] = /^(?:(\d+)\.)?(\d+):(\d+):(\d+)$/.exec(text) ?? [];
  if (hours === undefined && text !== '-1') {
    report.left(at, name, `functionTimeout ${text}`, 'expected hh:mm:ss; set `timeout` by hand');
    return undefined;
  }
  const wanted = text === '-1' ? Infinity : (((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
  const ms = within(wanted, LIMITS.timeoutMs, (to) => report.changed(at, name, `functionTimeout ${text}`, `is ${durationText(to)}`));
  if (ms === wanted) report.carried(at, name, `timeout ${durationText(ms)}`);
  return ms;
}

function localSettings(files: ImportFiles) {
  return files.isFile(LOCAL_SETTINGS) ? entryOf(files.tree(LOCAL_SETTINGS), 'Values') : undefined;
}

/** All of them are local, and many secret: only their names are taken. */
function settingsOf(name: string, files: ImportFiles, report: Report): Variable[] {
  const values = localSettings(files);
  const note = `a setting of ${LOCAL_SETTINGS}, not copied; fill it in, and do not commit it where it is a secret`;
  return [...(values?.kind === 'mapping' ? values.entries : [])].flatMap(([key, { at }]): Variable[] => {
    if (OF_THE_HOST.test(key)) {
      report.left(
        at,
        name,
        `setting ${key}`,
        'nothing to do: it is for the host of Azure; where it names a storage account, Virga has none',
      );
      return [];
    }
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(key)) {
      report.left(at, name, `setting ${JSON.stringify(key.slice(0, 80))}`, 'a name of an environment variable has letters, digits and _');
      return [];
    }
    report.left(at, name, `setting ${key}`, note);
    return [{ name: key, at, value: undefined, note }];
  });
}
