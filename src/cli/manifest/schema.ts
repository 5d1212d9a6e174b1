// What may stand in virga.yaml, as zod schemas: the one source of the checks, of docs/reference/virga.schema.json and of
// docs/reference/manifest.md. Invariant: an `error` text says what is expected, so that it can follow "expected …";
// descriptions are for the reference and for editors. Checks that span several keys are in manifest.ts.
import { z } from 'zod';
import { EGRESS_ENTRIES_MAX, EGRESS_RULE, parseEgressEntry } from '../../protocol/egress.ts';
import { FORMS, FUNCTION_RUNTIMES, HTTP_EVENTS, ISOLATIONS, NAME_PATTERN, NAME_RULE, SETTING_LIMITS } from '../../protocol/settings.ts';
import { HTTP_METHODS } from '../../protocol/http-methods.ts';
import { conditionShape } from '../../protocol/policies/conditions.ts';
import { gatewaySection, policyShape } from '../../protocol/policies/policy.ts';
import { TARGET_KEYS, TARGET_RULE, targetShape } from '../../protocol/policies/targets.ts';
import { live, shadow } from '../../protocol/policies/traffic.ts';
import { consumerShape, sourcesShape } from '../../protocol/sources/sources.ts';
import { cronProblem, isTimezone } from '../../lib/cron.ts';
import { parseShortRoute, pathProblem } from './routes.ts';
import { DURATION_PATTERN, durationMs, durationText, SIZE_PATTERN, sizeMiB, sizeText } from '../../lib/units.ts';

export const FUNCTIONS_MAX = 1_000;
export const ROUTES_MAX = 20_000;
const GLOBS_MAX = 100;
const LAYERS_MAX = 20;

const name = z.string({ error: `a name: ${NAME_RULE}` }).regex(NAME_PATTERN, { error: `a name: ${NAME_RULE}` });

function whole(limit: { min: number; max: number; default?: number }, unit = '') {
  const error = `a whole number ${unit}from ${limit.min} to ${limit.max}`;
  return z.int({ error }).min(limit.min, { error }).max(limit.max, { error });
}

function duration(limit: { min: number; max: number }) {
  const range = `from ${durationText(limit.min)} to ${durationText(limit.max)}`;
  const error = `a duration with its unit ${range}, such as "30s", "500ms" or "5m"`;
  return z
    .string({ error })
    .regex(DURATION_PATTERN, { error, abort: true })
    .refine((text) => inRange(durationMs(text), limit), { error });
}

function size(limit: { min: number; max: number }) {
  const range = `from ${sizeText(limit.min)} to ${sizeText(limit.max)}`;
  const error = `a size ${range}, such as "256 MiB", "1 GiB" or 256 (MiB)`;
  return z.union(
    [
      z.int({ error }).min(limit.min, { error }).max(limit.max, { error }),
      z
        .string()
        .regex(SIZE_PATTERN, { error, abort: true })
        .refine((text) => inRange(sizeMiB(text), limit), { error }),
    ],
    { error },
  );
}

function inRange(value: number | undefined, limit: { min: number; max: number }): boolean {
  return value !== undefined && value >= limit.min && value <= limit.max;
}

const path = z
  .string({ error: 'a path such as /notes/{id}' })
  .superRefine((text, context) => {
    const problem = pathProblem(text);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem, params: { rule: true } });
  })
  .describe('Path of the route: literal segments, `{name}` for one segment, `{name+}` (last) for the rest of the path.');

const shortRoute = z
  .string({ error: 'a route such as "GET /notes/{id}"' })
  .superRefine((text, context) => {
    const route = parseShortRoute(text);
    if (typeof route === 'string') context.addIssue({ code: 'custom', message: route, params: { rule: true } });
  })
  .describe('A route in short: a path, or methods and a path, e.g. `GET /notes/{id}`, `GET,PUT /notes/{id}`, `/`.');

const methodsError = `a list of methods out of ${HTTP_METHODS.join(', ')}`;
const routeShape = {
  path,
  methods: z
    .array(z.enum(HTTP_METHODS, { error: `a method: ${HTTP_METHODS.join(', ')}` }), { error: methodsError })
    .min(1, { error: methodsError })
    .optional()
    .describe('Methods that the route takes; without it, all. GET answers HEAD too.'),
  ...conditionShape,
  ...policyShape,
};
const route = z
  .strictObject(routeShape, { error: 'a route: a path, "METHOD /path", or {path, methods}' })
  .superRefine(({ methods, websocket }, context) => {
    if (websocket === undefined || methods === undefined || methods.includes('GET')) return;
    context.addIssue({ code: 'custom', path: ['methods'], message: 'a WebSocket begins with GET; add it', params: { rule: true } });
  })
  .describe('A route: requests with this path (and one of these methods) call the function.');

