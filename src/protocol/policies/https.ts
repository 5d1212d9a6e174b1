// `https` and `hsts` of a project's gateway: whether plain HTTP is served, and what browsers are told to remember
// (https://www.rfc-editor.org/rfc/rfc6797). Enforced by gateway/https/.
import { z } from 'zod';
import { durationMs } from '../../lib/units.ts';
import { duration } from './words.ts';

const YEAR_MS = 366 * 86_400_000;

export const https = z
  .enum(['redirect', 'optional'], { error: 'redirect or optional' })
  .describe(
    'What becomes of requests by plain HTTP. `redirect`: they are sent on to HTTPS (308), which the node is to serve, or a proxy before it. Without it they are served.',
  );

export const hsts = z
  .strictObject(
    {
      maxAge: duration({ min: 0, max: 10 * YEAR_MS }).describe('How long browsers are to remember it, such as `365d`; `0s` takes it back.'),
      includeSubdomains: z.boolean({ error: 'true or false' }).optional().describe('Whether it holds for all names below too.'),
      preload: z
        .boolean({ error: 'true or false' })
        .optional()
        .describe('Whether browsers may ship with it. Takes a `maxAge` of at least 365d and `includeSubdomains`.'),
    },
    { error: 'a rule such as {maxAge: 365d, includeSubdomains: true}' },
  )
  .superRefine(({ maxAge, includeSubdomains, preload }, context) => {
    if (preload !== true || (includeSubdomains === true && (durationMs(maxAge) ?? 0) >= 365 * 86_400_000)) return;
    const message = 'preload takes a maxAge of at least 365d and includeSubdomains: true';
    context.addIssue({ code: 'custom', path: ['preload'], message, params: { rule: true } });
  })
  .describe('Strict-Transport-Security: browsers that came by HTTPS are told to come by nothing else. Said on answers by HTTPS only.');

export type HstsRules = z.infer<typeof hsts>;
