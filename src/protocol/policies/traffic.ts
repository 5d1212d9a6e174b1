// `live` and `shadow` of a function: which of its versions get its requests. Numbers of versions in a manifest are those of
// `virga versions`; `new` is the version that the deployment itself makes. What is stored has numbers alone (control/traffic.ts).
// Enforced by gateway/versions/.
import { z } from 'zod';
import { headerName } from './words.ts';

const versionError = 'the number of a version, such as 7, or new';
const version = z.union([z.int().min(1).max(2_147_483_647), z.literal('new')], { error: versionError });
const percentError = 'a number of percent from 0 to 100, such as 10 or 0.5';
const percent = z.number({ error: percentError }).min(0, { error: percentError }).max(100, { error: percentError });

export const STICKY = ['cookie', 'ip', 'principal', 'none'] as const;
export type Sticky = (typeof STICKY)[number];

const canaryRules = z
  .strictObject(
    {
      version: version.describe('The version that is tried: a number, or `new`.'),
      percent: percent.describe('How much of the requests it gets.'),
      sticky: z
        .enum(STICKY, { error: `one of ${STICKY.join(', ')}` })
        .optional()
        .describe(
          'What keeps somebody at one version: a `cookie`, the address (`ip`), who calls (`principal`; the address of whoever is not known), or `none`. Without it `cookie`. Whoever was at the canary stays there when `percent` rises.',
        ),
    },
    { error: 'a canary such as {version: new, percent: 10}' },
  )
  .describe('A version that gets a share of the requests.');

const liveRules = z.strictObject(
  {
    version: version.optional().describe('The version that gets the requests: a number, or `new`. Without it `new`.'),
    canary: canaryRules.optional(),
  },
  { error: 'versions such as {version: 7, canary: {version: new, percent: 10}}' },
);

const shadowRules = z.strictObject(
  {
    version: version.describe('The version that is tried: a number, or `new`.'),
    percent: percent.describe('Of how much of the requests it gets a copy.'),
    headers: z
      .array(headerName, { error: 'a list of names of headers' })
      .max(20, { error: 'at most 20 headers' })
      .optional()
      .describe('Headers of the answers that are compared, beside status and body. Without it content-type and location.'),
  },
  { error: 'a version such as {version: new, percent: 5}' },
);

export const live = liveRules.describe(
  'Which versions get the requests of its routes. Without it the one that was deployed last. Answers carry `x-virga-version` then.',
);
export const shadow = shadowRules.describe(
  'A version that gets copies of requests (bodies up to 64 KiB). Its answers are thrown away; where they differ, the record of the call (trigger `shadow`) and the log of the node say so. What it does beside answering, it does: the copy has the header `x-virga-shadow`.',
);

export type LiveRules = z.infer<typeof liveRules>;
export type ShadowRules = z.infer<typeof shadowRules>;

export const trafficExample = `A new version gets a tenth of the visitors, who stay with it, and the other way round:

    functions:
      shop:
        source: functions/shop.ts
        live: {version: 7, canary: {version: new, percent: 10, sticky: cookie}}
      search:
        source: functions/search.ts
        live: {version: 3}
        shadow: {version: new, percent: 5}`;

/** Which versions get the requests of a function, as it is stored; absent: the deployed one gets all. */
export interface Traffic {
  live?: { version: number; canary?: { version: number; percent: number; sticky: Sticky } | undefined } | undefined;
  shadow?: { version: number; percent: number; headers?: string[] | undefined } | undefined;
}

export const storedTraffic = {
  live: z
    .object({
      version: z.int(),
      canary: z.object({ version: z.int(), percent: z.number(), sticky: z.enum(STICKY) }).optional(),
    })
    .optional(),
  shadow: z.object({ version: z.int(), percent: z.number(), headers: z.array(z.string()).optional() }).optional(),
};