const localRoute = z
  .strictObject({ ...routeShape, ...targetShape }, { error: `a route with ${TARGET_RULE}` })
  .superRefine((value, context) => {
    const targets = TARGET_KEYS.filter((key) => value[key] !== undefined);
    if (targets.length === 1) return;
    const message = targets.length === 0 ? `it leads nowhere; give it ${TARGET_RULE}` : `it leads to ${targets.join(' and ')}; one of them`;
    context.addIssue({ code: 'custom', message, params: { rule: true } });
  })
  .describe('A route that is answered without a function.');

const gateway = gatewaySection
  .extend({
    routes: z
      .array(localRoute, { error: 'a list of routes' })
      .max(ROUTES_MAX, { error: `at most ${ROUTES_MAX} routes` })
      .optional()
      .describe('Routes that lead to something else than a function.'),
  })
  .describe(gatewaySection.description!);

const oneRoute = z.union([shortRoute, route], { error: 'a route: a path, "METHOD /path", or {path, methods}' });

const environment = z
  .record(
    z.string().regex(/^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]{0,255}$/, { error: 'a name of an environment variable: letters, digits and _' }),
    z.union([z.string(), z.number(), z.boolean()], { error: 'a text, a number, true or false (an empty text is "")' }),
    { error: 'names and values of environment variables' },
  )
  .describe('Environment variables of the function. Numbers, true and false become text, exactly as they are written. Not for secrets.');

const { memoryMiB, timeoutMs, concurrency, instancesMin, instancesMax, cpus, tmpMiB, pids, queue, idleMs, windows, windowForMs } =
  SETTING_LIMITS;
const cpusError = `a number of CPUs from ${cpus.min} to ${cpus.max}, such as 0.5 or 2`;
const packageName = z
  .string({ error: 'the name of an npm package' })
  .regex(/^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-zA-Z0-9~-][a-zA-Z0-9._~-]*$/, {
    error: 'the name of an npm package, such as sharp or @scope/name',
  });
const glob = z
  .string({ error: 'a file or glob, relative to the manifest' })
  .min(1, { error: 'a file or glob, relative to the manifest' })
  .refine((text) => !text.startsWith('/') && !text.split('/').includes('..'), {
    error: 'a file or glob inside the folder of the manifest',
  });
const globs = z
  .array(glob, { error: 'a list of files or globs, such as [templates/**]' })
  .max(GLOBS_MAX, { error: `at most ${GLOBS_MAX} globs` });

const layer = z
  .string({ error: 'a folder or a .zip, relative to the manifest' })
  .min(1, { error: 'a folder or a .zip, relative to the manifest' })
  .refine((text) => !text.startsWith('/') && !text.split('/').includes('..'), {
    error: 'a folder or a .zip inside the folder of the manifest',
  });

const egressError = 'internet, none, or a list such as [api.stripe.com, "*.example.com:443"]';
const egressEntry = z.string({ error: EGRESS_RULE }).superRefine((text, context) => {
  const rule = parseEgressEntry(text);
  if (typeof rule === 'string') context.addIssue({ code: 'custom', message: `it ${rule}`, params: { rule: true } });
});
const cronError = 'five fields such as "0 8 * * 1-5": minute, hour, day of month, month, day of week';
const timezoneError = 'a time zone such as Europe/Madrid or UTC';
const instanceWindow = z
  .strictObject(
    {
      cron: z
        .string({ error: cronError })
        .superRefine((text, context) => {
          const problem = cronProblem(text);
          if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
        })
        .describe('When it opens: minute, hour, day of month, month, day of week.'),
      for: duration(windowForMs).describe('How long it stays open, e.g. `10h`.'),
      min: whole(instancesMin).describe('Instances that are kept ready while it is open.'),
      timezone: z
        .string({ error: timezoneError })
        .refine(isTimezone, { error: timezoneError })
        .optional()
        .describe('Time zone of `cron`, e.g. `Europe/Madrid`; without it, UTC. A time that the clock skips happens at the next one.'),
    },
    { error: 'a window such as {cron: "0 8 * * 1-5", for: 10h, min: 5, timezone: Europe/Madrid}' },
  )
  .describe('A time when more instances are kept ready.');

