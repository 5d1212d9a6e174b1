// The ways in which the gateway finds out who calls, as written under `gateway.auth` or beside a route. Secrets stand here
// by name alone. Invariant: exactly one way in each authenticator. Enforced by gateway/auth/, a file or folder each.
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { declaredName, duration, headerName, place, secretName } from './words.ts';

const LIST_MAX = 50;
const CLAIMS_MAX = 20;
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;
const HTTP_URL = /^https?:\/\/[^\s/?#@]+(?:[/?][^\s#]*)?$/;
const urlError = 'a URL such as https://login.example.com/keys';

const scope = z
  .string({ error: 'a scope such as notes:read' })
  .regex(SCOPE, { error: 'a scope such as notes:read, without spaces and quotes' });
const places = z.array(place, { error: 'a list of places such as [bearer, cookie:sid]' }).min(1).max(5, { error: 'at most 5 places' });
const plain = [z.string().max(500), z.number(), z.boolean()] as const;

/** What a known principal must have beside being known; where several are joined without the descriptions. */
export const nestedRequirements = {
  scopes: z
    .array(scope, { error: 'a list of scopes' })
    .max(LIST_MAX, { error: `at most ${LIST_MAX} scopes` })
    .optional(),
  claims: z
    .record(
      z.string(),
      z.union([...plain, z.array(z.union(plain)).min(1).max(LIST_MAX)], { error: 'a value, or a list of those that do' }),
      {
        error: 'claims and their values, such as {tenant: acme}',
      },
    )
    .refine((claims) => Object.keys(claims).length <= CLAIMS_MAX, { error: `at most ${CLAIMS_MAX} claims` })
    .optional(),
};
export const requirements = {
  scopes: nestedRequirements.scopes.describe('Scopes that the caller must have, all of them; without them 403.'),
  claims: nestedRequirements.claims.describe(
    'Claims that the caller must have, each with this value or one of these (a claim that is a list: that holds one); `realm.roles` is a key inside a key.',
  ),
};

const keys = z
  .strictObject(
    {
      from: places.optional().describe('Where the key stands. Without it [header:x-api-key, bearer].'),
    },
    { error: '{} or places such as {from: [header:x-api-key]}' },
  )
  .describe('API keys of the project: `virga keys create` makes one.');

const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'HS256',
  'HS384',
  'HS512',
] as const;
const algorithmError = `an algorithm: ${JWT_ALGORITHMS.join(', ')}`;
const issuerError = 'an issuer: what tokens have as `iss`, such as https://login.example.com/';
const audienceError = 'an audience (what tokens have as `aud`), a list of those that do, or false for any';
const audience = z.string().min(1).max(500);
const keyText = z.union(
  [
    z.string().regex(/^-----BEGIN (?:PUBLIC KEY|CERTIFICATE)-----[\s\S]+-----END (?:PUBLIC KEY|CERTIFICATE)-----\s*$/),
    z.looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']) }).refine((key) => key['d'] === undefined),
  ],
  { error: 'a public key: a JWK such as {kty: EC, crv: P-256, x: …, y: …}, or PEM with BEGIN PUBLIC KEY or BEGIN CERTIFICATE' },
);

