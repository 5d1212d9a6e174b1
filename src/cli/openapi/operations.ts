// The operations of an OpenAPI document (3.0, 3.1) as routes: paths, what is checked of requests, who may call. Invariant: what cannot be
// said in Virga's terms is noted with its place, never passed over; a reference is followed within the project alone. Used by
// cli/import/openapi (a manifest is written) and cli/manifest/openapi-routes.ts (routes are taken at each deploy).
import { schemaProblems } from '../../lib/json-schema/check.ts';
import { isObject, pointerTokens, valueAt } from '../../lib/json-schema/refs.ts';
import type { JsonObject } from '../../lib/json-schema/refs.ts';
import type { HttpMethod } from '../../protocol/http-methods.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import type { ProjectDocuments } from '../manifest/project-documents.ts';
import { bundled } from '../manifest/schema-references.ts';
import type { Base } from '../manifest/schema-references.ts';
import { Bodies } from './bodies.ts';
import type { DocumentPath, Note, Reading } from './reading.ts';
import { parameterRules } from './parameters.ts';

export interface Operation {
  at: DocumentPath;
  method: HttpMethod;
  path: string;
  operationId: string | undefined;
  tags: string[];
  /** `x-virga-function`. */
  function: string | undefined;
  policy: RoutePolicy;
  /** Alternatives, each with all that it needs; undefined: anybody may call. */
  security: Record<string, string[]>[] | undefined;
  /** Of its first answer, for who writes the function. */
  example: unknown;
}

export interface Operations {
  operations: Operation[];
  notes: Note[];
}

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const OPERATIONS_MAX = 2_000;
const TEXT_MAX = 5_000;

/** Throws Error with what is wrong with the document as a whole. */
export function operationsOf(base: Base, documents: ProjectDocuments): Operations {
  const { root } = base;
  if (!isObject(root)) throw new Error('it is no OpenAPI document');
  if (root['swagger'] !== undefined) throw new Error('it is Swagger 2.0; convert it to OpenAPI 3 first (for example with swagger2openapi)');
  if (!/^3\.[01]\.\d+$/.test(String(root['openapi'])))
    throw new Error(`openapi is ${JSON.stringify(root['openapi'] ?? null)}; expected 3.0 or 3.1`);
  return new OperationReader(base, documents).read(root);
}

class OperationReader implements Reading {
  readonly notes: Note[] = [];
  readonly #base: Base;
  readonly #documents: ProjectDocuments;

  constructor(base: Base, documents: ProjectDocuments) {
    this.#base = base;
    this.#documents = documents;
  }

  read(root: JsonObject): Operations {
    const operations: Operation[] = [];
    const paths = isObject(root['paths']) ? root['paths'] : {};
    for (const [path, written] of Object.entries(paths)) {
      if (path.startsWith('x-')) continue;
      const { value: item, base } = this.resolved(written, this.#base);
      if (!isObject(item)) {
        this.notes.push({ fate: 'left', at: ['paths', path], what: `path ${path}`, note: 'expected operations by method' });
        continue;
      }
      for (const method of METHODS) {
        if (!isObject(item[method])) continue;
        if (method === 'trace')
          this.notes.push({
            fate: 'left',
            at: ['paths', path, method],
            what: `TRACE ${path}`,
            note: 'the gateway refuses this method everywhere',
          });
        else if (operations.length < OPERATIONS_MAX) operations.push(this.#operation(root, { path, method, item, base }));
        else throw new Error(`it has more than ${OPERATIONS_MAX} operations`);
      }
    }
    return { operations, notes: this.notes };
  }

  #operation(root: JsonObject, { path, method, item, base }: { path: string; method: string; item: JsonObject; base: Base }): Operation {
    const operation = item[method] as JsonObject;
    const at = ['paths', path, method];
    const { operationId, tags, summary, description, deprecated, security = root['security'] } = operation;
    const texts = (Array.isArray(tags) ? (tags as unknown[]) : []).filter((tag) => typeof tag === 'string');
    const words = {
      ...(typeof summary === 'string' && summary !== '' ? { summary: summary.slice(0, 300) } : {}),
      ...(typeof description === 'string' && description !== '' ? { description: description.slice(0, TEXT_MAX) } : {}),
      ...(typeof operationId === 'string' && /^[A-Za-z0-9_.~-]{1,100}$/.test(operationId) ? { operationId } : {}),
      ...(texts.length > 0 ? { tags: texts.slice(0, 20).map((tag) => tag.slice(0, 100)) } : {}),
      ...(deprecated === true ? { deprecated } : {}),
    };
    const parameters = parameterRules(this, { item, operation, base, at });
    const bodies = new Bodies(this, at);
    const body = bodies.request(operation['requestBody'], base);
    const response = bodies.responses(operation['responses'], base);
    const validate = { ...parameters, ...(body === undefined ? {} : { body }), ...(response === undefined ? {} : { response }) };
    for (const key of ['callbacks', 'servers'])
      if (operation[key] !== undefined)
        this.notes.push({ fate: 'left', at: [...at, key], what: key, note: 'Virga has no counterpart for it' });
    const named = operation['x-virga-function'];
    return {
      at,
      method: method.toUpperCase() as HttpMethod,
      path: this.#isRest(item, operation, base) ? path.replace(/\}$/, '+}') : path,
      operationId: typeof operationId === 'string' ? operationId : undefined,
      tags: texts,
      function: typeof named === 'string' ? named : undefined,
      policy: {
        ...(Object.keys(validate).length === 0 ? {} : { validate }),
        ...(Object.keys(words).length === 0 ? {} : { openapi: words }),
      },
      security: requirements(security),
      example: bodies.example,
    };
  }

  /** A document that Virga served says so of a parameter that takes the rest of the path. */
  #isRest(item: JsonObject, operation: JsonObject, base: Base): boolean {
    const all = [item['parameters'], operation['parameters']].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
    return all.some((one) => {
      const { value } = this.resolved(one, base);
      return isObject(value) && value['x-virga-rest'] === true;
    });
  }

  resolved(value: unknown, base: Base): { value: unknown; base: Base } {
    let at = { value, base };
    for (let steps = 0; steps < 20 && isObject(at.value) && typeof at.value['$ref'] === 'string'; steps++) {
      const [file, fragment = ''] = at.value['$ref'].split('#', 2) as [string, string?];
      let { base: from } = at;
      if (file !== '') {
        const path = file.replace(/^\.\//, '');
        const read = this.#documents.read(path);
        from = { file: path, root: typeof read === 'string' ? undefined : read.value };
      }
      at = { value: valueAt(from.root, pointerTokens(`#${fragment}`) ?? ['']), base: from };
    }
    return at;
  }

  schema(schema: unknown, base: Base, at: DocumentPath): unknown {
    const { schema: whole, problems } = bundled(schema, this.#documents, base);
    const [problem] = problems.length > 0 ? problems : schemaProblems(whole);
    if (problem === undefined) return whole;
    this.notes.push({ fate: 'left', at, what: 'schema', note: `${problem.message}; it is not checked`, grave: true });
    return undefined;
  }
}

/** undefined: anybody may call. */
function requirements(security: unknown): Record<string, string[]>[] | undefined {
  if (!Array.isArray(security) || security.length === 0) return undefined;
  const all = security
    .filter(isObject)
    .map((one) => Object.fromEntries(Object.entries(one).map(([name, scopes]) => [name, [scopes].flat().map(String)])));
  return all.some((one) => Object.keys(one).length === 0) ? undefined : all;
}
