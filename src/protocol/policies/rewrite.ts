// `rewrite` of a route (what the function sees of the request) and `response` (what the client sees of the answer).
// Invariant: nothing that frames a message or names its sender can be set, and no value can hold a line break.
// Enforced by gateway/rewrite/.
import { z } from 'zod';
import { headerName } from './words.ts';

const ENTRIES_MAX = 50;
const PATH_LENGTH_MAX = 1_024;
/** Those of the connection, and what Virga itself says of the request. */
const REFUSED = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'traceparent',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
]);
const refused = (name: string): boolean => REFUSED.has(name.toLowerCase()) || name.toLowerCase().startsWith('x-forwarded-');

const ownHeader = headerName.superRefine((name, context) => {
  if (refused(name)) context.addIssue({ code: 'custom', message: `${name} is Virga's to say`, params: { rule: true } });
});
const valueError = 'a text of printable ASCII, at most 4096 characters, without spaces around it';
const headerValue = z.string({ error: valueError }).regex(/^(?:[\x21-\x7e](?:[\t\x20-\x7e]{0,4094}[\x21-\x7e])?)?$/, { error: valueError });
const headerValues = z
  .record(ownHeader, headerValue, { error: 'names and values of headers' })
  .refine((all) => Object.keys(all).length <= ENTRIES_MAX, { error: `at most ${ENTRIES_MAX} headers` });
const headerNames = z
  .array(ownHeader, { error: 'a list of names of headers' })
  .max(ENTRIES_MAX, { error: `at most ${ENTRIES_MAX} headers` });

const pathError = 'a path such as /v2/{rest}, without a query';
const parameterName = z.string().min(1).max(256);
const path = z
  .string({ error: pathError })
  .max(PATH_LENGTH_MAX, { error: pathError })
  .regex(/^\/(?:[\x21\x24-\x3e\x40-\x5b\x5d-\x7a\x7e]|\{[A-Za-z_][A-Za-z0-9_]{0,63}\+?\})*$/, { error: pathError });

const requestRules = z.strictObject(
  {
    path: path
      .optional()
      .describe('The path that the function sees; `{name}` stands for a parameter of the route, e.g. `/v2/{rest}`. The query stays.'),
    setHeaders: headerValues.optional().describe('Headers that the function sees, whatever the client sent.'),
    removeHeaders: headerNames.optional().describe('Headers that the function does not see.'),
    setQuery: z
      .record(parameterName, z.string().max(4_096), { error: 'names and values of parameters' })
      .refine((all) => Object.keys(all).length <= ENTRIES_MAX, { error: `at most ${ENTRIES_MAX} parameters` })
      .optional()
      .describe('Parameters of the query that the function sees, whatever the client sent.'),
    removeQuery: z
      .array(parameterName, { error: 'a list of names of parameters' })
      .max(ENTRIES_MAX, { error: `at most ${ENTRIES_MAX} parameters` })
      .optional()
      .describe('Parameters of the query that the function does not see.'),
  },
  { error: 'what to change, such as {path: /v2/{rest}}' },
);
const answerRules = z.strictObject(
  {
    setHeaders: headerValues.optional().describe('Headers of every answer, whatever the function said.'),
    removeHeaders: headerNames.optional().describe('Headers that no client sees.'),
  },
  { error: 'what to change, such as {removeHeaders: [x-powered-by]}' },
);

export const rewrite = requestRules.describe('What the function sees of the request, where that is not what the client sent.');
export const response = answerRules.describe('What the client sees of the answer, where that is not what the function said.');
export type RewriteRules = z.infer<typeof requestRules>;
export type ResponseRules = z.infer<typeof answerRules>;

export const rewriteExample = `A function that knows \`/v2/…\` alone serves the old paths too:

    http:
      - path: /api/{rest+}
        rewrite: {path: "/v2/{rest}", setHeaders: {x-edge: virga}, removeQuery: [debug]}`;

export const responseExample = `For all routes of the project:

    gateway:
      defaults:
        response: {setHeaders: {x-frame-options: DENY}, removeHeaders: [x-powered-by]}`;