const settings = {
  runtime: z
    .enum(FUNCTION_RUNTIMES, { error: `a runtime: ${FUNCTION_RUNTIMES.join(', ')}` })
    .optional()
    .describe(
      'What runs the code: `provided` (a `bootstrap` that speaks AWS Lambda’s runtime API), `web` (any program that serves HTTP on $PORT), `wasm` (a WASI module), or a language. Without it, by the extension of `source`: .ts .mts .cts .js .mjs .cjs → nodejs26, .py → python3, .wasm → wasm.',
    ),
  form: z
    .enum(FORMS, { error: `a form: ${FORMS.join(', ')}` })
    .optional()
    .describe(
      'Whose way of writing functions the code follows: `lambda` (AWS), `workers` (Cloudflare), `azure`, `google`, or Virga’s own.',
    ),
  httpEvent: z
    .union([z.enum(HTTP_EVENTS), z.literal(1), z.literal(2)], { error: `the shape of an HTTP request: ${HTTP_EVENTS.join(', ')}` })
    .optional()
    .describe('Form `lambda`: the event of an HTTP request, as API Gateway (payload format 2.0 or 1.0) or a function URL gives it.'),
  memory: size(memoryMiB).optional().describe('Memory of one instance. Beyond it the instance is killed and the call answers 502.'),
  timeout: duration(timeoutMs)
    .optional()
    .describe(
      'How long one call may take once an instance has it. Beyond it the instance is killed and the call answers 504. It waits as long for a busy instance, then it is answered 429; what a cold start takes does not count.',
    ),
  concurrency: whole(concurrency).optional().describe('Calls that one instance handles at the same time.'),
  instances: z
    .strictObject(
      {
        min: whole(instancesMin).optional().describe('Instances that are kept ready, even when idle.'),
        max: whole(instancesMax).optional().describe('Instances at most; further calls wait in the queue.'),
        windows: z
          .array(instanceWindow, { error: 'a list of windows' })
          .max(windows.max, { error: `at most ${windows.max} windows` })
          .optional()
          .describe('Times when more than `min` instances are kept ready, begun a moment ahead.'),
      },
      { error: 'bounds such as {min: 0, max: 20}' },
    )
    .optional()
    .describe('How many instances there may be.'),
  cpus: z
    .number({ error: cpusError })
    .min(cpus.min, { error: cpusError })
    .max(cpus.max, { error: cpusError })
    .nullable()
    .optional()
    .describe('CPUs that one instance may use at most, e.g. 0.5. Without it there is no quota.'),
  tmp: size(tmpMiB).optional().describe('Size of /tmp of one instance. What is in it counts as memory of the instance.'),
  pids: whole(pids).optional().describe('Processes and threads in one instance at most.'),
  isolation: z
    .enum(ISOLATIONS, { error: `an isolation: ${ISOLATIONS.join(' or ')}` })
    .optional()
    .describe(
      'How strong the wall is: `standard` (namespaces, cgroups and a filter of system calls, on the kernel of the machine), or `strong` (a kernel of its own: gVisor; slower to start and at system calls).',
    ),
  queue: z
    .int({
      error: ({ input }) =>
        `a whole number from ${queue.min} to ${queue.max}${typeof input === 'string' ? ': how many calls may wait; messages of a queue come by `triggers: [{queue: …}]`' : ''}`,
    })
    .min(queue.min, { error: `a whole number from ${queue.min} to ${queue.max}` })
    .max(queue.max, { error: `a whole number from ${queue.min} to ${queue.max}` })
    .optional()
    .describe('Calls that may wait for an instance; the next one is answered 429.'),
  idle: duration(idleMs)
    .optional()
    .describe(
      'How long an instance without calls is kept at most; sooner it goes when another needs its memory, or when its cold start is not worth it.',
    ),
  env: environment.optional(),
  egress: z
    .union(
      [
        z.enum(['internet', 'none'], { error: egressError }),
        z.array(egressEntry, { error: egressError }).max(EGRESS_ENTRIES_MAX, { error: `at most ${EGRESS_ENTRIES_MAX} entries` }),
      ],
      { error: egressError },
    )
    .optional()
    .describe(
      'What the code may connect to: `internet` (never private networks or this machine), `none`, or a list of names, `*.names` (all below), addresses and ranges, each with `:port` if wanted.',
    ),
  include: globs
    .optional()
    .describe('Further files that the code reads at run time, as globs relative to the manifest. They keep their place.'),
  external: z
    .array(packageName, { error: 'a list of npm packages' })
    .max(GLOBS_MAX, { error: `at most ${GLOBS_MAX} packages` })
    .optional()
    .describe('npm packages to carry as files instead of bundling them. Packages with native code are found without this.'),
  layers: z
    .array(layer, { error: 'a list of folders or .zip files' })
    .max(LAYERS_MAX, { error: `at most ${LAYERS_MAX} layers` })
    .optional()
    .describe('Folders or .zip files whose content the code finds under /opt, as layers of AWS Lambda; of equal names the last counts.'),
};

