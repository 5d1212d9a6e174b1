// What the gateway does for a route beside calling its function, as it stands in virga.yaml and as it is stored: one schema
// for the manifest, the control API and the reference. A feature is a file of this folder and a folder of gateway/.
// Invariant: the edge takes only the types from here; it compiles what was checked (gateway/features.ts).
import { z } from 'zod';
import { addresses, addressesExample } from './addresses.ts';
import { auth, authExample, authSection } from './auth.ts';
import { cache, cacheExample } from './cache.ts';
import { response, responseExample, rewrite, rewriteExample } from './rewrite.ts';
import { domains } from './domains.ts';
import { cors, corsExample } from './cors.ts';
import { hsts, https } from './https.ts';
import { openapi, operation, operationExample } from './openapi.ts';
import { plan, plans } from './plans.ts';
import { securityHeaders, securityHeadersExample } from './security-headers.ts';
import { concurrency, throttle, throttleExample } from './throttle.ts';
import { recording } from '../sources/recording.ts';
import { validate, validateExample } from './validate.ts';
import { websocket, websocketExample } from './websocket.ts';

const features = {
  ip: addresses.optional(),
  auth: auth.optional(),
  cors: cors.optional(),
  websocket: websocket.optional(),
  throttle: throttle.optional(),
  concurrency: concurrency.optional(),
  plan: plan.optional(),
  validate: validate.optional(),
  securityHeaders: securityHeaders.optional(),
  cache: cache.optional(),
  rewrite: rewrite.optional(),
  response: response.optional(),
  openapi: operation.optional(),
  record: recording.optional(),
};

export const POLICY_KEYS = Object.keys(features) as (keyof typeof features)[];

/** For the reference: what each looks like, in Markdown. */
export const POLICY_EXAMPLES: Partial<Record<keyof typeof features, string>> = {
  ip: addressesExample,
  auth: authExample,
  cors: corsExample,
  websocket: websocketExample,
  throttle: throttleExample,
  validate: validateExample,
  securityHeaders: securityHeadersExample,
  cache: cacheExample,
  rewrite: rewriteExample,
  response: responseExample,
  openapi: operationExample,
};

/** Keys of a route beside its path and methods. */
export const policyShape = features;

export const routePolicy = z.strictObject(features, { error: 'rules of the gateway, such as {cors: …}' });
export type RoutePolicy = z.infer<typeof routePolicy>;

/** Paths of all routes differ. */
function noParameters({ rewrite: rules }: RoutePolicy, context: z.RefinementCtx): void {
  if (rules?.path === undefined || !/[{}]/.test(rules.path)) return;
  const message = 'rules for all routes have no parameters; say it at the route';
  context.addIssue({ code: 'custom', path: ['rewrite', 'path'], message, params: { rule: true } });
}

export const gatewaySection = z
  .strictObject(
    {
      auth: authSection.optional(),
      domains: domains.optional(),
      defaults: routePolicy
        .omit({ websocket: true })
        .superRefine(noParameters)
        .optional()
        .describe('Rules for all routes that do not say otherwise, key by key.'),
      plans: plans.optional(),
      https: https.optional(),
      hsts: hsts.optional(),
      openapi: openapi.optional(),
    },
    { error: 'the gateway of the project, such as {defaults: {cors: …}}' },
  )
  .describe('What the gateway does for the whole project.');
export type GatewaySection = z.infer<typeof gatewaySection>;
