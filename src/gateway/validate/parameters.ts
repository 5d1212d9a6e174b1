// Parameters of path, query and headers as values: text becomes a number or a truth value where the schema asks for one, and a list
// where it asks for that, in OpenAPI's usual styles (form, exploded, in a query; simple elsewhere). Invariant: what is found wrong names
// the parameter, never its value. Called by validate.ts.
import { compileSchema } from '../../lib/json-schema/compile.ts';
import type { CompiledSchema, Limits } from '../../lib/json-schema/compile.ts';
import { isObject, pointerText, pointerTokens, valueAt } from '../../lib/json-schema/refs.ts';

export type Location = 'path' | 'query' | 'header';

export interface RequestProblem {
  in: Location | 'body';
  pointer: string;
  message: string;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const NUMBER_LENGTH_MAX = 400;
const REFERENCES_MAX = 20;

export class ParameterCheck {
  readonly #in: Location;
  readonly #name: string;
  readonly #required: boolean;
  /** Between commas instead of again and again. */
  readonly #joined: boolean;
  readonly #types: ReadonlySet<string>;
  readonly #itemTypes: ReadonlySet<string> | undefined;
  readonly #schema: CompiledSchema;

  /** `rules`: a schema with `required` and `explode` beside its keywords. */
  constructor(location: Location, name: string, rules: unknown) {
    const { required, explode, ...schema } = rules as Record<string, unknown>;
    this.#in = location;
    this.#name = name;
    this.#required = required === true || location === 'path';
    this.#joined = location !== 'query' || explode === false;
    this.#types = typesOf(schema, schema);
    this.#itemTypes = this.#types.has('array') ? typesOf(itemsOf(schema, schema), schema) : undefined;
    this.#schema = compileSchema(schema);
  }

  get name(): string {
    return this.#name;
  }

  /** `texts`: as often as it was given. */
  problems(texts: readonly string[], limits: Limits, found: RequestProblem[]): void {
    if (texts.length === 0) {
      if (this.#required) this.#add('is missing', [], found);
      return;
    }
    if (this.#itemTypes === undefined && texts.length > 1) return this.#add('is there more than once', [], found);
    const value = this.#valueOf(texts);
    let problems = this.#schema.problems(value, limits);
    // What looks like a number may be meant as a text.
    if (problems.length > 0 && value !== texts[0] && this.#itemTypes === undefined && this.#types.has('string')) {
      if (this.#schema.problems(texts[0], limits).length === 0) problems = [];
    }
    for (const { pointer, message } of problems) this.#add(this.#in === 'header' ? discreet(message) : message, pointer, found);
  }

  #valueOf(texts: readonly string[]): unknown {
    if (this.#itemTypes === undefined) return coerced(texts[0]!, this.#types);
    const items = this.#joined ? texts.flatMap((text) => text.split(',')) : texts;
    return items.map((text) => coerced(this.#in === 'header' ? text.trim() : text, this.#itemTypes!));
  }

  #add(message: string, below: string | [], found: RequestProblem[]): void {
    const rest = typeof below === 'string' ? below.slice(1) : '';
    found.push({ in: this.#in, pointer: pointerText([this.#name]) + rest, message });
  }
}

/** What a header may be is not told to who guesses. */
function discreet(message: string): string {
  return /^must (?:be (?:one of )?(?:["\d[{-]|true$|false$|null$)|match )/.test(message) ? 'is not what it must be' : message;
}

function coerced(text: string, types: ReadonlySet<string>): unknown {
  if ((types.has('number') || types.has('integer')) && text.length <= NUMBER_LENGTH_MAX && NUMBER.test(text)) {
    const number = Number(text);
    if (Number.isFinite(number)) return number;
  }
  if (types.has('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** The types that a schema names, itself or by what it is put together from; empty: any text. */
function typesOf(schema: unknown, root: unknown, types = new Set<string>(), left = { references: REFERENCES_MAX }): Set<string> {
  if (!isObject(schema)) return types;
  const { type, enum: values, const: value, $ref, allOf, anyOf, oneOf } = schema;
  for (const one of [type].flat()) if (typeof one === 'string') types.add(one);
  if (type === undefined)
    for (const one of [...((values as unknown[] | undefined) ?? []), value]) if (one !== undefined) types.add(typeof one);
  if (typeof $ref === 'string' && left.references-- > 0) typesOf(valueAt(root, pointerTokens($ref) ?? ['']), root, types, left);
  for (const list of [allOf, anyOf, oneOf]) if (Array.isArray(list)) for (const one of list) typesOf(one, root, types, left);
  return types;
}

function itemsOf(schema: unknown, root: unknown, left = REFERENCES_MAX): unknown {
  if (!isObject(schema) || schema['items'] !== undefined || left === 0) return isObject(schema) ? schema['items'] : undefined;
  const { $ref } = schema;
  return typeof $ref === 'string' ? itemsOf(valueAt(root, pointerTokens($ref) ?? ['']), root, left - 1) : undefined;
}
