// `cache` of a route: answers of its function that the gateway keeps and gives again (RFC 9111, as a shared cache).
// Enforced by gateway/cache/.
import { z } from 'zod';
import { bytesIn } from '../../lib/units.ts';
import { duration, headerName } from './words.ts';

const DAYS_31 = 31 * 86_400_000;
const NAMES_MAX = 20;
const TAGS_MAX = 50;
/** Of one answer. */
const CACHED_BYTES = { min: 1_024, max: 64 * 1_024 * 1_024 };

const sizeError = 'a size from "1 KiB" to "64 MiB"';
const yesOrNo = z.boolean({ error: 'true or false' });
const parameter = z
  .string({ error: 'a name of a query parameter' })
  .regex(/^[^\s&=#?]{1,128}$/, { error: 'a name of a query parameter, such as page' });
const cookieName = z
  .string({ error: 'a name of a cookie' })
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'a name of a cookie, such as theme' });
const tag = z.string({ error: 'a tag' }).regex(/^[^\s,]{1,128}$/, { error: 'a tag: a word without spaces and commas' });

function names<T extends z.ZodType>(one: T, what: string) {
  return z.array(one, { error: `a list of names of ${what}` }).max(NAMES_MAX, { error: `at most ${NAMES_MAX} names` });
}

const rules = z
  .strictObject(
    {
      ttl: duration({ min: 0, max: DAYS_31 })
        .optional()
        .describe(
          'How long an answer is good where the function does not say: of the statuses 200, 203, 204, 300, 301 and 308. Without it only answers are kept whose Cache-Control or Expires says how long.',
        ),
      key: z
        .strictObject(
          {
            query: names(parameter, 'query parameters')
              .optional()
              .describe(
                'Parameters that make a difference. The function sees no others, so that nobody can slip one into the answer of the rest. Without it all, in their order.',
              ),
            headers: names(headerName, 'headers')
              .optional()
              .describe('Request headers that make a difference, beside those that the answer names in Vary.'),
            cookies: names(cookieName, 'cookies').optional().describe('Cookies that make a difference. The function sees no others.'),
          },
          { error: 'parts of the key such as {query: [page], headers: [accept-language]}' },
        )
        .optional()
        .describe(
          'What makes two requests different, beyond host and path, which always do, and the principal that `auth` found (but see `public`): `query`, parameters (without it all; the function sees no others, so that nobody can slip one into the answer of the rest), `headers`, beside those that the answer names in Vary, and `cookies` (the function sees no others).',
        ),
      public: yesOrNo
        .optional()
        .describe('The answers are the same for every principal: who asks is no part of the key, and Authorization keeps nothing out.'),
      staleWhileRevalidate: duration({ min: 0, max: DAYS_31 })
        .optional()
        .describe(
          'How long after that an old answer is given at once while the function is asked for a new one behind it, where the answer does not say.',
        ),
      staleIfError: duration({ min: 0, max: DAYS_31 })
        .optional()
        .describe(
          'How long after that an old answer is given where the function fails, answers 500, 502, 503 or 504, or is overloaded, where the answer does not say.',
        ),
      maxBytes: z
        .string({ error: sizeError })
        .refine((text) => (bytesIn(text) ?? -1) >= CACHED_BYTES.min && (bytesIn(text) ?? -1) <= CACHED_BYTES.max, { error: sizeError })
        .optional()
        .describe('Bodies that are larger pass through and are not kept. Without it 1 MiB.'),
      tags: z
        .union([yesOrNo, z.array(tag, { error: 'a list of tags' }).max(TAGS_MAX, { error: `at most ${TAGS_MAX} tags` })], {
          error: 'true, false, or a list of tags',
        })
        .optional()
        .describe(
          'Tags by which answers can be purged: those in the Cache-Tag or Surrogate-Key header of the answer (which clients do not see), and these. false: neither.',
        ),
      respectOrigin: yesOrNo
        .optional()
        .describe(
          'false: `ttl` counts, whatever freshness the function gives. What it says must not be kept (no-store, private) never is. Without it true.',
        ),
      respectClient: yesOrNo
        .optional()
        .describe(
          'Whether clients may ask for a new answer (Cache-Control: no-cache, max-age, min-fresh) or only for a kept one (only-if-cached). Without it they may not, so that nobody can wear out the function.',
        ),
      dropSetCookie: yesOrNo
        .optional()
        .describe('Answers that set cookies are kept, and sent to everybody without them. Without it such answers are not kept.'),
      coalesce: yesOrNo
        .optional()
        .describe(
          'Requests for what is just being fetched wait for that one answer. true: they share it even if it may not be kept, as long as they carry no cookie, Authorization or principal, and it is not private. false: they do not wait.',
        ),
    },
    { error: 'rules such as {ttl: 60s, key: {query: [page]}}' },
  )
  .describe('Rules of the cache of a route.');

export const cache = z
  .union([z.literal(false), rules], { error: 'rules such as {ttl: 60s}, or false' })
  .describe(
    'Which answers to GET and HEAD the gateway keeps and gives again, as a shared cache by RFC 9111: Cache-Control, Expires and Vary of the answer count; what is private or sets cookies is not kept. Conditional requests and ranges are answered from what is kept. On these routes the function sees only the cookies that are in the key.',
  );

export type CacheRules = z.infer<typeof rules>;

export const cacheExample = `A list that may be a minute old, kept for each page and language; while the function is asked anew, and if it fails, the old one is given:

    functions:
      catalogue:
        source: catalogue.ts
        http:
          - path: /products
            methods: [GET]
            cache: {ttl: 60s, key: {query: [page], headers: [accept-language]}, staleWhileRevalidate: 30s, staleIfError: 5m}

\`virga cache purge --tag products\` drops what answers with the header \`Cache-Tag: products\` left.`;
