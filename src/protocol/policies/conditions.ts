// What a request has to have beside path and method for a route to be taken: a host, headers, parameters of the query.
// Invariant: patterns have one `*` at most, so that holding a text against one costs its length. Enforced by gateway/conditions.ts.
import { z } from 'zod';
import { headerName } from './words.ts';

const ENTRIES_MAX = 16;
const HOSTS_MAX = 100;
/** Routes of one path that may differ by what they ask for: a request looks at each of them. */
export const ROUTES_OF_PATH_MAX = 200;
const VALUE_LENGTH_MAX = 1_024;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^(?:\\*\\.)?(?=[^*]{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
const hostError = 'a host such as api.example.com or *.example.com, in lower case and without a port';
const valueError = 'a text, a text with one * such as "2.*", or true (whatever its value); a number goes in quotes';

/** A name of a host; `*.` stands for one label before it. */
export const hostPattern = z.string({ error: hostError }).regex(HOST, { error: hostError });

const value = z.union(
  [
    z.literal(true),
    z
      .string()
      .max(VALUE_LENGTH_MAX)
      .refine((text) => text.split('*').length <= 2),
  ],
  { error: valueError },
);

function valuesOf(name: z.ZodString, what: string) {
  return z
    .record(name, value, { error: `names and values of ${what}` })
    .refine((all) => Object.keys(all).length > 0 && Object.keys(all).length <= ENTRIES_MAX, { error: `1 to ${ENTRIES_MAX} of ${what}` });
}

const headers = valuesOf(
  headerName.refine((name) => name === name.toLowerCase(), { error: 'a name of a header in lower case' }),
  'headers',
);
const queryName = z
  .string()
  .min(1)
  .max(256)
  .refine((name) => name !== '__proto__', { error: 'another name' });

export const conditionShape = {
  hosts: z
    .array(hostPattern, { error: 'a list of hosts' })
    .min(1, { error: 'a list of hosts' })
    .max(HOSTS_MAX, { error: `at most ${HOSTS_MAX} hosts` })
    .optional()
    .describe('Only requests for one of these hosts, e.g. `[api.example.com, "*.example.com"]`; `*.` stands for one label.'),
  headers: headers
    .optional()
    .describe(
      'Only requests with these headers: `{x-version: "2"}`, `{accept: "text/*"}` (one `*` for any text), `{x-beta: true}` (there at all).',
    ),
  query: valuesOf(queryName, 'parameters').optional().describe('Only requests with these parameters in the query, said as for `headers`.'),
};
export const CONDITION_KEYS = Object.keys(conditionShape) as (keyof typeof conditionShape)[];

export const conditions = z.strictObject(conditionShape);
export type Conditions = z.infer<typeof conditions>;

export const conditionsExample = `Several routes of one path and method may differ by what they ask for. The one that asks for more is tried first
(\`hosts\` is one, and so is each header and each parameter), of equals the one with the more exact values, then the one that names
the method; a request that has nothing of it goes to the route that asks for nothing:

    http:
      - /search
      - {path: /search, query: {engine: new}}
      - {path: /search, headers: {x-version: "2"}, hosts: [beta.example.com]}`;
