// wrangler.toml, wrangler.json and wrangler.jsonc of a Cloudflare Worker as a project of Virga: one function of the form `workers`.
// Invariant: every key is carried over, changed or left, with its line; names of secrets are taken along, values never.
// Called by import.ts.
import { basename } from 'node:path';
import { CommandError } from '../../failure.ts';
import { EventSources } from '../event-sources.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { SECRET_NOTE, variableOf } from '../foreign-settings.ts';
import { kebabName, Names } from '../project.ts';
import type { ImportedProject, Variable } from '../project.ts';
import type { Report } from '../report.ts';
import { Section } from '../section.ts';
import { secretNamesIn } from '../secret-files.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Mapping, Tree } from '../tree.ts';
import { BUILD_SETTINGS, readBindings } from './bindings.ts';
import { readRoutes } from './worker-routes.ts';
import { readWorkerTriggers } from './worker-triggers.ts';

/** Keys that an environment does not take from the top of the file. */
const OWN_TO_ENVIRONMENT = new Set(
  'vars define durable_objects kv_namespaces d1_databases r2_buckets services analytics_engine_datasets vectorize hyperdrive queues workflows ai browser images media version_metadata mtls_certificates dispatch_namespaces send_email secrets_store_secrets pipelines ratelimits tail_consumers unsafe secrets'.split(
    ' ',
  ),
);
const IGNORED =
  '$schema name main env account_id workers_dev preview_urls send_metrics keep_vars upload_source_maps minify find_additional_modules base_dir preserve_file_names dev cache first_party_worker legacy_env type zone_id usage_model'.split(
    ' ',
  );
const REMEDIES: Record<string, string> = {
  migrations: 'Virga has no Durable Objects',
  ...BUILD_SETTINGS,
  build: 'run the command before `virga deploy`, if main is something that it makes',
  limits: 'set `timeout` and `cpus` instead',
  placement: 'nothing to do: the project runs where the node is',
  logpush: 'nothing to do: `virga logs` shows what the function says',
  observability: 'nothing to do: `virga logs` and `virga invocations` show every call',
  containers: 'Virga runs no container images',
  no_bundle: 'JavaScript is always bundled; name a folder as `source` to have it taken as it is',
};

export function readWrangler(
  file: string,
  files: ImportFiles,
  { options, report }: { options: ImportOptions; report: Report },
): ImportedProject {
  const tree = files.tree(file);
  if (tree.kind !== 'mapping') throw new CommandError(`${file} is no mapping; expected the configuration of a Worker`);
  const merged = withEnvironment(tree, options.stage, file);
  const original = textOf(entryOf(merged, 'name')) ?? basename(files.folder);
  const names = new Names(report);
  const name = names.of(original, merged.entries.get('name')?.at ?? tree.at);
  const section = new Section(merged, { report, resolve: (one) => one, subject: name, path: '' });
  const project: ImportedProject = { name: kebabName(original), defaults: { env: [] }, functions: [], absent: [] };
  otherEnvironments(tree, options.stage, report);
  section.ignore(...IGNORED);
  const main = section.text('main');
  if (main === undefined || !files.isFile(main.value) || !/\.[cm]?[jt]s$/.test(main.value)) {
    const why =
      main === undefined
        ? 'it has no main: a Worker of files alone has no counterpart'
        : files.isFile(main.value)
          ? `${main.value} is no JavaScript or TypeScript, which the form workers is for`
          : `there is no ${main.value}; build it, then import again`;
    report.left(main?.at ?? section.at, name, 'main', why);
    project.absent.push({ name, why });
    return project;
  }
  section.carried('main', `main ${main.value}`);
  for (const key of ['compatibility_date', 'compatibility_flags', 'node_compat'])
    if (section.has(key)) section.changed(key, 'has no counterpart: the code runs on Node.js, whose own modules are there');
  section.ignore('compatibility_date', 'compatibility_flags', 'node_compat');
  project.functions.push({
    name,
    at: main.at,
    source: main.value.replace(/^\.\//, ''),
    form: 'workers',
    routes: readRoutes(section),
    env: [...variablesOf(section), ...secretsOf(section, files, options.stage)],
    include: [],
    external: [],
    layers: [],
  });
  names.tell(project.functions);
  const sources = new EventSources();
  project.sources = sources;
  readWorkerTriggers(section, project.functions[0]!, sources);
  readBindings(section);
  section.leave(REMEDIES);
  section.finish();
  return project;
}

/** The top of the file with what `[env.NAME]` says over it. */
function withEnvironment(tree: Mapping, stage: string | undefined, file: string): Mapping {
  if (stage === undefined) return tree;
  const environments = entryOf(tree, 'env');
  const own = entryOf(environments, stage);
  if (own?.kind !== 'mapping') {
    const known = environments?.kind === 'mapping' ? [...environments.entries.keys()].join(', ') : '';
    throw new CommandError(`${file} has no environment '${stage}'; ${known === '' ? 'it has none at all' : `it has ${known}`}`);
  }
  const entries = new Map([...tree.entries].filter(([key]) => !OWN_TO_ENVIRONMENT.has(key)));
  const name = textOf(entryOf(tree, 'name'));
  for (const [key, entry] of own.entries) entries.set(key, entry);
  if (name !== undefined && !own.entries.has('name')) {
    const { at } = tree.entries.get('name')!;
    entries.set('name', { at, value: { kind: 'scalar', at, value: `${name}-${stage}`, text: `${name}-${stage}` } });
  }
  return { kind: 'mapping', at: own.at, entries };
}

function otherEnvironments(tree: Mapping, stage: string | undefined, report: Report): void {
  const environments = entryOf(tree, 'env');
  if (environments?.kind !== 'mapping') return;
  for (const [name, { at }] of environments.entries)
    if (name !== stage)
      report.left(
        at,
        '',
        `environment ${name}`,
        `a manifest is of one environment; import this one with --stage ${name}, into another folder or with another project name`,
      );
}

function variablesOf(section: Section): Variable[] {
  const vars = section.section('vars');
  return (vars?.entries() ?? []).flatMap(({ key, at, value }) => {
    const type = value.kind === 'scalar' ? typeof value.value : 'string';
    const variable = variableOf(key, at, value, vars!, type === 'string' ? undefined : `is a text in Virga, where it was a ${type}`);
    return variable === undefined ? [] : [variable];
  });
}

/** Names of secrets: those that the file declares, and those of .dev.vars. */
function secretsOf(section: Section, files: ImportFiles, stage: string | undefined): Variable[] {
  const { report, subject } = section.reading;
  const declared: { name: string; at: Tree['at'] }[] = (section.section('secrets')?.list('required') ?? []).flatMap((item) => {
    const name = textOf(item);
    return name === undefined ? [] : [{ name, at: item.at }];
  });
  const local = ['.dev.vars', ...(stage === undefined ? [] : [`.dev.vars.${stage}`])].flatMap((file) => secretNamesIn(file, files));
  const unique = new Map([...declared, ...local].map((one) => [one.name, one]));
  return [...unique.values()].map(({ name, at }) => {
    report.left(at, subject, `secret ${name}`, SECRET_NOTE);
    return { name, at, value: undefined, note: SECRET_NOTE };
  });
}
