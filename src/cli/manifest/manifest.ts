// Reads virga.yaml, reports everything that is wrong with it at once (each with line and column), and turns it into what
// a deployment is made of: defaults filled in, units converted, routes parsed. Invariant: a Manifest that exists passes
// the server's checks; only the code is still to be built. Callers: the commands deploy, diff and dev.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import { EGRESS_DEFAULT } from '../../protocol/egress.ts';
import type { GatewaySection } from '../../protocol/policies/policy.ts';
import { NAME_PATTERN, SETTING_LIMITS } from '../../protocol/settings.ts';
import type { DeployFunction, FunctionRuntime, HttpEvent, InstanceWindow, Route, VersionSettings } from '../../protocol/settings.ts';
import type { EventsSection } from '../../protocol/sources/sources.ts';
import { authProblems } from './auth.ts';
import { ManifestDocument } from './document.ts';
import type { Path, Problem } from './document.ts';
import { pathText, problemsOfIssues } from './problems.ts';
import { mapping } from './mapping.ts';
import { workflowProblem } from '../../protocol/sources/workflows.ts';
import { eventsOf, eventsProblems } from './events.ts';
import { documentRoutes } from './openapi-routes.ts';
import { planProblems, routeProblems, routesOf } from './placed-routes.ts';
import type { OwnedRoute } from './placed-routes.ts';
import { MANIFEST_BYTES_MAX, MANIFEST_NAME } from './project-near.ts';
import { ProjectDocuments } from './project-documents.ts';
import { FUNCTIONS_MAX, functionSchema, manifestSchema } from './schema.ts';
import type { ManifestInput, SettingsInput, WindowInput } from './schema.ts';
import { layersProblems, runtimeOf, sourceProblems, wrapperProblem } from './source.ts';
import { staticProblems } from './static-folders.ts';
import { followReferences } from './validate-references.ts';
import { durationMs, sizeMiB } from '../../lib/units.ts';

export interface ManifestFunction {
  name: string;
  /** A file, a folder or an archive; relative to the folder of the manifest, with forward slashes. */
  source: string;
  /** As written: name of the export to call, or file and export; undefined: what the runtime looks for by itself. */
  handler: string | undefined;
  settings: Omit<VersionSettings, 'handler'>;
  include: string[];
  external: string[];
  /** Folders and archives, relative to the folder of the manifest. */
  layers: string[];
  /** Which of its versions get its requests, as written. */
  traffic: Pick<DeployFunction, 'live' | 'shadow'>;
}

export interface Manifest {
  project: string;
  /** Absolute. */
  file: string;
  folder: string;
  functions: ManifestFunction[];
  routes: Route[];
  gateway: GatewaySection | undefined;
  events: EventsSection | undefined;
}

/** What `detail` of an `invalid_manifest` error is. */
export interface ManifestProblems {
  file: string;
  problems: (Problem & { excerpt: string[] })[];
}

/** `path` is a folder with a virga.yaml, or the file itself. Throws VirgaError `invalid_manifest` with every problem. */
export function readManifest(path: string): Manifest {
  const file = manifestFile(path);
  const bytes = statSync(file).size;
  if (bytes > MANIFEST_BYTES_MAX) {
    throw new VirgaError('invalid_manifest', `${shownPath(file)} has ${bytes} bytes; at most ${MANIFEST_BYTES_MAX} are read`);
  }
  return parseManifest(readFileSync(file, 'utf8'), file);
}

