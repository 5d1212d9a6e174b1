// What a deployed project is: the settings of a version, the routes, and the state that a deployment makes current.
// Invariant: these shapes are what the records store and what the control API takes; the manifest of the CLI
// (virga.yaml, with its defaults and units) is turned into them on the client. Used by cli, control, gateway, functions.

import { EGRESS_DEFAULT } from './egress.ts';
import type { Egress } from './egress.ts';
import type { HttpMethod } from './http-methods.ts';
import type { Conditions } from './policies/conditions.ts';
import type { GatewaySection, RoutePolicy } from './policies/policy.ts';
import type { LocalTargets } from './policies/targets.ts';
import type { EventsSection } from './sources/sources.ts';
import type { LiveRules, ShadowRules, Traffic } from './policies/traffic.ts';

/** What a sandbox boots. */
export const RUNTIMES = ['nodejs26', 'nodejs24', 'python3'] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/**
 * What a function can ask for. Beside those that are booted: `provided` brings its own, which speaks AWS Lambda's runtime API;
 * `web` is any program that serves HTTP on $PORT, `bun` and `deno` are such programs with a command of their own; `wasm` is a
 * WASI module. In a sandbox of these runs a Node guest, which starts the program and stands between it and the engine.
 */
export const FUNCTION_RUNTIMES = [...RUNTIMES, 'provided', 'web', 'wasm', 'bun', 'deno'] as const;
export type FunctionRuntime = (typeof FUNCTION_RUNTIMES)[number];

/** What is booted in the sandbox of such a function. */
export function bootedRuntime(runtime: FunctionRuntime): RuntimeName {
  return isBooted(runtime) ? runtime : 'nodejs26';
}

/** Whether the function's code runs in the runtime that is booted, and not beside it. */
export function isBooted(runtime: FunctionRuntime): runtime is RuntimeName {
  return (RUNTIMES as readonly string[]).includes(runtime);
}

/** Whose way of writing functions the code follows: Virga's own, or that of another cloud. */
export const FORMS = ['native', 'lambda', 'workers', 'azure', 'google'] as const;
export type Form = (typeof FORMS)[number];

/** The shape in which AWS Lambda code gets an HTTP request: API Gateway's payload formats, or that of a function URL. */
export const HTTP_EVENTS = ['2.0', '1.0', 'function-url'] as const;
export type HttpEvent = (typeof HTTP_EVENTS)[number];

/** While it is open, at least `min` instances are kept ready. */
export interface InstanceWindow {
  /** When it opens: a cron expression of five fields, in `timezone` (IANA, e.g. `Europe/Madrid`). */
  cron: string;
  /** How long it stays open, ms. */
  forMs: number;
  min: number;
  timezone: string;
}

/**
 * standard: the walls of the node's own driver, in front of the kernel of the host. strong: a kernel of the sandbox's own, so that
 * what the host's kernel gets wrong is out of reach.
 */
export const ISOLATIONS = ['standard', 'strong'] as const;
export type Isolation = (typeof ISOLATIONS)[number];

/** Everything about a version but its code. Two deploys with equal settings and an equal artifact make no new version. */
export interface VersionSettings {
  runtime: FunctionRuntime;
  form: Form;
  /** `<file>` or `<file>#<export>` inside the artifact; see InitPayload.handler. */
  handler: string;
  /** Runtimes that start a program: its arguments, the first of which is the program. Absent: what the runtime does with the file of `handler`. */
  command?: string[] | undefined;
  /** Form `lambda`; absent: 2.0. */
  httpEvent?: HttpEvent | undefined;
  memoryMiB: number;
  timeoutMs: number;
  /** Requests that one instance handles at the same time. */
  concurrency: number;
  instances: { min: number; max: number; /** Times when more are kept ready. */ windows?: InstanceWindow[] | undefined };
  /** CPUs that an instance may use at most, e.g. 0.5; null: no quota. */
  cpus: number | null;
  /** Size limit of /tmp inside the sandbox, MiB. */
  tmpMiB: number;
  /** Processes and threads in the sandbox at most. */
  pids: number;
  isolation: Isolation;
  /** Invocations that may wait for an instance; the next one gets 429. */
  queue: number;
  /** How long an idle instance is kept at most, ms. */
  idleMs: number;
  env: Record<string, string>;
  /** What it may reach beyond the machine. */
  egress: Egress;
}

