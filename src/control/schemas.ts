// The shapes that several operations share, as zod schemas: the source of both the validation and the OpenAPI document.
// Invariant: `satisfies` holds each to its type in protocol/, so the client's types and the server's checks cannot drift.
import { z } from '@hono/zod-openapi';
import { cronProblem, isTimezone } from '../lib/cron.ts';
import type { Change, DeployAnswer, FunctionItem, Page } from '../protocol/control-api.ts';
import { EGRESS_ENTRIES_MAX, parseEgressEntry } from '../protocol/egress.ts';
import { ERRORS } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { EXPLANATION_CAUSES } from '../protocol/explanation.ts';
import type { Explanation } from '../protocol/explanation.ts';
import { LogLevel } from '../protocol/frames.ts';
import type { LogLevelName } from '../protocol/frames.ts';
import type { InvocationRecord, LogLine, Outcome } from '../protocol/invocation.ts';
import {
  FORMS,
  FUNCTION_RUNTIMES,
  HTTP_EVENTS,
  ISOLATIONS,
  NAME_PATTERN,
  NAME_RULE,
  SETTING_LIMITS,
  SHA256_PATTERN,
} from '../protocol/settings.ts';
import { HTTP_METHODS } from '../protocol/http-methods.ts';
import { conditions } from '../protocol/policies/conditions.ts';
import { unknownPlans } from '../protocol/policies/plans.ts';
import { gatewaySection, routePolicy } from '../protocol/policies/policy.ts';
import { staticFolder } from '../protocol/policies/static.ts';
import { TARGET_KEYS, TARGET_RULE, targetShape } from '../protocol/policies/targets.ts';
import { live, shadow, storedTraffic } from '../protocol/policies/traffic.ts';
import { eventsSection } from '../protocol/sources/sources.ts';
import { sourceProblems } from '../protocol/sources/references.ts';
import { workflowProblem } from '../protocol/sources/workflows.ts';
import type { DeployRequest, Route, VersionSettings } from '../protocol/settings.ts';

const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];
const { memoryMiB, timeoutMs, concurrency, instancesMin, instancesMax, cpus, tmpMiB, pids, queue, idleMs, envBytes, windows, windowForMs } =
  SETTING_LIMITS;

export const FUNCTIONS_MAX = 1_000;
const FOLDERS_MAX = 100;
export const ROUTES_MAX = 20_000;

export const name = z.string().regex(NAME_PATTERN, `must be a name: ${NAME_RULE}`);
export const sha256 = z.string().regex(SHA256_PATTERN, 'must be a sha256: 64 lower-case hexadecimal digits');
/** An ISO 8601 time in UTC. */
export const time = z.iso.datetime();
export const invocationId = z.string().regex(/^inv_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the id of an invocation: inv_ and 26 characters');
export const logId = z.string().regex(/^log_[0-9a-hjkmnp-tv-z]{10,26}$/, 'must be the id of a log line: log_ and 26 characters');
/** As text in a path or a query. */
export const wholeNumber = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'must be a whole number')
  .transform(Number)
  .openapi({ type: 'integer' });

function between(limit: { min: number; max: number }): z.ZodInt {
  return z.int().min(limit.min).max(limit.max);
}

const env = z
  .record(
    z.string().regex(/^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,255}$/, 'must be a name of an environment variable: letters, digits and _'),
    z.string(),
  )
  .refine((values) => Object.values(values).every((value) => !value.includes('\0')), 'must not contain NUL characters')
  .refine(
    (values) =>
      Object.entries(values).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value) + 2, 0) <= envBytes.max,
    `must have at most ${envBytes.max} bytes in all, names and values`,
  );

const egressEntry = z.string().superRefine((text, context) => {
  const rule = parseEgressEntry(text);
  if (typeof rule === 'string') context.addIssue({ code: 'custom', message: rule });
});
const egress = z.union([z.enum(['internet', 'none']), z.array(egressEntry).max(EGRESS_ENTRIES_MAX)], {
  error: "must be 'internet', 'none', or a list of names, addresses and ranges",
});

