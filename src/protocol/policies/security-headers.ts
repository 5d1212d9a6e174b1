// `securityHeaders` of a route: what browsers are told to forbid. Enforced by gateway/security-headers/.
// Invariant: a value is printable ASCII in one line, so that it can only ever be one header.
import { z } from 'zod';

const VALUE_LENGTH_MAX = 4_096;

const text = (what: string) => {
  const error = `${what} in one line of printable ASCII, or false`;
  return z
    .union([z.literal(false), z.string({ error }).regex(new RegExp(`^[!-~](?:[ -~]{0,${VALUE_LENGTH_MAX - 2}}[!-~])?$`), { error })], {
      error,
    })
    .optional();
};
const word = <const T extends readonly string[]>(...words: T) => {
  const error = `${words.join(', ')} or false`;
  return z.union([z.literal(false), z.enum(words, { error })], { error }).optional();
};

const rules = z.strictObject(
  {
    contentTypeOptions: word('nosniff').describe('X-Content-Type-Options. Without it `nosniff`.'),
    referrerPolicy: word(
      'no-referrer',
      'no-referrer-when-downgrade',
      'origin',
      'origin-when-cross-origin',
      'same-origin',
      'strict-origin',
      'strict-origin-when-cross-origin',
      'unsafe-url',
    ).describe('Referrer-Policy. Without it `strict-origin-when-cross-origin`.'),
    frameOptions: word('DENY', 'SAMEORIGIN').describe(
      'X-Frame-Options, and with it the `frame-ancestors` of the Content-Security-Policy unless that is given. Without it `SAMEORIGIN`.',
    ),
    contentSecurityPolicy: text('a Content-Security-Policy').describe(
      "Content-Security-Policy. Without it `default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'self'`.",
    ),
    permissionsPolicy: text('a Permissions-Policy').describe(
      'Permissions-Policy. Without it `camera=(), geolocation=(), microphone=(), payment=(), usb=()`.',
    ),
    crossOriginOpenerPolicy: word('same-origin', 'same-origin-allow-popups', 'noopener-allow-popups', 'unsafe-none').describe(
      'Cross-Origin-Opener-Policy. Without it `same-origin`.',
    ),
    crossOriginResourcePolicy: word('same-origin', 'same-site', 'cross-origin').describe('Cross-Origin-Resource-Policy. Without it none.'),
    crossOriginEmbedderPolicy: word('require-corp', 'credentialless', 'unsafe-none').describe(
      'Cross-Origin-Embedder-Policy. Without it none.',
    ),
    override: z
      .boolean({ error: 'true or false' })
      .optional()
      .describe('Whether a header that the function set itself is replaced. Without it the function’s stays.'),
  },
  { error: 'headers such as {frameOptions: DENY}' },
);

const error = 'true, false, or headers such as {frameOptions: DENY}';
export const securityHeaders = z
  .union([z.boolean({ error }), rules], { error })
  .describe(
    'Headers that make browsers careful, on every answer of the route, errors too. `true`: a sensible set; otherwise what differs from it, a header that is `false` is left out. What the function sets itself stays.',
  );

export type SecurityHeaderRules = z.infer<typeof rules>;

export const securityHeadersExample = `The sensible set for all routes, and a page that may load scripts from a CDN and may not be framed at all:

    gateway:
      defaults:
        securityHeaders: true
    functions:
      page:
        source: page.ts
        http:
          - path: /
            securityHeaders:
              frameOptions: DENY
              contentSecurityPolicy: "default-src 'self'; script-src 'self' https://cdn.example.com; frame-ancestors 'none'"
              permissionsPolicy: false`;
