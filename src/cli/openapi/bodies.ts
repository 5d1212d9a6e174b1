// What an operation takes and answers, as `validate.body` and `validate.response`, with the examples of both. Called by operations.ts.
import { isObject } from '../../lib/json-schema/refs.ts';
import { isJsonType } from '../../protocol/body-rules.ts';
import type { Base } from '../manifest/schema-references.ts';
import type { DocumentPath, Reading } from './reading.ts';
import { firstExample } from './parameters.ts';

const STATUS = /^(?:[1-5]\d\d|[1-5]XX|default)$/;

export class Bodies {
  readonly #reading: Reading;
  readonly #at: DocumentPath;
  /** Of the first answer that has one. */
  example: unknown;

  constructor(reading: Reading, at: DocumentPath) {
    this.#reading = reading;
    this.#at = at;
  }

  request(written: unknown, near: Base): unknown {
    const { value: body, base } = this.#reading.resolved(written, near);
    if (!isObject(body) || !isObject(body['content'])) return undefined;
    const at = [...this.#at, 'requestBody'];
    const { schema, types } = this.#content(body['content'], base, at);
    const required = body['required'] === true;
    if (types.length === 0) return undefined;
    const plain = types.length === 1 && types[0] === 'application/json';
    if (plain && required && schema !== undefined) return schema;
    return { ...(plain ? {} : { contentTypes: types }), ...(schema === undefined ? {} : { schema }), required };
  }

  responses(written: unknown, near: Base): Record<string, unknown> | undefined {
    const schemas: Record<string, unknown> = {};
    for (const [status, one] of Object.entries(isObject(written) ? written : {})) {
      const at = [...this.#at, 'responses', status];
      const { value: response, base } = this.#reading.resolved(one, near);
      if (!isObject(response) || !isObject(response['content']) || !STATUS.test(status)) continue;
      const { schema, example, types } = this.#content(response['content'], base, at);
      this.example ??= example;
      // What the gateway answers by itself is not the function's to fit.
      if (schema !== undefined && !isOurs(types, schema)) schemas[status] = schema;
    }
    return Object.keys(schemas).length === 0 ? undefined : schemas;
  }

  #content(content: Record<string, unknown>, base: Base, at: DocumentPath): { schema: unknown; example: unknown; types: string[] } {
    const types = Object.keys(content).map((type) => type.split(';', 1)[0]!.trim().toLowerCase());
    const json = Object.entries(content).filter(([type]) => isJsonType(type.split(';', 1)[0]!.trim().toLowerCase()));
    const [first, ...others] = json;
    if (first === undefined || !isObject(first[1])) return { schema: undefined, example: undefined, types };
    const [type, media] = first;
    const differing = others.filter(([, one]) => isObject(one) && JSON.stringify(one['schema']) !== JSON.stringify(media['schema']));
    for (const [other] of differing)
      this.#reading.notes.push({
        fate: 'left',
        at: [...at, 'content', other],
        what: other,
        note: `its schema is another than that of ${type}, which is what is checked`,
        grave: true,
      });
    const example = media['example'] ?? firstExample(media['examples']);
    let schema =
      media['schema'] === undefined ? undefined : this.#reading.schema(media['schema'], base, [...at, 'content', type, 'schema']);
    if (example !== undefined && isObject(schema) && schema['examples'] === undefined && schema['example'] === undefined)
      schema = { ...schema, examples: [example] };
    return { schema, example, types };
  }
}

/** Problem and Error of a document that Virga served. */
function isOurs(types: readonly string[], schema: unknown): boolean {
  const ref = isObject(schema) ? schema['$ref'] : undefined;
  return types.length === 1 && (ref === '#/$defs/Problem' || ref === '#/$defs/Error');
}