/** `file` is absolute; sources are looked for in its folder. */
export function parseManifest(text: string, file: string): Manifest {
  const document = new ManifestDocument(text);
  const folder = dirname(file);
  const syntax = document.syntaxProblems();
  if (syntax.length > 0) throw invalid(file, document, syntax);
  let root: unknown;
  try {
    root = document.value();
  } catch (error) {
    throw invalid(file, document, [
      { line: 1, column: 1, length: 1, message: `the aliases cannot be resolved: ${(error as Error).message}` },
    ]);
  }
  if (root === null || root === undefined) root = {};
  const documents = new ProjectDocuments(folder);
  const problems = followReferences(root, { document, documents });
  // A reference that leads nowhere would be told again by the check of the schema that has it.
  if (problems.length > 0) throw invalid(file, document, problems);
  const parsed = manifestSchema.safeParse(root);
  if (!parsed.success) problems.push(...problemsOfIssues(parsed.error.issues, document, root));
  // The checks across keys look at whatever is sound, so that they report together with the rest.
  problems.push(...crossProblems(root as Partial<ManifestInput>, document, folder));
  const written = Object.values(mapping(mapping(root)['functions'])).flatMap((fn) =>
    routesOf(mapping(fn)['http'], []).map(({ route }) => route),
  );
  const described = documentRoutes({ root, document, documents, written });
  problems.push(...described.problems);
  if (parsed.success) problems.push(...eventsProblems(parsed.data, document));
  if (problems.length > 0 || !parsed.success) throw invalid(file, document, problems);
  const manifest = normalise(parsed.data, { file, folder, document });
  return { ...manifest, routes: [...manifest.routes, ...described.routes] };
}

export function manifestFile(path: string): string {
  const target = resolve(path);
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined) throw new VirgaError('invalid_manifest', `there is no folder '${path}'`);
  if (found.isFile()) return target;
  const file = join(target, MANIFEST_NAME);
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  const other = ['virga.yml', 'virga.json'].find((name) => statSync(join(target, name), { throwIfNoEntry: false })?.isFile());
  const remedy = other === undefined ? '`virga init` makes one' : `rename ${other}`;
  throw new VirgaError('invalid_manifest', `there is no ${MANIFEST_NAME} in '${shownPath(target) || '.'}'; ${remedy}`);
}

/** Relative to the current folder where that is shorter. */
export function shownPath(file: string): string {
  const near = relative(process.cwd(), file);
  return near.startsWith('../../..') ? file : near;
}

function invalid(file: string, document: ManifestDocument, problems: Problem[]): VirgaError {
  const sorted = problems
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    // Two checks may say the same of one place.
    .filter(
      (one, index, all) =>
        !all.slice(0, index).some((same) => same.line === one.line && same.column === one.column && same.message === one.message),
    );
  const shown = shownPath(file);
  const message = sorted.map((problem) => `${shown}:${problem.line}:${problem.column}: ${problem.message}`).join('\n');
  const detail: ManifestProblems = { file: shown, problems: sorted.map((problem) => ({ ...problem, excerpt: document.excerpt(problem) })) };
  return new VirgaError('invalid_manifest', message, { detail });
}

function crossProblems(root: Partial<ManifestInput>, document: ManifestDocument, folder: string): Problem[] {
  const problems: Problem[] = [];
  const functions = mapping(root.functions);
  const names = Object.keys(functions);
  if (names.length > FUNCTIONS_MAX) {
    problems.push({
      ...document.placeOfKey(['functions']),
      message: `functions has ${names.length} entries; expected at most ${FUNCTIONS_MAX}`,
    });
  }
  const defaults = mapping(root.defaults);
  problems.push(...layersProblems(defaults['layers'], ['defaults', 'layers'], { document, folder }));
  const routes: OwnedRoute[] = [];
  for (const name of names.slice(0, FUNCTIONS_MAX)) {
    const fn = mapping(functions[name]);
    const at: Path = ['functions', name];
    if (!NAME_PATTERN.test(name)) {
      // Below a name that it refuses zod looks no further.
      const inner = functionSchema.safeParse(functions[name]);
      if (!inner.success) problems.push(...problemsOfIssues(inner.error.issues, document, root, at));
    }
    if (typeof fn['source'] === 'string')
      problems.push(...sourceProblems({ ...declaredOf(fn, mapping(root.defaults)), source: fn['source'] }, { path: at, document, folder }));
    problems.push(...layersProblems(fn['layers'], [...at, 'layers'], { document, folder }));
    // One of the defaults is said once, whichever functions have it.
    const wrapper = wrapperProblem(fn, defaults, { path: at, document });
    if (wrapper !== undefined && !problems.some(({ message }) => message === wrapper.message)) problems.push(wrapper);
    problems.push(
      ...instancesProblems(mapping(fn['instances']), mapping(mapping(root.defaults)['instances']), [...at, 'instances'], document),
    );
    routes.push(...routesOf(fn['http'], [...at, 'http']).map((one) => ({ ...one, owner: `'${name}'` })));
  }
  routes.push(...routesOf(mapping(root.gateway)['routes'], ['gateway', 'routes']).map((one) => ({ ...one, owner: 'another' })));
  const openapi = mapping(mapping(root.gateway)['openapi']);
  for (const key of ['serve', 'docs'])
    if (typeof openapi[key] === 'string')
      routes.push({ path: ['gateway', 'openapi', key], route: { path: openapi[key], methods: ['GET'] }, owner: 'another' });
  problems.push(...routeProblems(routes, document), ...planProblems(routes, mapping(root.gateway), document));
  problems.push(...authProblems(routes, { gateway: root.gateway, functions: names }, document));
  problems.push(...staticProblems(routes, { document, folder }));
  return problems;
}