const jwt = z
  .strictObject(
    {
      issuer: z
        .string({ error: issuerError })
        .min(1, { error: issuerError })
        .max(500, { error: issuerError })
        .describe('What `iss` must be.'),
      audience: z
        .union([audience, z.array(audience).min(1).max(LIST_MAX), z.literal(false)], { error: audienceError })
        .describe(
          'What `aud` must be or hold, or a list of those that do. `false`: any; then tokens that were made for others pass as well.',
        ),
      jwks: z
        .string({ error: urlError })
        .regex(HTTP_URL, { error: urlError })
        .optional()
        .describe("URL of the issuer's keys. Without `jwks`, `keys` and `secret` it is found by OpenID discovery at the issuer."),
      keys: z
        .array(keyText, { error: 'a list of public keys' })
        .min(1)
        .max(20)
        .optional()
        .describe("The issuer's public keys: JWKs or PEM."),
      secret: z
        .union([secretName, z.array(secretName).min(1).max(3)], { error: 'the name of a secret' })
        .optional()
        .describe('Name of the secret that is shared with the issuer (HS256…), or of several while one is changed for another.'),
      algorithms: z
        .array(z.enum(JWT_ALGORITHMS, { error: algorithmError }), { error: 'a list of algorithms' })
        .min(1)
        .optional()
        .describe('Algorithms that are accepted. Without it the ones of public keys, or with `secret` HS256.'),
      ...requirements,
      clockSkew: duration({ min: 0, max: 600_000 }).optional().describe('How far the clocks may differ. Without it 60s.'),
      from: places.optional().describe('Where the token stands. Without it [bearer].'),
      type: z.string().min(1).max(100).optional().describe('What `typ` of the token must be, e.g. `at+jwt`.'),
    },
    { error: 'a JWT issuer such as {issuer: https://login.example.com/, audience: notes}' },
  )
  .superRefine((value, context) => {
    const ways = (['jwks', 'keys', 'secret'] as const).filter((key) => value[key] !== undefined);
    const issue = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, params: { rule: true } });
    if (ways.length > 1) issue(ways[1]!, `the keys are given twice, by ${ways.join(' and ')}; keep one`);
    if (ways.length === 0 && !HTTP_URL.test(value.issuer))
      issue('issuer', 'no URL, so its keys cannot be discovered; add jwks, keys or secret');
    for (const algorithm of value.algorithms ?? []) {
      if (algorithm.startsWith('HS') === (value.secret !== undefined)) continue;
      issue(
        'algorithms',
        algorithm.startsWith('HS')
          ? `${algorithm} is for a shared \`secret\`, not for public keys`
          : `${algorithm} is for public keys, not for a shared \`secret\``,
      );
    }
  })
  .describe('JSON Web Tokens of an issuer.');

export const WEBHOOK_SENDERS = ['github', 'stripe', 'slack', 'standard', 'generic'] as const;
const senderError = `a sender: ${WEBHOOK_SENDERS.join(', ')}`;
const SIGNATURE_FIELDS = ['header', 'algorithm', 'encoding', 'prefix', 'timestamp', 'id', 'content'] as const;

const webhook = z
  .strictObject(
    {
      sender: z
        .enum(WEBHOOK_SENDERS, { error: senderError })
        .describe('Whose way of signing it is. `standard`: of standardwebhooks.com; `generic`: as the following keys say.'),
      secret: z
        .union([secretName, z.array(secretName).min(1).max(3)], { error: 'the name of a secret' })
        .describe('Name of the secret that the sender signs with, or of several while one is changed for another.'),
      tolerance: duration({ min: 1_000, max: 86_400_000 })
        .optional()
        .describe('How old a request may be, and how long a signature is remembered so that it does not pass twice. Without it 5m.'),
      bytesMax: z
        .int({ error: 'a number of bytes' })
        .min(1)
        .max(64 * 1024 * 1024, { error: 'at most 67108864 bytes' })
        .optional()
        .describe('Largest body; it is held in memory. Without it 1 MiB.'),
      header: headerName.optional().describe('`generic`: header with the signature.'),
      algorithm: z
        .enum(['sha1', 'sha256', 'sha384', 'sha512'], { error: 'sha1, sha256, sha384 or sha512' })
        .optional()
        .describe('`generic`: the hash of the HMAC. Without it sha256.'),
      encoding: z
        .enum(['hex', 'base64', 'base64url'], { error: 'hex, base64 or base64url' })
        .optional()
        .describe('`generic`: without it hex.'),
      prefix: z.string().min(1).max(50).optional().describe('`generic`: what stands before the signature, e.g. `sha256=`.'),
      timestamp: headerName
        .optional()
        .describe(
          '`generic`: header with the time of the request, in Unix seconds or ms, or as ISO 8601. It must be signed: see `content`.',
        ),
      id: headerName.optional().describe('`generic`: header with the id of the delivery. It must be signed: see `content`.'),
      content: z
        .string()
        .min(1)
        .max(500)
        .refine((text) => text.includes('{body}'), { error: 'a template with {body}' })
        .optional()
        .describe('`generic`: what is signed, with `{timestamp}`, `{id}`, `{method}`, `{path}` and `{body}` in it. Without it `{body}`.'),
    },
    { error: 'a webhook such as {sender: github, secret: GITHUB_SECRET}' },
  )
  .superRefine((value, context) => {
    const issue = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, params: { rule: true } });
    if (value.sender !== 'generic') {
      for (const field of SIGNATURE_FIELDS)
        if (value[field] !== undefined) issue(field, `it is for \`sender: generic\`; ${value.sender} says it itself`);
      return;
    }
    if (value.header === undefined) issue('sender', 'generic needs the `header` that carries the signature');
    const content = value.content ?? '{body}';
    for (const part of ['timestamp', 'id'] as const) {
      if ((value[part] !== undefined) !== content.includes(`{${part}}`))
        issue(
          value[part] === undefined ? 'content' : part,
          `\`${part}\` and {${part}} in \`content\` need each other: what is not signed proves nothing`,
        );
    }
  })
  .describe('Requests signed with a shared secret over their body (HMAC), as senders of webhooks do.');