const instanceWindow = z.strictObject({
  cron: z
    .string()
    .max(200)
    .superRefine((text, context) => {
      const problem = cronProblem(text);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: `must be ${problem}` });
    }),
  forMs: between(windowForMs),
  min: between(instancesMin),
  timezone: z.string().max(100).refine(isTimezone, 'must be a time zone, such as Europe/Madrid'),
});

export const settings = z
  .strictObject({
    runtime: z.enum(FUNCTION_RUNTIMES),
    handler: z
      .string()
      .max(512)
      .regex(
        /^(?!\/)(?!(?:.*\/)?\.\.?(?:\/|#|$))[^\0-\x1f\\#]+(?:#[^\0-\x1f#]+)?$/,
        'must be <file> or <file>#<export>, the file relative to the artifact, e.g. index.mjs#handler',
      ),
    // A deployment from a client that knows of no forms.
    form: z.enum(FORMS).default('native'),
    command: z.array(z.string().max(4_096)).min(1).max(SETTING_LIMITS.command.max).optional(),
    httpEvent: z.enum(HTTP_EVENTS).optional(),
    memoryMiB: between(memoryMiB),
    timeoutMs: between(timeoutMs),
    concurrency: between(concurrency),
    instances: z
      .strictObject({
        min: between(instancesMin),
        max: between(instancesMax),
        windows: z.array(instanceWindow).max(windows.max).optional(),
      })
      .refine(({ min, max }) => min <= max, 'must have a min that is not above its max')
      .refine((all) => (all.windows ?? []).every(({ min }) => min <= all.max), 'must have no window with a min above max'),
    cpus: z.number().min(cpus.min).max(cpus.max).nullable(),
    tmpMiB: between(tmpMiB),
    pids: between(pids),
    isolation: z.enum(ISOLATIONS),
    queue: between(queue),
    idleMs: between(idleMs),
    env,
    egress,
  })
  .openapi('VersionSettings') satisfies z.ZodType<VersionSettings>;

const methods = z.array(z.enum(HTTP_METHODS)).min(1).max(HTTP_METHODS.length).nullable();
export const route = z
  .strictObject({
    path: z.string().max(1_024),
    methods,
    function: name.optional(),
    ...targetShape,
    conditions: conditions.optional(),
    policy: routePolicy.optional(),
  })
  .refine(
    (one) => (['function', ...TARGET_KEYS] as const).filter((key) => one[key] !== undefined).length === 1,
    `must have exactly one target: function or ${TARGET_RULE}`,
  )
  .openapi('Route') satisfies z.ZodType<Route>;

export const deployRequest = z
  .strictObject({
    functions: z
      .record(name, z.strictObject({ artifact: sha256, settings, live: live.optional(), shadow: shadow.optional() }))
      .refine((functions) => Object.keys(functions).length <= FUNCTIONS_MAX, `must have at most ${FUNCTIONS_MAX} functions`),
    routes: z.array(route).max(ROUTES_MAX),
    gateway: gatewaySection.optional(),
    folders: z
      .record(staticFolder, sha256)
      .refine((folders) => Object.keys(folders).length <= FOLDERS_MAX, `must have at most ${FOLDERS_MAX} folders`)
      .optional(),
    events: eventsSection.optional(),
  })
  .superRefine(({ functions, routes, gateway, events = {} }, context) => {
    for (const { path, message } of sourceProblems(events, Object.keys(functions)))
      context.addIssue({ code: 'custom', path: ['events', ...path], message });
    for (const fn of Object.keys(events.workflows ?? {})) {
      const declared = functions[fn];
      const message = declared === undefined ? undefined : workflowProblem(declared.settings);
      if (message !== undefined) context.addIssue({ code: 'custom', path: ['events', 'workflows', fn], message });
    }
    for (const { route: index, plan } of unknownPlans(routes, gateway)) {
      const path = index === undefined ? ['gateway', 'defaults', 'plan'] : ['routes', index, 'policy', 'plan'];
      context.addIssue({ code: 'custom', path, message: `must be one of gateway.plans; there is no plan '${plan}'` });
    }
  })
  .openapi('DeployRequest') satisfies z.ZodType<DeployRequest>;

export const change = z
  .object({
    kind: z.enum(['project', 'function', 'route', 'gateway', 'folder', 'queue', 'topic', 'stream', 'schedule']),
    name: z.string(),
    change: z.enum(['create', 'update', 'remove', 'none']),
    detail: z.array(z.string()),
    version: z.int().optional(),
  })
  .openapi('Change') satisfies z.ZodType<Loose<Change>>;

export const deployAnswer = z
  .object({
    deployment: z.int().nullable(),
    project: z.string(),
    url: z.string(),
    changes: z.array(change),
    changed: z.boolean(),
    dryRun: z.boolean(),
    warning: z.string().optional(),
  })
  .openapi('DeployAnswer') satisfies z.ZodType<Loose<DeployAnswer>>;

export const functionItem = z
  .object({
    name: z.string(),
    version: z.int(),
    runtime: z.enum(FUNCTION_RUNTIMES),
    settings,
    artifact: z.string(),
    createdAt: time,
    routes: z.array(z.object({ path: z.string(), methods, conditions: conditions.optional() })),
    ...storedTraffic,
  })
  .openapi('Function') satisfies z.ZodType<FunctionItem>;

export const outcome = z.enum(['ok', ...ERROR_CODES]) satisfies z.ZodType<Outcome>;

export const explanation = z
  .object({
    cause: z.enum(EXPLANATION_CAUSES),
    limit: z.string().nullable(),
    setting: z.string().nullable(),
    facts: z.array(z.string()),
    peakMemoryBytes: z.number().nullable(),
    cpu: z.object({ ms: z.number(), queuedMs: z.number(), windowMs: z.number() }).nullable(),
    lastLines: z.array(z.string()),
  })
  .openapi('Explanation') satisfies z.ZodType<Explanation>;

export const invocationRecord = z
  .object({
    id: z.string(),
    traceId: z.string(),
    project: z.string(),
    function: z.string(),
    version: z.int(),
    trigger: z.string(),
    outcome,
    status: z.int().nullable(),
    request: z.string().nullable(),
    error: z.string().nullable(),
    explanation: explanation.nullable(),
    startedAt: z.number(),
    receipt: z.object({
      queueMs: z.number(),
      sandboxMs: z.number(),
      loadMs: z.number(),
      initMs: z.number(),
      handlerMs: z.number(),
      cold: z.boolean(),
      billedMs: z.int(),
    }),
    peakMemoryBytes: z.int(),
    bytesIn: z.int(),
    bytesOut: z.int(),
    instance: z.string(),
  })
  .openapi('InvocationRecord') satisfies z.ZodType<InvocationRecord>;

export const logLine = z
  .object({
    id: z.string(),
    at: z.number(),
    project: z.string(),
    function: z.string(),
    version: z.int(),
    invocation: z.string(),
    instance: z.string(),
    level: z.enum(Object.keys(LogLevel) as [LogLevelName, ...LogLevelName[]]),
    text: z.string(),
  })
  .openapi('LogLine') satisfies z.ZodType<LogLine>;

export const errorBody = z
  .object({
    error: z.object({
      code: z.enum(ERROR_CODES),
      message: z.string(),
      fault: z.enum(['caller', 'function', 'platform']),
      requestId: z.string(),
      detail: z.unknown().optional(),
    }),
  })
  .openapi('Error');

export const pageQuery = {
  limit: wholeNumber.refine((limit) => limit >= 1 && limit <= 1_000, 'must be from 1 to 1000').optional(),
  cursor: z.string().min(1).max(1_024).optional(),
};

export function pageOf<T>(item: z.ZodType<T>): z.ZodType<Page<T>> {
  return z.object({ items: z.array(item), next: z.string().nullable() });
}

/** An optional property of a schema may also be given as undefined. */
export type Loose<T> = { [K in keyof T]: T[K] extends (infer Item)[] ? Loose<Item>[] : undefined extends T[K] ? T[K] | undefined : T[K] };
