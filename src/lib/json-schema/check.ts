// Whether a JSON Schema of a tenant may be served: sound as 2020-12 says, within bounds, every pattern linear, every reference within
// the document and to a schema, none that never ends. Invariant: a schema without problems compiles (compile.ts) in little time,
// and a misspelt keyword is a problem, since it would check nothing. Called where a manifest is read and where a deployment arrives.
import { closestWord } from '../closest-word.ts';
import {
  BOOLEAN_KEYS,
  COUNT_KEYS,
  IN_PLACE_KEYS,
  KEYWORDS,
  NUMBER_KEYS,
  REMEDIES,
  SCHEMA_KEYS,
  SCHEMA_LIST_KEYS,
  SCHEMA_MAP_KEYS,
  TEXT_KEYS,
  TYPES,
  VALUE_KEYS,
} from './keywords.ts';
import { linearPattern } from './pattern.ts';
import { isObject, pointerTokens, valueAt } from './refs.ts';
import type { JsonObject, Path } from './refs.ts';

export interface SchemaProblem {
  path: Path;
  /** A sentence of its own. */
  message: string;
}

const NODES_MAX = 5_000;
const DEPTH_MAX = 64;
const BYTES_MAX = 256 * 1024;
const ENUM_MAX = 1_000;
const PROBLEMS_MAX = 20;
const PATTERNS_MAX = 100;
/** All patterns of one schema together; each step is some 100 bytes once it is compiled. */
const PATTERN_STEPS_MAX = 5_000;

export function schemaProblems(schema: unknown): SchemaProblem[] {
  const check = new SchemaCheck(schema);
  return check.problems();
}

class SchemaCheck {
  readonly #root: unknown;
  readonly #problems: SchemaProblem[] = [];
  /** Every schema of the document, with its place. */
  readonly #schemas = new Map<JsonObject, Path>();
  readonly #anchors = new Map<string, JsonObject>();
  readonly #references: { ref: string; path: Path; from: JsonObject }[] = [];
  readonly #patterns = new Set<string>();
  #nodes = 0;
  #patternSteps = 0;
  #tooLarge = false;

  constructor(root: unknown) {
    this.#root = root;
  }

