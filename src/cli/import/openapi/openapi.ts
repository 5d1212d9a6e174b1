// An OpenAPI document as a project: a function for each tag (or operation), routes with `validate`, security schemes as `gateway.auth`.
// Invariants: a route that asks who calls is not opened by an import that cannot say it: it stands in a comment; and a function is there
// only if its source is, or `--scaffold` makes one, which answers 501. Called by import.ts.
import { basename } from 'node:path';
import { isObject } from '../../../lib/json-schema/refs.ts';
import { POLICY_KEYS } from '../../../protocol/policies/policy.ts';
import { CommandError } from '../../failure.ts';
import { ProjectDocuments } from '../../manifest/project-documents.ts';
import { pathProblem } from '../../manifest/routes.ts';
import { authenticatorOf, authName, authOf } from '../../openapi/auth-words.ts';
import { operationsOf } from '../../openapi/operations.ts';
import type { Operation } from '../../openapi/operations.ts';
import type { DocumentPath } from '../../openapi/reading.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { kebabName, Names } from '../project.ts';
import type { ImportedFunction, ImportedProject, ImportedRoute } from '../project.ts';
import type { Report } from '../report.ts';
import { placeText } from '../tree.ts';
import type { Place, Tree } from '../tree.ts';
import { scaffoldText } from './scaffold.ts';

const SOURCES = ['functions/', 'src/', 'src/functions/', ''].flatMap((folder) =>
  ['.ts', '.mts', '.js', '.mjs', '.py'].map((end) => [folder, end] as const),
);
const NOTHING = 'nothing to do: it describes, and is not needed to serve';

export function readOpenApi(
  file: string,
  files: ImportFiles,
  { options, report }: { options: ImportOptions; report: Report },
): ImportedProject {
  const tree = files.tree(file);
  const root = plain(tree);
  const at = (path: DocumentPath): Place => placeOf(tree, path);
  let found: ReturnType<typeof operationsOf>;
  try {
    found = operationsOf({ file, root }, new ProjectDocuments(files.folder));
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`);
  }
  const document = root as Record<string, unknown>;
  const info = isObject(document['info']) ? document['info'] : {};
  const title = typeof info['title'] === 'string' ? info['title'] : basename(files.folder);
  const schemes = new Schemes(document, { report, at });
  const names = new Names(report);
  const project: ImportedProject = { name: kebabName(title), defaults: { env: [] }, functions: [], absent: [], scaffold: [] };
  for (const [wanted, operations] of Map.groupBy(found.operations, (operation) => functionOf(operation, options))) {
    const place = at(operations[0]!.at);
    const name = names.of(wanted, place);
    const routes = operations.flatMap((operation) => routeOf(operation, { name, place: at(operation.at), schemes, report }));
    const source = SOURCES.map(([folder, end]) => `${folder}${name}${end}`).find((path) => files.isFile(path));
    if (source === undefined && options.scaffold !== true) {
      const why = `there is no source such as functions/${name}.ts; write it, or let --scaffold make one that answers 501`;
      project.absent.push({ name, why });
      report.left(place, name, 'function', why);
      continue;
    }
    if (source === undefined) project.scaffold!.push({ path: `functions/${name}.mjs`, text: scaffoldText(name, file, operations) });
    project.functions.push({
      name,
      at: place,
      source: source ?? `functions/${name}.mjs`,
      routes,
      env: [],
      include: [],
      external: [],
      layers: [],
    });
  }
  const used = functionsByPath(project.functions);
  for (const { fate, at: path, what, note } of found.notes) {
    const place = at(path);
    const subject = used.get(path[1] ?? '') ?? '';
    const [, where = '', method = ''] = path;
    if (fate === 'left') report.left(place, subject, `${method.toUpperCase()} ${where}: ${what}`.trimStart(), note);
    else report.changed(place, subject, what, note);
  }
  project.gateway = gatewayOf(info, schemes);
  surroundings(document, { report, at });
  names.tell(project.functions);
  return project;
}

function functionOf({ function: named, tags, operationId, path, method }: Operation, { functionsBy }: ImportOptions): string {
  const own = operationId ?? `${method.toLowerCase()}-${path.replaceAll(/[^A-Za-z0-9]+/g, '-')}`;
  return named ?? (functionsBy === 'operation' ? own : (tags[0] ?? own));
}

interface RouteContext {
  name: string;
  place: Place;
  schemes: Schemes;
  report: Report;
}

function routeOf(operation: Operation, { name, place, schemes, report }: RouteContext): ImportedRoute[] {
  const { method, policy, security } = operation;
  const path = operation.path.replace(/(?<=.)\/+$/, '');
  const text = `${method} ${operation.path}`;
  const problem = pathProblem(path);
  if (problem !== undefined) return (report.left(place, name, `route ${text}`, `${problem}; write the route by hand`), []);
  if (path !== operation.path) report.changed(place, name, `route ${text}`, `is ${path}: a path has no / at its end`);
  const checked = Object.keys(policy.validate === undefined || policy.validate === false ? {} : policy.validate);
  const what = checked.length === 0 ? '' : ` with ${checked.join(', ')}`;
  const route: ImportedRoute = { at: place, path, methods: [method], policy: { ...policy } };
  if (security === undefined) {
    report.carried(place, name, `${text}${what}`);
    return [route];
  }
  const missing = schemes.missing(security);
  if (missing === undefined) {
    report.carried(place, name, `${text}${what}, auth`);
    return [{ ...route, policy: { ...policy, auth: authOf(security) } }];
  }
  report.left(
    place,
    name,
    `route ${text}`,
    `it asks for ${missing}, which is not carried over: declare it, give the route \`auth\`, and take the # away`,
  );
  return [{ ...route, closed: `asks for ${missing}; declare it under gateway.auth, add auth, then open it` }];
}

