// The routes of a project as an OpenAPI 3.1 document: what the gateway checks (`validate`, `auth`), and what it answers by itself.
// Invariant: a document that was imported comes out as it went in, as far as both can say it. Pure; called by the edge, which
// serves it (gateway/openapi/), and by the command `virga openapi`.
import { bodyRules } from '../body-rules.ts';
import type { OperationRules } from '../policies/openapi.ts';
import type { GatewaySection, RoutePolicy } from '../policies/policy.ts';
import type { ValidateRules } from '../policies/validate.ts';
import type { Route } from '../settings.ts';
import { Components, isMapping } from './components.ts';
import { SecuritySchemes } from './security.ts';

type Mapping = Record<string, unknown>;

export interface DocumentSource {
  project: string;
  /** For `version`, where nothing else is said. */
  version: string;
  routes: readonly Route[];
  gateway: GatewaySection;
}

/** What a route for every method is listed with. */
const USUAL_METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH'];
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS']);
const PARAMETER = /\{([^}+]+)\+?\}/g;

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'errors'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: { in: { enum: ['path', 'query', 'header', 'body'] }, pointer: { type: 'string' }, message: { type: 'string' } },
      },
    },
  },
};
const ERROR = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'fault', 'requestId'],
      properties: {
        code: { type: 'string' },
        message: { type: 'string' },
        fault: { enum: ['caller', 'function', 'platform'] },
        requestId: { type: 'string' },
      },
    },
  },
};

export function openApiDocument({ project, version, routes, gateway }: DocumentSource): Mapping {
  const { title = project, version: said = version, description, serve = '/openapi.json' } = gateway.openapi ?? {};
  const components = new Components(['Problem', 'Error']);
  const security = new SecuritySchemes(gateway);
  const writer = new OperationWriter(routes, components, security);
  const paths: Record<string, Mapping> = {};
  for (const route of routes.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))) {
    const policy: RoutePolicy = { ...gateway.defaults, ...route.policy };
    if (route.function === undefined || policy.openapi === false) continue;
    const at = (paths[writer.templateOf(route.path)] ??= {});
    for (const method of route.methods ?? USUAL_METHODS) at[method.toLowerCase()] ??= writer.operation(route, method, policy);
  }
  const schemes = Object.keys(security.schemes).length === 0 ? {} : { securitySchemes: security.schemes };
  return {
    openapi: '3.1.0',
    info: { title, version: said, ...(description === undefined ? {} : { description }) },
    servers: [{ url: '../'.repeat(serve.split('/').length - 2) || './' }],
    paths,
    components: { schemas: { ...components.schemas, Problem: PROBLEM, Error: ERROR }, ...schemes },
  };
}

class OperationWriter {
  readonly #components: Components;
  readonly #security: SecuritySchemes;
  /** How often a function is called for, to name its operations. */
  readonly #operations = new Map<string, number>();
  readonly #ids = new Set<string>();
  /** OpenAPI takes `/a/{x}` and `/a/{y}` for one path: the first name counts. */
  readonly #templates = new Map<string, string>();

  constructor(routes: readonly Route[], components: Components, security: SecuritySchemes) {
    this.#components = components;
    this.#security = security;
    for (const { function: name, methods } of routes)
      if (name !== undefined) this.#operations.set(name, (this.#operations.get(name) ?? 0) + (methods ?? USUAL_METHODS).length);
  }

  templateOf(path: string): string {
    const shape = path.replaceAll(PARAMETER, '{}');
    const known = this.#templates.get(shape);
    if (known !== undefined) return known;
    const template = path.replaceAll(PARAMETER, '{$1}');
    this.#templates.set(shape, template);
    return template;
  }