function declaredOf(fn: Record<string, unknown>, defaults: Record<string, unknown>) {
  const { runtime, form = defaults['form'], handler, command, httpEvent } = fn;
  return { runtime, defaultRuntime: defaults['runtime'], form, handler, command, httpEvent };
}

function instancesProblems(
  own: Record<string, unknown>,
  defaults: Record<string, unknown>,
  path: Path,
  document: ManifestDocument,
): Problem[] {
  const min = own['min'] ?? defaults['min'] ?? SETTING_LIMITS.instancesMin.default;
  const max = own['max'] ?? defaults['max'] ?? SETTING_LIMITS.instancesMax.default;
  if (typeof min !== 'number' || typeof max !== 'number') return [];
  const windows = Array.isArray(own['windows']) ? own['windows'] : [];
  const tooLarge = windows.flatMap((window: unknown, index) => {
    const { min: ready } = mapping(window);
    if (typeof ready !== 'number' || ready <= max) return [];
    const at = [...path, 'windows', index, 'min'];
    return [
      { ...document.placeOfValue(at), message: `${pathText(at)} is ${ready} and max is ${max}; expected a min that is not above max` },
    ];
  });
  if (min <= max) return tooLarge;
  const key = own['min'] === undefined ? 'max' : 'min';
  return [
    ...tooLarge,
    {
      ...document.placeOfValue([...path, key]),
      message: `${path.join('.')}: min is ${min} and max is ${max}; expected a min that is not above max`,
    },
  ];
}

function normalise(input: ManifestInput, at: { file: string; folder: string; document: ManifestDocument }): Manifest {
  const defaults = input.defaults ?? {};
  const problems: Problem[] = [];
  const functions = Object.entries(input.functions).map(([name, fn]): ManifestFunction => {
    const env = {
      ...environmentOf(defaults.env, ['defaults', 'env'], at.document),
      ...environmentOf(fn.env, ['functions', name, 'env'], at.document),
    };
    const bytes = Object.entries(env).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2, 0);
    if (bytes > SETTING_LIMITS.envBytes.max) {
      const message = `functions.${name}.env has ${bytes} bytes, names and values together; expected at most ${SETTING_LIMITS.envBytes.max}`;
      problems.push({ ...at.document.placeOfKey(['functions', name, 'env']), message });
    }
    return {
      name,
      source: plainPath(fn.source),
      handler: fn.handler,
      settings: {
        ...settingsOf(
          { ...defaults, ...fn, instances: { ...defaults.instances, ...fn.instances } },
          runtimeOf(fn.runtime, defaults.runtime, fn.source),
        ),
        ...(fn.command === undefined ? {} : { command: commandOf(fn.command) }),
        env,
      },
      include: [...(defaults.include ?? []), ...(fn.include ?? [])],
      external: [...new Set([...(defaults.external ?? []), ...(fn.external ?? [])])],
      traffic: { ...(fn.live === undefined ? {} : { live: fn.live }), ...(fn.shadow === undefined ? {} : { shadow: fn.shadow }) },
      layers: [...new Set([...(defaults.layers ?? []), ...(fn.layers ?? [])].map(plainPath))],
    };
  });
  for (const { name, settings } of functions) {
    if (input.functions[name]?.workflow === undefined) continue;
    const path: Path = ['functions', name, 'workflow'];
    const message = workflowProblem(settings);
    if (message !== undefined) problems.push({ ...at.document.placeOfKey(path), message: `${pathText(path)}: ${message}` });
  }
  if (problems.length > 0) throw invalid(at.file, at.document, problems);
  const routes: Route[] = Object.entries(input.functions).flatMap(([name, fn]) =>
    routesOf(fn.http, []).map(({ route }) => ({ ...route, function: name })),
  );
  const { routes: others, ...gateway } = input.gateway ?? {};
  routes.push(...routesOf(others ?? [], []).map(({ route }) => route));
  const said = Object.keys(gateway).length > 0;
  return {
    project: input.project,
    file: at.file,
    folder: at.folder,
    functions,
    routes,
    gateway: said ? gateway : undefined,
    events: eventsOf(input),
  };
}