const authorizer = z
  .strictObject(
    {
      function: declaredName.describe('Function of the same project that decides.'),
      identity: z
        .array(place, { error: 'a list of places such as [header:authorization]' })
        .min(1)
        .max(10, { error: 'at most 10 places' })
        .optional()
        .describe(
          'What tells callers apart: without all of these 401, and answers are kept for their values. Without it [header:authorization].',
        ),
      headers: z
        .array(headerName, { error: 'a list of names of headers' })
        .max(LIST_MAX)
        .optional()
        .describe('Headers that the function sees beside the identity. An answer that depends on them must not be kept: set `cache: 0s`.'),
      cache: duration({ min: 0, max: 3_600_000 })
        .optional()
        .describe('How long an answer is kept; the function may say less (`ttl`). Without it 5m.'),
      keptFor: z
        .enum(['route', 'project'], { error: 'route or project' })
        .optional()
        .describe('Whether an answer kept for one route holds for all routes of the project with this authorizer. Without it `route`.'),
    },
    { error: 'an authorizer such as {function: who, identity: [header:authorization]}' },
  )
  .describe('A function of the project that decides who may call.');

const authorityError = 'certificates of authorities in PEM: -----BEGIN CERTIFICATE-----…';
const certificate = z
  .strictObject(
    {
      ca: z
        .string({ error: authorityError })
        .max(64 * 1024, { error: authorityError })
        .refine(isCertificates, { error: authorityError })
        .describe(
          'Certificates (PEM) of the authorities that sign those of clients, directly: give the one that signs, not the root above it.',
        ),
      subjects: z
        .array(z.string().min(3).max(500), { error: 'a list of subjects' })
        .min(1, { error: 'a list of subjects' })
        .max(1_000, { error: 'at most 1000 subjects' })
        .optional()
        .describe(
          'Whose certificates are taken; without it all that are signed: `CN=robot`, `O=Acme Ltd`, `DNS:a.example.com`, `URI:spiffe://…`.',
        ),
    },
    { error: 'an authority such as {ca: "-----BEGIN CERTIFICATE-----…"}' },
  )
  .describe('Certificates of clients (mutual TLS), at the hosts of the project over HTTPS. Only these hosts ask for them.');

const ways = {
  certificate: certificate.optional(),
  keys: keys.optional(),
  jwt: jwt.optional(),
  webhook: webhook.optional(),
  authorizer: authorizer.optional(),
};
export const AUTHENTICATOR_WAYS = Object.keys(ways) as (keyof typeof ways)[];
export const authenticatorShape = ways;

export const authenticator = z
  .strictObject(ways, { error: 'one of {keys: {}}, {jwt: …}, {webhook: …}, {authorizer: …}' })
  .superRefine((value, context) => {
    const given = AUTHENTICATOR_WAYS.filter((way) => value[way] !== undefined);
    if (given.length === 1) return;
    const message =
      given.length === 0
        ? `one of ${AUTHENTICATOR_WAYS.join(', ')} is needed`
        : `${given.join(' and ')} are two authenticators; give each a name`;
    context.addIssue({ code: 'custom', path: [], message, params: { rule: true } });
  });

export type Authenticator = z.infer<typeof authenticator>;
export type Requirements = { [K in keyof typeof requirements]?: z.infer<(typeof requirements)[K]> };
export type KeyRules = z.infer<typeof keys>;
export type CertificateRules = z.infer<typeof certificate>;
export type JwtRules = z.infer<typeof jwt>;
export type WebhookRules = z.infer<typeof webhook>;
export type AuthorizerRules = z.infer<typeof authorizer>;

function isCertificates(text: string): boolean {
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  try {
    return found.length > 0 && found.every((pem) => new X509Certificate(pem).ca);
  } catch {
    return false;
  }
}
