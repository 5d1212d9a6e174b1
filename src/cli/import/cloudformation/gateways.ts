// The APIs of a template: what guards their routes, and the routes that plain CloudFormation spells out as resources of their own
// (ApiGatewayV2 routes and integrations, the resource tree and methods of a REST API, function URLs). Used by template.ts and functions.ts.
import type { HttpEvent } from '../../../protocol/settings.ts';
import type { Section } from '../section.ts';
import { entryOf, isNothing, textOf } from '../tree.ts';
import type { Mapping, Place, Tree } from '../tree.ts';
import type { Resource } from './resources.ts';

export interface SpelledRoute {
  at: Place;
  method: string;
  path: string;
  event: HttpEvent;
  guard: string | undefined;
}

export interface Gateways {
  /** What guards all routes of an API that do not say otherwise; by the id of the API, '' for the implicit ones. */
  guards: { rest: Map<string, string>; http: Map<string, string> };
  /** Routes by the id of the function. */
  spelled: Map<string, SpelledRoute[]>;
  /** Resources that routes were made of. */
  understood: Set<string>;
}

const PARENTS_MAX = 32;

export function gatewaysOf(
  resources: ReadonlyMap<string, Resource>,
  root: Section,
  api: Section | undefined,
  httpApi: Section | undefined,
): Gateways {
  const gateways: Gateways = { guards: { rest: new Map(), http: new Map() }, spelled: new Map(), understood: new Set() };
  for (const [section, guards] of [
    [api, gateways.guards.rest],
    [httpApi, gateways.guards.http],
  ] as const) {
    const guard = defaultGuard(section?.take('Auth'), root);
    if (guard !== undefined) guards.set('', guard);
    section?.leave({
      Auth: 'Virga has no authorizers; check who calls in the function',
      Cors: 'answer OPTIONS requests and send the headers in the function',
      CorsConfiguration: 'answer OPTIONS requests and send the headers in the function',
    });
    section?.finish();
  }
  for (const resource of resources.values()) {
    const rest = resource.type === 'AWS::Serverless::Api';
    if (!rest && resource.type !== 'AWS::Serverless::HttpApi') continue;
    const guards = rest ? gateways.guards.rest : gateways.guards.http;
    const guard = defaultGuard(propertyOf(resource, 'Auth', root), root) ?? guards.get('');
    if (guard !== undefined) guards.set(resource.id, guard);
  }
  for (const resource of resources.values()) spell(resource, { resources, root, gateways });
  return gateways;
}

interface Spelling {
  resources: ReadonlyMap<string, Resource>;
  root: Section;
  gateways: Gateways;
}

function spell(resource: Resource, spelling: Spelling): void {
  const { root, gateways, resources } = spelling;
  const property = (key: string, of = resource): Tree | undefined => propertyOf(of, key, root);
  const add = (fn: string | undefined, route: SpelledRoute | undefined): void => {
    if (fn === undefined || route === undefined || !resources.has(fn)) return;
    gateways.spelled.set(fn, [...(gateways.spelled.get(fn) ?? []), route]);
    gateways.understood.add(resource.id);
  };
  if (resource.type === 'AWS::ApiGatewayV2::Route') {
    const integration = [...references(property('Target'), root)]
      .map((id) => resources.get(id))
      .find((one) => one?.type === 'AWS::ApiGatewayV2::Integration');
    const key = textOf(property('RouteKey'));
    if (integration === undefined || key === undefined) return;
    const [method, path] = key.includes(' ') ? key.split(/\s+/) : ['ANY', key];
    const authorization = textOf(property('AuthorizationType'));
    const guard = authorization !== undefined && authorization !== 'NONE' ? `the authorizer ${authorization}` : undefined;
    const payload = textOf(property('PayloadFormatVersion', integration));
    add(functionIn(property('IntegrationUri', integration), spelling), {
      at: resource.at,
      method: method!,
      path: path!,
      event: payload === '1.0' ? '1.0' : '2.0',
      guard,
    });
    gateways.understood.add(integration.id);
  } else if (resource.type === 'AWS::ApiGateway::Method') {
    const method = textOf(property('HttpMethod')) ?? 'ANY';
    const path = restPath(property('ResourceId'), spelling);
    const authorization = textOf(property('AuthorizationType')) ?? 'NONE';
    const key = textOf(property('ApiKeyRequired')) === 'true';
    const guard = authorization !== 'NONE' ? `the authorizer ${authorization}` : key ? 'an API key' : undefined;
    const integration = property('Integration');
    const fn = functionIn(
      integration === undefined ? undefined : root.reading.resolve(entryOf(integration, 'Uri') ?? integration),
      spelling,
      entryOf(integration, 'Uri'),
    );
    add(fn, path === undefined ? undefined : { at: resource.at, method, path, event: '1.0', guard });
  } else if (resource.type === 'AWS::Lambda::Url') {
    const authorization = textOf(property('AuthType'));
    const guard = authorization === 'AWS_IAM' ? 'the authorizer AWS_IAM' : undefined;
    const target = rawProperty(resource, 'TargetFunctionArn');
    add(functionIn(undefined, spelling, target), { at: resource.at, method: 'ANY', path: '$url', event: 'function-url', guard });
  }
}