function plainPath(path: string): string {
  return path.replace(/^(\.\/+)+/, '').replace(/(?<=.)\/+$/, '') || '.';
}

/** A text is for the shell, as in a Procfile. */
function commandOf(command: string | string[]): string[] {
  return typeof command === 'string' ? ['/bin/sh', '-c', `exec ${command}`] : command;
}

function settingsOf(input: SettingsInput, runtime: FunctionRuntime): Omit<VersionSettings, 'handler' | 'env'> {
  const limits = SETTING_LIMITS;
  const program = runtime === 'web' || runtime === 'bun' || runtime === 'deno';
  return {
    runtime,
    form: input.form ?? 'native',
    ...(input.httpEvent === undefined ? {} : { httpEvent: httpEventOf(input.httpEvent) }),
    memoryMiB: mib(input.memory, limits.memoryMiB.default),
    timeoutMs: durationMs(input.timeout ?? '') ?? limits.timeoutMs.default,
    concurrency: input.concurrency ?? (program ? limits.concurrency.ofPrograms : limits.concurrency.default),
    instances: {
      min: input.instances?.min ?? limits.instancesMin.default,
      max: input.instances?.max ?? limits.instancesMax.default,
      // Left out when there are none, so that a function without windows is the version that it was.
      ...(input.instances?.windows === undefined || input.instances.windows.length === 0
        ? {}
        : { windows: windowsOf(input.instances.windows) }),
    },
    cpus: input.cpus ?? limits.cpus.default,
    tmpMiB: mib(input.tmp, limits.tmpMiB.default),
    pids: input.pids ?? limits.pids.default,
    isolation: input.isolation ?? 'standard',
    queue: input.queue ?? limits.queue.default,
    idleMs: durationMs(input.idle ?? '') ?? limits.idleMs.default,
    egress: input.egress ?? EGRESS_DEFAULT,
  };
}

/** YAML reads 2.0 as a number. */
function httpEventOf(event: HttpEvent | 1 | 2): HttpEvent {
  return event === 1 ? '1.0' : event === 2 ? '2.0' : event;
}

function windowsOf(windows: WindowInput[]): InstanceWindow[] {
  return windows.map(({ cron, min, timezone, ...window }) => ({
    cron: cron.trim().split(/\s+/).join(' '),
    forMs: durationMs(window.for)!,
    min,
    timezone: timezone ?? 'UTC',
  }));
}

function mib(value: string | number | undefined, missing: number): number {
  return typeof value === 'number' ? value : (sizeMiB(value ?? '') ?? missing);
}

function environmentOf(
  env: Record<string, string | number | boolean> | undefined,
  path: Path,
  document: ManifestDocument,
): Record<string, string> {
  const entries = Object.entries(env ?? {}).map(([key, value]): [string, string] => {
    // As written: YAML would make 1.10 into 1.1 and 007 into 7.
    return [key, typeof value === 'string' ? value : (document.writtenAt([...path, key]) ?? String(value))];
  });
  return Object.fromEntries(entries);
}