/** The security schemes of the document. */
class Schemes {
  readonly authenticators: Record<string, unknown> = {};
  readonly #known = new Set<string>();

  constructor(document: Record<string, unknown>, { report, at }: { report: Report; at: (path: DocumentPath) => Place }) {
    const components = isObject(document['components']) ? document['components'] : {};
    const schemes = isObject(components['securitySchemes']) ? components['securitySchemes'] : {};
    for (const [name, scheme] of Object.entries(schemes)) {
      const place = at(['components', 'securitySchemes', name]);
      const { written, lacks } = authenticatorOf(scheme);
      const supported = (POLICY_KEYS as readonly string[]).includes('auth');
      if (written !== undefined && supported) {
        this.#known.add(name);
        this.authenticators[authName(name)] = written;
        report.carried(place, '', `security scheme ${name} as gateway.auth.${authName(name)}`);
      } else
        report.left(
          place,
          '',
          `security scheme ${name}`,
          written === undefined ? `${lacks}, as gateway.auth.${authName(name)}` : 'this Virga has no `auth`',
        );
    }
  }

  /** The first that no authenticator stands for. */
  missing(security: readonly Record<string, string[]>[]): string | undefined {
    return security.flatMap((one) => Object.keys(one)).find((name) => !this.#known.has(name));
  }
}

function gatewayOf(info: Record<string, unknown>, { authenticators }: Schemes): Record<string, unknown> {
  const { title, version, description } = info;
  const said = (value: unknown, max: number): string | undefined =>
    typeof value === 'string' && value !== '' ? value.slice(0, max) : undefined;
  const words = { title: said(title, 200), version: said(version, 100), description: said(description, 5_000) };
  const openapi = Object.fromEntries(Object.entries(words).filter(([, one]) => one !== undefined));
  return { ...(Object.keys(authenticators).length === 0 ? {} : { auth: authenticators }), openapi };
}

function surroundings(document: Record<string, unknown>, { report, at }: { report: Report; at: (path: DocumentPath) => Place }): void {
  report.changed(
    at(['info']),
    '',
    'info',
    'is gateway.openapi; with `serve: /openapi.json` and `docs: /docs` there the document of the routes is served, with a page to try calls on',
  );
  const servers = Array.isArray(document['servers']) ? (document['servers'] as unknown[]) : [];
  const [server] = servers;
  const url = isObject(server) && typeof server['url'] === 'string' ? server['url'] : '/';
  const base = url.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/\/+$/, '');
  if (servers.length > 0)
    report.left(
      at(['servers']),
      '',
      'servers',
      base === '' || base === '.'
        ? NOTHING
        : `paths are taken without ${base}, which clients put before them; add it to the routes, or change the clients`,
    );
  for (const key of ['webhooks', 'externalDocs', 'tags'])
    if (document[key] !== undefined)
      report.left(at([key]), '', key, key === 'webhooks' ? 'they are what others are called with; Virga has no counterpart' : NOTHING);
}

function functionsByPath(functions: readonly ImportedFunction[]): Map<string, string> {
  return new Map(functions.flatMap((fn) => fn.routes.map((route): [string, string] => [route.path, fn.name])));
}

function plain(tree: Tree): unknown {
  switch (tree.kind) {
    case 'scalar':
      return tree.value;
    case 'list':
      return tree.items.map(plain);
    case 'mapping':
      return Object.fromEntries([...tree.entries].map(([key, { value }]) => [key, plain(value)]));
    case 'call':
      // `{Ref: …}` is CloudFormation's in other files; here it is a mapping like any other.
      return { [tree.name]: plain(tree.argument) };
    case 'unresolved':
      throw new CommandError(`${placeText(tree.at)}: ${tree.reason}`);
  }
}

/** The nearest that is there. */
function placeOf(tree: Tree, path: DocumentPath): Place {
  let at = tree.at;
  let here: Tree | undefined = tree;
  for (const key of path) {
    if (here?.kind === 'mapping') {
      const entry = here.entries.get(key);
      if (entry === undefined) return at;
      at = entry.at;
      here = entry.value;
    } else if (here?.kind === 'list') {
      here = here.items[Number(key)];
      at = here?.at ?? at;
    }
  }
  return at;
}