/** Settings that came after the first versions were stored, as those are meant. */
const LATER_SETTINGS = { egress: EGRESS_DEFAULT, isolation: 'standard', form: 'native' } satisfies Partial<VersionSettings>;

/** The settings of a version as it was stored, perhaps by an earlier Virga. */
export function completeSettings(stored: Omit<VersionSettings, keyof typeof LATER_SETTINGS> & Partial<VersionSettings>): VersionSettings {
  return { ...LATER_SETTINGS, ...stored };
}

/** Without what says no more than its absence: a version stored before a setting existed is equal to one deployed after. */
export function essentialSettings(settings: VersionSettings): Partial<VersionSettings> {
  const later = Object.entries(LATER_SETTINGS);
  return Object.fromEntries(Object.entries(settings).filter(([key, value]) => !later.some((one) => one[0] === key && one[1] === value)));
}

export const SETTING_LIMITS = {
  memoryMiB: { min: 32, max: 65_536, default: 256 },
  timeoutMs: { min: 100, max: 900_000, default: 30_000 },
  /** `ofPrograms`: of runtimes that start a program which serves HTTP. */
  concurrency: { min: 1, max: 1_000, default: 1, ofPrograms: 80 },
  instancesMin: { min: 0, max: 1_000, default: 0 },
  instancesMax: { min: 1, max: 1_000, default: 20 },
  windows: { max: 20 },
  windowForMs: { min: 60_000, max: 7 * 86_400_000 },
  cpus: { min: 0.05, max: 64, default: null },
  tmpMiB: { min: 1, max: 65_536, default: 64 },
  pids: { min: 16, max: 4_096, default: 128 },
  queue: { min: 0, max: 100_000, default: 1_000 },
  idleMs: { min: 0, max: 86_400_000, default: 300_000 },
  envBytes: { max: 32_768 },
  command: { max: 100 },
} as const;

/** Leads to exactly one of: a function, or what policies/targets.ts lists. */
export interface Route extends LocalTargets {
  /** `/notes/{id}`, `/files/{path+}` (the rest of the path, at least one segment), `/` … Literal segments are percent-decoded. */
  path: string;
  /** null: every method. GET implies HEAD. */
  methods: HttpMethod[] | null;
  function?: string | undefined;
  /** What a request has to have beside path and method; absent: nothing. */
  conditions?: Conditions | undefined;
  /** What the gateway does for it beside calling the function; absent: what it does for all routes of the project. */
  policy?: RoutePolicy | undefined;
}

/** What one deployment makes current, whole. */
export interface ProjectState {
  /** `version`: the deployed one, which gets the requests unless `live` says otherwise. */
  functions: Record<string, { version: number } & Traffic>;
  routes: Route[];
  /** Absent: nothing is said of it. */
  gateway?: GatewaySection | undefined;
  /** Of routes with `static`: folder → sha256 of its artifact. Absent: there are none. */
  folders?: Record<string, string> | undefined;
  /** Queues, topics, streams, schedules, and what functions do with them. Absent: there are none. */
  events?: EventsSection | undefined;
}

/** One function in a deploy request. The artifact was uploaded before. */
export interface DeployFunction {
  artifact: string;
  settings: VersionSettings;
  live?: LiveRules | undefined;
  shadow?: ShadowRules | undefined;
}

export interface DeployRequest {
  functions: Record<string, DeployFunction>;
  routes: Route[];
  gateway?: GatewaySection | undefined;
  /** Of routes with `static`: folder → sha256 of its artifact, which was uploaded before. */
  folders?: Record<string, string> | undefined;
  events?: EventsSection | undefined;
}

export const NAME_PATTERN = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
/** Said whenever a name is refused. */
export const NAME_RULE = 'lower-case letters, digits and inner hyphens, at most 40, beginning with a letter';
export const SHA256_PATTERN = /^[0-9a-f]{64}$/;
