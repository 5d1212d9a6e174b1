// `cors` of a route: which pages of other origins may call it (https://fetch.spec.whatwg.org/#http-cors-protocol).
// Enforced by gateway/cors/.
import { z } from 'zod';
import { HTTP_METHODS } from '../http-methods.ts';
import { duration, headerName, origin } from './words.ts';

const LIST_MAX = 100;

const rules = z
  .strictObject(
    {
      origins: z
        .array(origin, { error: 'a list of origins' })
        .min(1, { error: 'a list of origins' })
        .max(LIST_MAX, { error: `at most ${LIST_MAX} origins` })
        .describe(
          'Origins whose pages may call: scheme, host and port if it is not the usual one. `*.` stands for any name below; "*" alone for every origin.',
        ),
      headers: z
        .array(headerName, { error: 'a list of names of headers' })
        .max(LIST_MAX, { error: `at most ${LIST_MAX} headers` })
        .optional()
        .describe('Request headers that pages may set. Without it: whatever they ask for.'),
      expose: z
        .array(headerName, { error: 'a list of names of headers' })
        .max(LIST_MAX, { error: `at most ${LIST_MAX} headers` })
        .optional()
        .describe('Headers of the answer that pages may read, beyond the simple ones.'),
      credentials: z
        .boolean({ error: 'true or false' })
        .optional()
        .describe('Whether pages may send cookies and Authorization. Then `origins` has to name them: "*" is refused.'),
      maxAge: duration({ min: 0, max: 86_400_000 })
        .optional()
        .describe('How long a browser may keep the answer to a preflight. Without it 10m.'),
      methods: z
        .array(z.enum(HTTP_METHODS, { error: `a method: ${HTTP_METHODS.join(', ')}` }), { error: 'a list of methods' })
        .min(1, { error: 'a list of methods' })
        .optional()
        .describe('Methods that pages may use. Without it those that the path has routes for.'),
    },
    { error: 'rules such as {origins: [https://app.example.com], credentials: true}' },
  )
  .superRefine((value, context) => {
    if (value.credentials !== true || !value.origins.includes('*')) return;
    const message = '"*" with credentials is what no browser accepts; name the origins';
    context.addIssue({ code: 'custom', path: ['origins'], message, params: { rule: true } });
  });

export const cors = z
  .union([z.literal(false), rules], { error: 'rules such as {origins: [https://app.example.com]}, or false' })
  .describe(
    'Which pages of other origins may call (CORS): their preflights are answered at the gateway, and every answer carries what the browser asks for. Without it the function answers for itself.',
  );

export type CorsRules = z.infer<typeof rules>;

export const corsExample = `Pages of one origin may call with cookies, for all routes of the project:

    gateway:
      defaults:
        cors: {origins: [https://app.example.com], credentials: true, expose: [etag]}`;
