// `throttle` and `concurrency` of a route: how many requests pass in a time, and at once. Enforced by gateway/throttle/.
// Invariant: what is stored is what was written; the edge turns the words into numbers once per deployment.
import { z } from 'zod';
import { RATE_PATTERN, rateOf } from '../../lib/units.ts';

const RULES_MAX = 8;
const BURST_MAX = 1_000_000;
const CONCURRENCY_MAX = 100_000;
const BY = /^(?:ip|principal|key|route|project|header:[a-z0-9!#$%&'*+.^_`|~-]{1,64})$/;

const rateError = 'a rate such as "100/s", "600/m", "1000/h" or "5000/d"';
const rate = z
  .string({ error: rateError })
  .regex(RATE_PATTERN, { error: rateError, abort: true })
  .refine((text) => rateOf(text) !== undefined, { error: `${rateError}, of at least 1` })
  .describe('Requests that come back in a time, evenly: `100/s`, `600/m`, `1000/h`, `5000/d`.');

const burstError = `a whole number of requests from 1 to ${BURST_MAX}`;
const burst = z
  .int({ error: burstError })
  .min(1, { error: burstError })
  .max(BURST_MAX, { error: burstError })
  .optional()
  .describe('Requests that may come at once, after a pause. Without it as many as the rate names.');

const byError = 'whom to count: ip, principal, key, route, project, or header:<name in lower case>';
const rule = z.strictObject(
  {
    rate,
    burst,
    by: z
      .string({ error: byError })
      .regex(BY, { error: byError })
      .optional()
      .describe(
        'Whom to count: `ip` (the client’s address, of IPv6 its /64), `principal` (who `auth` found), `key` (the API key), `header:<name>` (its value), `route` (all together), `project` (all together, for all routes with this rule). Where there is no principal, key or header: the address. Without it `ip`.',
      ),
  },
  { error: 'a limit such as {rate: 100/s, burst: 200, by: ip}' },
);

const error = 'a limit such as {rate: 100/s, burst: 200, by: ip}, a list of limits, or false';
export const throttle = z
  .union(
    [
      z.literal(false),
      rule,
      z
        .array(rule, { error })
        .min(1, { error })
        .max(RULES_MAX, { error: `at most ${RULES_MAX} limits` }),
    ],
    {
      error,
    },
  )
  .describe(
    'How many requests pass (a token bucket; of several limits all have to). One too many gets 429 with `Retry-After`; every answer says what is left, in `RateLimit`.',
  );

export const planThrottle = z
  .strictObject({ rate, burst }, { error: 'a limit such as {rate: 100/s, burst: 200}' })
  .describe('How many requests of one principal pass, over all routes of the project.');

const concurrencyError = `a whole number of requests from 1 to ${CONCURRENCY_MAX}, or false`;
export const concurrency = z
  .union(
    [
      z.literal(false),
      z.int({ error: concurrencyError }).min(1, { error: concurrencyError }).max(CONCURRENCY_MAX, { error: concurrencyError }),
    ],
    {
      error: concurrencyError,
    },
  )
  .describe('Requests of the route that may be under way at once on a node, connections (WebSockets) too. One more gets 429 at once.');

export type ThrottleRule = z.infer<typeof rule>;
export type PlanThrottle = z.infer<typeof planThrottle>;

export const throttleExample = `At most 20 requests a second of one address, in bursts of 40, and 1,000 a minute of the whole route:

    http:
      - path: /search
        throttle: [{rate: 20/s, burst: 40}, {rate: 1000/m, by: route}]
        concurrency: 50

In \`gateway.defaults\` each route has a bucket of its own, but with \`by: project\`, which is one for all:

    gateway:
      defaults:
        throttle: {rate: 500/s, by: project}

Every answer of such a route carries \`RateLimit-Policy\` and \`RateLimit\` (draft-ietf-httpapi-ratelimit-headers-11):

    RateLimit-Policy: "ip";q=40;w=2, "route";q=1000;w=60
    RateLimit: "ip";r=39;t=1, "route";r=998;t=1`;