/** The path of a REST API's resource: its part below that of its parent. */
function restPath(id: Tree | undefined, { resources, root, gateways }: Spelling): string | undefined {
  const parts: string[] = [];
  let here = id;
  for (let depth = 0; depth < PARENTS_MAX; depth++) {
    const resource = here?.kind === 'unresolved' ? resources.get(here.resource ?? '') : undefined;
    if (resource === undefined) return undefined;
    if (resource.type === 'AWS::ApiGateway::RestApi') return `/${parts.join('/')}`;
    if (resource.type !== 'AWS::ApiGateway::Resource') return undefined;
    gateways.understood.add(resource.id);
    const part = textOf(propertyOf(resource, 'PathPart', root));
    if (part === undefined) return undefined;
    parts.unshift(part);
    here = propertyOf(resource, 'ParentId', root);
  }
  return undefined;
}

/** The function that a URI or an ARN is made of. */
function functionIn(tree: Tree | undefined, { resources, root }: Spelling, raw?: Tree): string | undefined {
  const ids = [...references(tree, root), ...references(raw, root)];
  return ids.find((id) => /^AWS::(?:Lambda|Serverless)::Function$/.test(resources.get(id)?.type ?? ''));
}

/** Ids that intrinsic functions in a tree refer to. */
function* references(tree: Tree | undefined, root: Section, depth = 0): Generator<string> {
  if (tree === undefined || depth > 20) return;
  if (tree.kind === 'unresolved' && tree.resource !== undefined) yield tree.resource;
  if (tree.kind === 'scalar') for (const [, id] of tree.text.matchAll(/\$\{([A-Za-z0-9]+)(?:\.[^}]*)?\}/g)) yield id!;
  if (tree.kind === 'call') {
    const value = root.reading.resolve(tree);
    if (value.kind === 'unresolved' && value.resource !== undefined) yield value.resource;
    yield* references(tree.argument, root, depth + 1);
  }
  if (tree.kind === 'list') for (const item of tree.items) yield* references(item, root, depth + 1);
}

/** `Auth.DefaultAuthorizer`, or `ApiKeyRequired` for all. */
function defaultGuard(auth: Tree | undefined, root: Section): string | undefined {
  if (auth?.kind !== 'mapping') return undefined;
  const read = (key: string): string | undefined => {
    const value = entryOf(auth, key);
    return value === undefined ? undefined : textOf(root.reading.resolve(value));
  };
  const authorizer = read('DefaultAuthorizer');
  if (authorizer !== undefined && authorizer !== 'NONE') return `the authorizer ${authorizer}`;
  if (read('ApiKeyRequired')?.toLowerCase() === 'true') return 'an API key';
  return isNothing(entryOf(auth, 'ResourcePolicy')) ? undefined : 'a resource policy';
}

function rawProperty({ mapping }: { mapping: Mapping }, key: string): Tree | undefined {
  return entryOf(entryOf(mapping, 'Properties'), key);
}

function propertyOf(resource: Resource, key: string, root: Section): Tree | undefined {
  const raw = rawProperty(resource, key);
  return raw === undefined ? undefined : root.reading.resolve(raw);
}