export const functionSchema = z
  .strictObject(
    {
      source: z
        .string({ error: 'the source file of the function, relative to the manifest' })
        .min(1, { error: 'the source file of the function, relative to the manifest' })
        .refine((text) => !text.startsWith('/') && !text.split('/').includes('..'), { error: 'a file inside the folder of the manifest' })
        .describe(
          'The source file, relative to the manifest, e.g. `functions/hello.ts`. A folder or a .zip is taken as it is, without a build.',
        ),
      handler: z
        .string({ error: 'the name of what the source exports' })
        .regex(/^[^\0-\x1f#]{1,256}$/, { error: 'the name of what the source exports, such as handler' })
        .optional()
        .describe(
          'Name of the export to call. Without it: `default` with fetch, perhaps event beside it (web style), else `handler`. With a folder or a .zip: file and export, as `index.handler`.',
        ),
      command: z
        .union([z.string().min(1), z.array(z.string().max(4_096)).min(1).max(SETTING_LIMITS.command.max)], {
          error: 'a command such as "node server.js", or a list of its words',
        })
        .optional()
        .describe('Runtimes web, bun and deno: what starts the program. Without it: by the file of `source`.'),
      http: z
        .union([shortRoute, z.array(oneRoute, { error: 'a list of routes' }).max(ROUTES_MAX, { error: `at most ${ROUTES_MAX} routes` })], {
          error: 'a route such as "GET /notes/{id}", or a list of routes',
        })
        .optional()
        .describe('Routes that call the function. Without any it can only be invoked directly.'),
      live: live.optional(),
      shadow: shadow.optional(),
      ...consumerShape,
      ...settings,
    },
    { error: 'the settings of a function, at least its `source`' },
  )
  .describe('One function.');

export const defaultsSchema = z
  .strictObject(settings, { error: 'settings for all functions' })
  .describe(
    'Settings for all functions that do not say otherwise. `env` and `instances` are merged key by key; `include`, `external` and `layers` are joined.',
  );

export const manifestSchema = z
  .strictObject(
    {
      $schema: z.string().optional().describe('Where editors find the JSON Schema of this file.'),
      project: name.describe(`Name of the project: ${NAME_RULE}. It is served at http://<project>.localhost:8080/.`),
      defaults: defaultsSchema.optional(),
      gateway: gateway.optional(),
      functions: z
        .record(name, functionSchema, { error: 'the functions by name' })
        .describe(`The functions of the project by name: ${NAME_RULE}.`),
      ...sourcesShape,
    },
    { error: 'a mapping with `project` and `functions`' },
  )
  .describe('virga.yaml: a whole project, with its functions and routes.');

export type ManifestInput = z.input<typeof manifestSchema>;
export type SettingsInput = z.input<typeof defaultsSchema>;
export type WindowInput = z.input<typeof instanceWindow>;

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

let published: JsonSchema | undefined;

/** Keys that may stand at a place of the manifest, for suggestions; empty: any. */
export function keysAt(place: readonly PropertyKey[]): string[] {
  let at: JsonSchema[] = [(published ??= manifestJsonSchema() as JsonSchema)];
  for (const key of place) at = at.flatMap(formsOf).flatMap((schema) => below(schema, key));
  return [...new Set(at.flatMap(formsOf).flatMap((schema) => Object.keys(schema.properties ?? {})))];
}

/** A schema of several forms is each of them. */
function formsOf(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(formsOf);
}

function below(schema: JsonSchema, key: PropertyKey): JsonSchema[] {
  if (typeof key === 'number') return schema.items === undefined ? [] : [schema.items];
  const own = schema.properties?.[String(key)];
  if (own !== undefined) return [own];
  return typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : [];
}

/** Published as docs/reference/virga.schema.json; `virga reference schema` prints it. */
export function manifestJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(manifestSchema, { io: 'input', target: 'draft-2020-12' }) as Record<string, unknown>;
  return { $schema: schema['$schema'], title: 'virga.yaml', ...schema };
}