  operation(route: Route, method: string, { validate, openapi, ...policy }: RoutePolicy): Mapping {
    const words: OperationRules = openapi === false || openapi === undefined ? {} : openapi;
    const rules: ValidateRules = validate === false || validate === undefined ? {} : validate;
    const operationId = this.#idOf(route, method, words.operationId);
    const { auth } = policy as { auth?: unknown };
    const security = this.#security.of(auth);
    const parameters = this.#parameters(route, rules, operationId);
    const body = rules.body === undefined || BODILESS.has(method) ? undefined : this.#body(rules.body, operationId);
    const { summary, description, deprecated, tags = [route.function!] } = words;
    return {
      operationId,
      tags,
      ...(summary === undefined ? {} : { summary }),
      ...(description === undefined ? {} : { description }),
      ...(deprecated === undefined ? {} : { deprecated }),
      'x-virga-function': route.function,
      ...(parameters.length === 0 ? {} : { parameters }),
      ...(body === undefined ? {} : { requestBody: body }),
      responses: this.#responses(rules, {
        operationId,
        secured: security !== undefined,
        hasBody: body !== undefined,
        checked: body !== undefined || parameters.length > 0,
      }),
      ...(security === undefined ? {} : { security }),
    };
  }

  #idOf(route: Route, method: string, wanted: string | undefined): string {
    const several = (this.#operations.get(route.function!) ?? 0) > 1;
    const words = [...route.path.matchAll(/[A-Za-z0-9_]+/g)].map(([word]) => word);
    const plain = wanted ?? (several ? [route.function!, method.toLowerCase(), ...words].join('-') : route.function!);
    let id = plain;
    for (let number = 2; this.#ids.has(id); number++) id = `${plain}-${number}`;
    this.#ids.add(id);
    return id;
  }

  #parameters(route: Route, { params = {}, query = {}, headers = {} }: ValidateRules, operationId: string): Mapping[] {
    const own = [...route.path.matchAll(PARAMETER)].map((match) => ({ name: match[1]!, greedy: match[0].endsWith('+}') }));
    const names = [...this.templateOf(route.path).matchAll(PARAMETER)].map((match) => match[1]!);
    return [
      ...own.map(({ name, greedy }, index) => ({
        name: names[index],
        in: 'path',
        required: true,
        ...this.#parameter(params[name] ?? { type: 'string' }, `${operationId}-${name}`),
        ...(greedy ? { 'x-virga-rest': true } : {}),
      })),
      ...this.#named('query', query, operationId),
      ...this.#named('header', headers, operationId),
    ];
  }

  #named(location: 'query' | 'header', all: Record<string, unknown>, operationId: string): Mapping[] {
    // By name: the records that the routes are kept in know no order.
    return Object.entries(all)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, rules]) => {
        const { required, explode } = rules as { required?: boolean; explode?: boolean };
        return {
          name,
          in: location,
          ...(required === true ? { required } : {}),
          ...(explode === false && location === 'query' ? { explode } : {}),
          ...this.#parameter(rules, `${operationId}-${name}`),
        };
      });
  }

  #parameter(rules: unknown, name: string): Mapping {
    const { required: _required, explode: _explode, description, ...schema } = rules as Mapping;
    return { ...(description === undefined ? {} : { description }), schema: this.#components.embed(schema, name) };
  }

  #body(written: unknown, operationId: string): Mapping {
    const { schema, contentTypes, required } = bodyRules(written);
    const types = contentTypes.includes('application/json') ? contentTypes.filter((type) => type !== 'application/*+json') : contentTypes;
    const media = schema === undefined ? {} : { schema: this.#components.embed(schema, `${operationId}-body`) };
    const content = Object.fromEntries(types.map((type) => [type, type.includes('json') ? media : {}]));
    return { ...(required ? { required } : {}), content };
  }

  #responses(rules: ValidateRules, is: { operationId: string; secured: boolean; hasBody: boolean; checked: boolean }): Mapping {
    const answers: Mapping = {};
    for (const [status, schema] of Object.entries(rules.response ?? {})) {
      const name = `${is.operationId}-${status}`;
      const description = isMapping(schema) && typeof schema['description'] === 'string' ? schema['description'] : describedStatus(status);
      answers[status] = { description, content: { 'application/json': { schema: this.#components.embed(schema, name) } } };
    }
    const error = (status: string, description: string, type: string, schema: string): void => {
      answers[status] ??= { description, content: { [type]: { schema: { $ref: `#/components/schemas/${schema}` } } } };
    };
    if (is.checked) error('400', 'The request is not what this takes.', 'application/problem+json', 'Problem');
    if (is.secured) error('401', 'Who calls is not known.', 'application/json', 'Error');
    if (is.secured) error('403', 'Who calls may not do this.', 'application/json', 'Error');
    if (is.hasBody) error('413', 'The body is too large.', 'application/json', 'Error');
    if (is.hasBody) error('415', 'Bodies of this type are not taken.', 'application/problem+json', 'Problem');
    if (answers['default'] === undefined) answers['default'] = { description: 'What the function answers.' };
    return answers;
  }
}

function describedStatus(status: string): string {
  return status === 'default' ? 'Any other answer.' : status.startsWith('2') ? 'It is done.' : `An answer with status ${status}.`;
}
