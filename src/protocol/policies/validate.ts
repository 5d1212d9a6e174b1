// `validate` of a route: what a request has to look like, in JSON Schema 2020-12. Enforced by gateway/validate/. Invariant: a schema that
// passes here is bounded in size, and so is the time that each of its patterns takes (lib/json-schema/check.ts): it may run in the edge.
import { z } from 'zod';
import { schemaProblems } from '../../lib/json-schema/check.ts';
import { isObject } from '../../lib/json-schema/refs.ts';
import type { JsonObject, Path } from '../../lib/json-schema/refs.ts';
import { isLongBody } from '../body-rules.ts';
import { byteSize, headerName } from './words.ts';

const PARAMETERS_MAX = 100;
const DEPTH_MAX = 256;
const CONTENT_TYPE = /^[a-z0-9!#$&^_.+-]+\/(?:\*|\*?[a-z0-9!#$&^_.+-]+)$/i;
const STATUS = /^(?:[1-5]\d\d|[1-5]XX|default)$/;
const KIB = 1_024;

/** A schema, with `required` and `explode` beside its keywords. */
const parameter = z.unknown().superRefine((value, context) => {
  if (!isObject(value)) return issues(context, [{ path: [], message: 'a parameter is a schema such as {type: integer, required: true}' }]);
  const { required, explode, ...schema } = value;
  for (const [key, flag] of Object.entries({ required, explode }))
    if (flag !== undefined && typeof flag !== 'boolean')
      issues(context, [{ path: [key], message: `${key} of a parameter is true or false` }]);
  const composed = compositeType(schema);
  if (composed !== undefined) issues(context, [{ path: ['type'], message: composed }]);
  issues(context, schemaProblems(schema));
});

const query = parameters(z.string().min(1).max(256), 'parameters of the query by name, such as {limit: {type: integer}}');
const schema = z.unknown().superRefine((value, context) => issues(context, schemaProblems(value)));

/** A schema, or {schema, contentTypes, required}: see bodyRules. */
const body = z.unknown().superRefine((value, context) => {
  if (!isLongBody(value)) return issues(context, schemaProblems(value));
  const { schema: inner, contentTypes, required, ...rest } = value;
  for (const key of Object.keys(rest))
    issues(context, [{ path: [key], message: `'${key}' is no key of a body in long form; expected schema, contentTypes, required` }]);
  if (required !== undefined && typeof required !== 'boolean') issues(context, [{ path: ['required'], message: 'expected true or false' }]);
  if (contentTypes !== undefined) {
    const sound = Array.isArray(contentTypes) && contentTypes.length > 0 && contentTypes.length <= 20;
    if (!sound || !contentTypes.every((type) => typeof type === 'string' && CONTENT_TYPE.test(type)))
      issues(context, [{ path: ['contentTypes'], message: 'expected a list of content types such as [application/json, image/*]' }]);
  }
  if (inner !== undefined)
    issues(
      context,
      schemaProblems(inner).map(({ path, message }) => ({ path: ['schema', ...path], message })),
    );
});

const rules = z.strictObject(
  {
    params: parameters(z.string().regex(/^[A-Za-z_]\w{0,63}$/), 'parameters of the path by name, such as {id: {type: integer}}')
      .optional()
      .describe('Parameters of the path, by name: a schema each. Text becomes a number, true or false where the schema asks for one.'),
    query: query
      .optional()
      .describe(
        'Parameters of the query, by name: a schema each, with `required: true` beside its keywords where it must be there. A list is given as `?tag=a&tag=b`, or with `explode: false` as `?tag=a,b`. Others pass unchecked.',
      ),
    headers: parameters(headerName, 'headers by name, such as {x-tenant: {type: string, required: true}}')
      .optional()
      .describe('Headers, by name: as `query`; a list is given between commas. Their values are in no answer.'),
    body: body
      .optional()
      .describe(
        'The body: a schema, for JSON; or `{schema, contentTypes, required}`. Without `contentTypes` JSON is asked for (415 for the rest); of other types the type alone is checked. Without `required` it must be there, but for GET, HEAD and OPTIONS.',
      ),
    maxBody: byteSize({ min: 1, max: 64 * KIB * KIB })
      .optional()
      .describe('Largest body (413). Bodies that are checked are held in memory. Without it 1 MiB, where there is a `body`.'),
    maxDepth: z
      .int({ error: `a whole number from 1 to ${DEPTH_MAX}` })
      .min(1, { error: `a whole number from 1 to ${DEPTH_MAX}` })
      .max(DEPTH_MAX, { error: `a whole number from 1 to ${DEPTH_MAX}` })
      .optional()
      .describe('How deep objects and lists of a JSON body may be in each other. Without it 32.'),
    response: z
      .record(z.string().regex(STATUS, { error: 'a status such as "200", "4XX" or "default"' }), schema, {
        error: 'schemas by status, such as {"200": {type: object}}',
      })
      .optional()
      .describe(
        'What the function answers in JSON, by status (`"200"`, `"4XX"`, `default`). Checked in `virga dev` and with `validateResponses`.',
      ),
    validateResponses: z
      .boolean({ error: 'true or false' })
      .optional()
      .describe('Whether answers are held to `response` wherever the project is deployed: one that does not fit becomes a 502.'),
  },
  { error: 'rules such as {body: {type: object, required: [title]}}' },
);

export const validate = z
  .union([z.literal(false), rules], { error: 'rules such as {body: {type: object}}, or false' })
  .describe(
    'What a request has to look like, in JSON Schema 2020-12: schemas in place, or `$ref` to a place in a file of the project (`schemas/note.json#/$defs/Note`), or of an OpenAPI document. All that is wrong is told in one 400 (`application/problem+json`); the function gets what does pass as it was sent.',
  );

export type ValidateRules = z.infer<typeof rules>;

export const validateExample = `A note has a title and at most ten tags; the list of notes takes a number in its query:

    http:
      - path: /notes
        methods: [GET]
        validate:
          query: {limit: {type: integer, minimum: 1, maximum: 100}}
      - path: /notes
        methods: [POST]
        validate:
          maxBody: 64 KiB
          body:
            type: object
            required: [title]
            additionalProperties: false
            properties:
              title: {type: string, minLength: 1, maxLength: 200}
              tags: {type: array, maxItems: 10, items: {type: string, pattern: "^[a-z-]+$"}}`;

/** A name of `params` that the path does not have; undefined: there is none. */
export function strangeParameter(written: unknown, path: string): string | undefined {
  const names = isObject(written) && isObject(written['params']) ? Object.keys(written['params']) : [];
  return names.find((name) => !path.includes(`{${name}}`) && !path.includes(`{${name}+}`));
}

function parameters(names: z.ZodString, error: string) {
  return z
    .record(names, parameter, { error })
    .refine((all) => Object.keys(all).length <= PARAMETERS_MAX, { error: `at most ${PARAMETERS_MAX} parameters` });
}

/** Text between separators cannot hold objects, nor lists of lists. */
function compositeType({ type, items }: JsonObject): string | undefined {
  const types = [type].flat();
  if (types.includes('object')) return 'a parameter is a text, a number, true or false, or a list of those, not an object';
  const inner = isObject(items) ? [items['type']].flat() : [];
  return inner.includes('object') || inner.includes('array') ? 'the items of a parameter are texts, numbers, true or false' : undefined;
}

function issues(context: z.core.$RefinementCtx, problems: readonly { path: Path; message: string }[]): void {
  for (const { path, message } of problems) context.addIssue({ code: 'custom', path, message, params: { rule: true } });
}
