// Usage plans: `gateway.plans` (what a principal may use in a day or a month) and `plan` of a route (which plan callers
// without one are held to). Enforced by gateway/throttle/; counted in usage_counters, read by `virga usage`.
import { z } from 'zod';
import { planThrottle } from './throttle.ts';

const PLANS_MAX = 50;
const QUOTA_MAX = 1_000_000_000_000;
const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const nameError = 'the name of a plan: lower-case letters, digits and hyphens, a letter first';
const limitError = `a whole number of requests from 1 to ${QUOTA_MAX}`;

const quota = z
  .strictObject(
    {
      limit: z.int({ error: limitError }).min(1, { error: limitError }).max(QUOTA_MAX, { error: limitError }).describe('Requests.'),
      per: z.enum(['day', 'month'], { error: 'day or month' }).describe('In a calendar day or month of UTC.'),
    },
    { error: 'a quota such as {limit: 10000, per: day}' },
  )
  .describe('Requests in a day or a month, over all routes of the project. One too many gets 429 until the next one begins.');

const planRules = z.strictObject(
  { quota: quota.optional(), throttle: planThrottle.optional() },
  { error: 'a plan such as {quota: {limit: 10000, per: day}}' },
);

export const plans = z
  .record(z.string().regex(NAME, { error: nameError }), planRules, {
    error: 'plans by name, such as {free: {quota: {limit: 10000, per: day}}}',
  })
  .refine((value) => Object.keys(value).length <= PLANS_MAX, { error: `at most ${PLANS_MAX} plans` })
  .describe(
    'Usage plans by name: what an API key, or another principal, that has the plan may use. Counters are kept over restarts; after a crash of the edge the last seconds may be missing.',
  );

export const plan = z
  .string({ error: nameError })
  .regex(NAME, { error: nameError })
  .describe('Usage plan of callers that have none of their own, one by one: a principal by its id, anybody else by address.');

export type Plans = z.infer<typeof plans>;
export type PlanRules = z.infer<typeof planRules>;

/** Routes (by index), or the defaults of all, that name a plan which there is not. */
export function unknownPlans(
  routes: readonly { policy?: { plan?: string | undefined } | undefined }[],
  gateway: { plans?: Plans | undefined; defaults?: { plan?: string | undefined } | undefined } | undefined,
): { route: number | undefined; plan: string }[] {
  const known = gateway?.plans ?? {};
  return [undefined, ...routes.keys()].flatMap((route) => {
    const named = route === undefined ? gateway?.defaults?.plan : routes[route]!.policy?.plan;
    return named === undefined || Object.hasOwn(known, named) ? [] : [{ route, plan: named }];
  });
}

export const plansExample = `What one key, or anybody without a key by address, may use:

    gateway:
      plans:
        free: {quota: {limit: 1000, per: day}, throttle: {rate: 5/s, burst: 10}}
        pro: {quota: {limit: 1000000, per: month}, throttle: {rate: 200/s}}
      defaults:
        plan: free

A principal (an API key, a token) that names a plan is held to that; whoever has none, or one that is not here, to the
\`plan\` of the route. \`virga usage\` lists what was used. Each request that passes counts once, whatever its answer.
Counters are written every two seconds: after a crash of the edge (not after a restart) what came since then is not counted,
and of several edges each knows what the others counted by its last write.`;
