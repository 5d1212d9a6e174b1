// `$ref` to files of the project, followed before a manifest is checked: what they lead to is put under `$defs` of the schema that
// refers, so that a deployment is whole by itself. Invariant: a schema of OpenAPI 3.0 becomes what it means in JSON Schema 2020-12.
// Used by manifest.ts (validate) and openapi-routes.ts.
import { posix } from 'node:path';
import { SCHEMA_KEYS, SCHEMA_LIST_KEYS, SCHEMA_MAP_KEYS } from '../../lib/json-schema/keywords.ts';
import { isObject, pointerTokens, valueAt } from '../../lib/json-schema/refs.ts';
import type { JsonObject, Path } from '../../lib/json-schema/refs.ts';
import type { ProjectDocuments } from './project-documents.ts';

const SCHEMAS_MAX = 5_000;
const DEPTH_MAX = 200;

/** A file and its value; of a document that is not a file of the project, only the value. */
export interface Base {
  /** Relative to the folder of the manifest; empty: none. */
  file: string;
  root: unknown;
}

export interface ReferenceProblem {
  /** In the schema that was given. */
  path: Path;
  message: string;
}

/** The schema with all that it refers to in other files; `base`: where it stands itself, if that is a file. */
export function bundled(schema: unknown, documents: ProjectDocuments, base?: Base): { schema: unknown; problems: ReferenceProblem[] } {
  const bundle = new Bundle(documents, schema);
  const whole = bundle.copy(schema, base, [], []);
  const defs = bundle.definitions();
  if (!isObject(whole) || Object.keys(defs).length === 0) return { schema: whole, problems: bundle.problems };
  const own = isObject(whole['$defs']) ? whole['$defs'] : {};
  return { schema: { ...whole, $defs: { ...own, ...defs } }, problems: bundle.problems };
}

class Bundle {
  readonly problems: ReferenceProblem[] = [];
  readonly #documents: ProjectDocuments;
  /** By file and pointer, the name under `$defs`. */
  readonly #names = new Map<string, string>();
  readonly #definitions: JsonObject = {};
  readonly #taken: Set<string>;
  #schemas = 0;

  constructor(documents: ProjectDocuments, schema: unknown) {
    this.#documents = documents;
    this.#taken = new Set(isObject(schema) && isObject(schema['$defs']) ? Object.keys(schema['$defs']) : []);
  }

  definitions(): JsonObject {
    return this.#definitions;
  }

  /** `path`: in what was given, for problems; below a reference it stays that of the reference. */
  copy(schema: unknown, base: Base | undefined, path: Path, trail: readonly string[]): unknown {
    if (!isObject(schema)) return schema;
    if (++this.#schemas > SCHEMAS_MAX || path.length + trail.length > DEPTH_MAX) {
      if (this.problems.length === 0)
        this.problems.push({
          path: [],
          message: `there are more than ${SCHEMAS_MAX} schemas, or they refer to each other more than ${DEPTH_MAX} deep`,
        });
      return true;
    }
    const inside = trail.length > 0;
    const below = (one: unknown, ...keys: Path): unknown => this.copy(one, base, inside ? path : [...path, ...keys], trail);
    const out: JsonObject = {};
    for (const [key, value] of Object.entries(schema)) {
      if (SCHEMA_KEYS.includes(key) && isObject(value)) out[key] = below(value, key);
      else if (SCHEMA_LIST_KEYS.includes(key) && Array.isArray(value)) out[key] = value.map((one, index) => below(one, key, index));
      else if (SCHEMA_MAP_KEYS.includes(key) && isObject(value))
        out[key] = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, below(one, key, name)]));
      else if (key === '$ref' && typeof value === 'string')
        out[key] = this.#reference(value, base, { path: inside ? path : [...path, key], trail });
      else out[key] = value;
    }
    return isThreeZero(base?.root) ? modern(out) : out;
  }

  #reference(ref: string, base: Base | undefined, { path, trail }: { path: Path; trail: readonly string[] }): string {
    const [file, fragment = ''] = split(ref);
    if (file === '' && base === undefined) return ref; // within the schema that was given
    const problem = (message: string): string => {
      const via = trail.length === 0 ? '' : ` (in ${trail.at(-1)})`;
      this.problems.push({ path, message: `$ref is ${JSON.stringify(ref.slice(0, 200))}${via}: ${message}` });
      return ref;
    };
    if (/^[a-z][a-z0-9+.-]+:/i.test(file)) return problem('others are not fetched; make it a file of the project');
    const target = file === '' ? base! : { file: posix.join(posix.dirname(base?.file ?? ''), file), root: undefined as unknown };
    if (file !== '') {
      const read = this.#documents.read(target.file);
      if (typeof read === 'string') return problem(read);
      target.root = read.value;
    }
    const tokens = pointerTokens(`#${fragment}`);
    if (tokens === undefined) return problem('expected a JSON pointer behind #, such as #/$defs/Note');
    const found = valueAt(target.root, tokens);
    if (found === undefined) return problem(`there is nothing at that place${file === '' ? '' : ` of ${target.file}`}`);
    if (!isObject(found) && typeof found !== 'boolean') return problem('what stands there is no schema');
    const place = `${target.file}#${fragment}`;
    let name = this.#names.get(place);
    if (name === undefined) {
      name = this.#nameFor(tokens.at(-1) ?? posix.basename(target.file).replace(/\.[^.]*$/, ''));
      this.#names.set(place, name);
      // Before it is copied: it may refer to itself.
      this.#definitions[name] = true;
      this.#definitions[name] = this.copy(found, target, path, [...trail, place]);
    }
    return `#/$defs/${name}`;
  }

  #nameFor(wanted: string): string {
    const plain = wanted.replaceAll(/[^\w.-]+/g, '-') || 'schema';
    let name = plain;
    for (let number = 2; this.#taken.has(name) || name === '__proto__'; number++) name = `${plain}-${number}`;
    this.#taken.add(name);
    return name;
  }
}

function split(ref: string): [file: string, fragment: string | undefined] {
  const at = ref.indexOf('#');
  return at < 0 ? [ref, undefined] : [ref.slice(0, at), ref.slice(at + 1)];
}

export function isThreeZero(document: unknown): boolean {
  return isObject(document) && typeof document['openapi'] === 'string' && document['openapi'].startsWith('3.0');
}

/** What OpenAPI 3.0 says in ways of its own: https://spec.openapis.org/oas/v3.0.4.html#schema-object */
function modern({ nullable, exclusiveMinimum, exclusiveMaximum, minimum, maximum, ...schema }: JsonObject): JsonObject {
  const out: JsonObject = { ...schema };
  if (typeof schema['$ref'] === 'string') return { $ref: schema['$ref'] };
  if (nullable === true && typeof out['type'] === 'string') out['type'] = [out['type'], 'null'];
  if (nullable === true && Array.isArray(out['enum']) && !out['enum'].includes(null)) out['enum'] = [...(out['enum'] as unknown[]), null];
  const bound = (value: unknown, exclusive: unknown, names: [plain: string, exclusive: string]): void => {
    if (typeof exclusive === 'number') out[names[1]] = exclusive;
    if (value !== undefined) out[names[exclusive === true ? 1 : 0]] = value;
  };
  bound(minimum, exclusiveMinimum, ['minimum', 'exclusiveMinimum']);
  bound(maximum, exclusiveMaximum, ['maximum', 'exclusiveMaximum']);
  return out;
}