  problems(): SchemaProblem[] {
    this.#schema(this.#root, [], 0);
    if (!this.#tooLarge) {
      const bytes = Buffer.byteLength(JSON.stringify(this.#root) ?? '');
      if (bytes > BYTES_MAX) this.#problem([], `the schema has ${bytes} bytes; at most ${BYTES_MAX} are taken`);
      this.#resolve();
      if (this.#problems.length === 0) this.#endless();
    }
    return this.#problems.slice(0, PROBLEMS_MAX);
  }

  #problem(path: Path, message: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ path, message });
  }

  /** Whether the walk may go on. */
  #count(path: Path, depth: number): boolean {
    if (this.#tooLarge) return false;
    if (++this.#nodes > NODES_MAX) this.#problem([], `the schema has more than ${NODES_MAX} values`);
    else if (depth > DEPTH_MAX) this.#problem(path.slice(0, 8), `the schema is nested more than ${DEPTH_MAX} deep`);
    else return true;
    this.#tooLarge = true;
    return false;
  }

  #schema(schema: unknown, path: Path, depth: number): void {
    if (!this.#count(path, depth) || typeof schema === 'boolean') return;
    if (!isObject(schema)) return this.#problem(path, 'a schema is a mapping such as {type: string}, true or false');
    this.#schemas.set(schema, path);
    for (const [key, value] of Object.entries(schema)) this.#keyword(key, value, { schema, path: [...path, key], depth });
    for (const [low, high] of [
      ['minLength', 'maxLength'],
      ['minItems', 'maxItems'],
      ['minimum', 'maximum'],
      ['minProperties', 'maxProperties'],
    ] as const)
      if ((schema[low] as number) > (schema[high] as number))
        this.#problem([...path, low], `${low} is ${String(schema[low])} and ${high} is ${String(schema[high])}: nothing could match`);
  }

  #keyword(key: string, value: unknown, { schema, path, depth }: { schema: JsonObject; path: Path; depth: number }): void {
    const expect = (holds: boolean, what: string): void => {
      if (!holds) this.#problem(path, `${key} is ${shown(value)}; expected ${what}`);
    };
    if (SCHEMA_KEYS.includes(key)) {
      if (key === 'items' && Array.isArray(value)) return this.#problem(path, 'items is a list, as in draft 7; use prefixItems for it');
      return this.#schema(value, path, depth + 1);
    }
    if (SCHEMA_MAP_KEYS.includes(key)) {
      if (!isObject(value)) return expect(false, 'schemas by name');
      for (const [name, one] of Object.entries(value)) {
        if (key === 'patternProperties') this.#pattern(name, [...path, name]);
        this.#schema(one, [...path, name], depth + 1);
      }
      return;
    }
    if (SCHEMA_LIST_KEYS.includes(key)) {
      if (!Array.isArray(value) || value.length === 0) return expect(false, 'a list of schemas');
      return value.forEach((one, index) => this.#schema(one, [...path, index], depth + 1));
    }
    if (COUNT_KEYS.includes(key)) return expect(Number.isSafeInteger(value) && (value as number) >= 0, 'a whole number from 0');
    if (NUMBER_KEYS.includes(key)) {
      const remedy = typeof value === 'boolean' ? 'a number (true is of draft 4: move the bound here)' : 'a number';
      return expect(Number.isFinite(value), remedy);
    }
    if (TEXT_KEYS.includes(key)) return this.#text(key, value, path);
    if (BOOLEAN_KEYS.includes(key)) return expect(typeof value === 'boolean', 'true or false');
    if (VALUE_KEYS.includes(key)) return this.#plain(value, path, depth);
    switch (key) {
      case 'type': {
        const types = Array.isArray(value) ? (value as unknown[]) : [value];
        return expect(
          types.length > 0 && types.every((type) => TYPES.includes(type as string)),
          `one of ${TYPES.join(', ')}, or a list of them`,
        );
      }
      case 'enum':
        expect(Array.isArray(value) && value.length > 0 && value.length <= ENUM_MAX, `a list of 1 to ${ENUM_MAX} values`);
        return this.#plain(value, path, depth);
      case 'required':
        return expect(isNames(value), 'a list of names, each once');
      case 'dependentRequired':
        return expect(isObject(value) && Object.values(value).every(isNames), 'lists of names by name');
      case 'multipleOf':
        return expect(Number.isFinite(value) && (value as number) > 0, 'a number above 0');
      case 'pattern':
        return typeof value === 'string' ? this.#pattern(value, path) : expect(false, 'a regular expression');
      case '$anchor':
        if (typeof value !== 'string' || !/^[A-Za-z_][\w.-]*$/.test(value)) return expect(false, 'a name');
        if (this.#anchors.has(value)) return this.#problem(path, `the anchor ${value} is there twice`);
        this.#anchors.set(value, schema);
        return;
      case '$ref':
        if (typeof value !== 'string') return expect(false, 'a reference such as "#/$defs/Note"');
        this.#references.push({ ref: value, path, from: schema });
        return;
    }
    if (key.startsWith('x-')) return this.#plain(value, path, depth);
    const near = closestWord(key, KEYWORDS);
    const remedy = REMEDIES[key] ?? (near === undefined ? 'it would check nothing (extensions begin with x-)' : `did you mean '${near}'?`);
    this.#problem(path, `'${key.slice(0, 80)}' is no keyword of JSON Schema 2020-12; ${remedy}`);
  }

  #text(key: string, value: unknown, path: Path): void {
    if (typeof value !== 'string') return this.#problem(path, `${key} is ${shown(value)}; expected a text`);
    if (key === '$id' && path.length > 1) this.#problem(path, '$id below the top would move what references mean; leave it out');
    if (key === '$schema' && !value.startsWith('https://json-schema.org/draft/2020-12/schema'))
      this.#problem(
        path,
        `$schema is ${shown(value)}; expected https://json-schema.org/draft/2020-12/schema, the dialect that is checked here`,
      );
  }

  #plain(value: unknown, path: Path, depth: number): void {
    if (!this.#count(path, depth)) return;
    if (typeof value === 'number' && !Number.isFinite(value)) return this.#problem(path, 'JSON has no such number');
    if (typeof value !== 'object' || value === null) return;
    for (const [key, one] of Object.entries(value))
      this.#plain(one, Array.isArray(value) ? [...path, Number(key)] : [...path, key], depth + 1);
  }

  #pattern(source: string, path: Path): void {
    if (this.#patterns.has(source)) return;
    this.#patterns.add(source);
    if (this.#patterns.size > PATTERNS_MAX) {
      if (this.#patterns.size === PATTERNS_MAX + 1) this.#problem(path, `the schema has more than ${PATTERNS_MAX} patterns`);
      return;
    }
    const pattern = linearPattern(source);
    if (typeof pattern === 'string') return this.#problem(path, `the pattern ${shown(source)} is not taken; expected one that ${pattern}`);
    this.#patternSteps += pattern.cost;
    if (this.#patternSteps > PATTERN_STEPS_MAX && this.#patternSteps - pattern.cost <= PATTERN_STEPS_MAX)
      this.#problem(path, `the patterns of the schema make more than ${PATTERN_STEPS_MAX} steps together`);
  }

  #resolve(): void {
    for (const { ref, path } of this.#references) {
      const target = this.#target(ref);
      if (typeof target === 'boolean' || (isObject(target) && this.#schemas.has(target))) continue;
      const remote = !ref.startsWith('#');
      const why = remote
        ? 'a reference leads to a place in the same document, or in virga.yaml to a file of the project; others are not fetched'
        : target === undefined
          ? 'there is nothing at that place'
          : 'what stands there is no schema';
      this.#problem(path, `$ref is ${shown(ref)}: ${why}`);
    }
  }

  #target(ref: string): unknown {
    const tokens = pointerTokens(ref);
    if (tokens !== undefined) return valueAt(this.#root, tokens);
    return ref.startsWith('#') ? this.#anchors.get(ref.slice(1)) : undefined;
  }

  /** Schemas that come back to themselves about the same value. */
  #endless(): void {
    const refs = new Map(this.#references.map(({ from, ref }) => [from, this.#target(ref)]));
    const done = new Set<JsonObject>();
    const open = new Set<JsonObject>();
    const visit = (schema: unknown): boolean => {
      if (!isObject(schema) || done.has(schema)) return false;
      if (open.has(schema)) {
        this.#problem(this.#schemas.get(schema) ?? [], 'the references of this schema lead back to itself before anything is checked');
        return true;
      }
      open.add(schema);
      const further = IN_PLACE_KEYS.flatMap((key) => {
        const value = schema[key];
        return Array.isArray(value) ? (value as unknown[]) : key === 'dependentSchemas' && isObject(value) ? Object.values(value) : [value];
      });
      const found = [refs.get(schema), ...further].some(visit);
      open.delete(schema);
      done.add(schema);
      return found;
    };
    for (const schema of this.#schemas.keys()) if (visit(schema)) return;
  }
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string') && new Set(value).size === value.length;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'empty';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
