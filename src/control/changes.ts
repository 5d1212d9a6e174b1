// What changes between two states of a project, in words for people: the same for a deploy, a dry run and a rollback.
// Invariant: values of environment variables never appear (they may be secrets); names do. Pure.
import type { Change } from '../protocol/control-api.ts';
import { egressText } from '../protocol/egress.ts';
import type { GatewaySection } from '../protocol/policies/policy.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { Traffic } from '../protocol/policies/traffic.ts';
import type { InstanceWindow, Route, VersionSettings } from '../protocol/settings.ts';
import { TARGET_KEYS } from '../protocol/policies/targets.ts';
import { targetText } from '../protocol/route-text.ts';
import { consumerChanges, sourceChanges } from './event-changes.ts';
import { canonicalJson } from './fingerprint.ts';
import { routeName } from './routes.ts';
import { trafficText } from './traffic.ts';

export interface Side {
  functions: Map<string, { number: number; artifact: string; settings: VersionSettings }>;
  /** Of functions that say which of their versions get their requests. */
  traffic?: ReadonlyMap<string, Traffic>;
  routes: Route[];
  gateway?: GatewaySection | undefined;
  folders?: Record<string, string> | undefined;
  events?: EventsSection | undefined;
}

export function changesBetween(before: Side, after: Side): Change[] {
  return [
    ...functionChanges(before, after),
    ...routeChanges(before.routes, after.routes),
    ...gatewayChanges(before.gateway, after.gateway),
    ...folderChanges(before.folders, after.folders),
    ...sourceChanges(before.events ?? {}, after.events ?? {}),
  ];
}

export function anyChange(changes: readonly Change[]): boolean {
  return changes.some((change) => change.change !== 'none');
}

function functionChanges(before: Side, after: Side): Change[] {
  return sortedUnion(before.functions.keys(), after.functions.keys()).map((name): Change => {
    const old = before.functions.get(name);
    const now = after.functions.get(name);
    if (now === undefined) return { kind: 'function', name, change: 'remove', detail: [] };
    if (old === undefined)
      return {
        kind: 'function',
        name,
        change: 'create',
        detail: [...summaryOf(now), ...trafficChanges(undefined, after.traffic?.get(name)), ...consumerChanges(name, {}, after.events)],
        version: now.number,
      };
    const traffic = [
      ...trafficChanges(before.traffic?.get(name), after.traffic?.get(name)),
      ...consumerChanges(name, before.events, after.events),
    ];
    if (old.number === now.number && traffic.length === 0)
      return { kind: 'function', name, change: 'none', detail: [], version: now.number };
    const detail = old.artifact === now.artifact ? [] : [`code ${short(old.artifact)} → ${short(now.artifact)}`];
    return {
      kind: 'function',
      name,
      change: 'update',
      detail: [...detail, ...settingChanges(old.settings, now.settings), ...traffic],
      version: now.number,
    };
  });
}

function trafficChanges(before: Traffic | undefined, after: Traffic | undefined): string[] {
  const [was, is] = [trafficText(before ?? {}), trafficText(after ?? {})];
  if (was === is) return [];
  return [is === '' ? 'the deployed version gets all requests' : is];
}

function routeChanges(before: readonly Route[], after: readonly Route[]): Change[] {
  const old = new Map(before.map((route) => [routeName(route), route]));
  const now = new Map(after.map((route) => [routeName(route), route]));
  return sortedUnion(old.keys(), now.keys()).map((name): Change => {
    const was = old.get(name);
    const is = now.get(name);
    if (is === undefined) return { kind: 'route', name, change: 'remove', detail: [`was ${targetText(was!)}`] };
    if (was === undefined) return { kind: 'route', name, change: 'create', detail: [targetText(is), ...keyChanges({}, is.policy)] };
    const detail = [...targetChanges(was, is), ...keyChanges(was.policy, is.policy)];
    return { kind: 'route', name, change: detail.length === 0 ? 'none' : 'update', detail };
  });
}

function targetChanges(was: Route, is: Route): string[] {
  if (was.function !== undefined && is.function !== undefined)
    return was.function === is.function ? [] : [`function ${was.function} → ${is.function}`];
  const [old, now] = [targetText(was), targetText(is)];
  if (old !== now) return [`${old} → ${now}`];
  return TARGET_KEYS.flatMap((key) => (canonicalJson(was[key]) === canonicalJson(is[key]) ? [] : [`${key} changed`]));
}

function gatewayChanges(before: GatewaySection | undefined, after: GatewaySection | undefined): Change[] {
  if (before === undefined && after === undefined) return [];
  const detail = keyChanges(before, after);
  const change = detail.length === 0 ? 'none' : before === undefined ? 'create' : after === undefined ? 'remove' : 'update';
  return [{ kind: 'gateway', name: 'gateway', change, detail }];
}

function folderChanges(before: Record<string, string> = {}, after: Record<string, string> = {}): Change[] {
  return sortedUnion(Object.keys(before), Object.keys(after)).map((name): Change => {
    const [was, is] = [before[name], after[name]];
    if (was === is) return { kind: 'folder', name, change: 'none', detail: [] };
    if (was === undefined) return { kind: 'folder', name, change: 'create', detail: [`files ${short(is!)}`] };
    if (is === undefined) return { kind: 'folder', name, change: 'remove', detail: [] };
    return { kind: 'folder', name, change: 'update', detail: [`files ${short(was)} → ${short(is)}`] };
  });
}

/** Names of what differs, without its values. */
function keyChanges(before: object | undefined, after: object | undefined): string[] {
  const [old, now] = [new Map(Object.entries(before ?? {})), new Map(Object.entries(after ?? {}))];
  return sortedUnion(old.keys(), now.keys()).flatMap((key) => {
    if (now.get(key) === undefined) return old.get(key) === undefined ? [] : [`${key} removed`];
    if (old.get(key) === undefined) return [`${key} added`];
    return canonicalJson(old.get(key)) === canonicalJson(now.get(key)) ? [] : [`${key} changed`];
  });
}

type Shown = Exclude<keyof VersionSettings, 'env'>;
const SHOWN: Record<Shown, (settings: VersionSettings) => string> = {
  runtime: ({ runtime }) => runtime,
  handler: ({ handler }) => handler,
  memoryMiB: ({ memoryMiB }) => `${memoryMiB} MiB`,
  timeoutMs: ({ timeoutMs }) => duration(timeoutMs),
  concurrency: ({ concurrency }) => String(concurrency),
  instances: ({ instances: { min, max, windows } }) => `${min} to ${max}${(windows ?? []).map(windowText).join('')}`,
  form: ({ form }) => form,
  command: ({ command }) => (command === undefined ? 'by the runtime' : command.join(' ')),
  httpEvent: ({ httpEvent }) => httpEvent ?? '2.0',
  cpus: ({ cpus }) => (cpus === null ? 'no quota' : String(cpus)),
  tmpMiB: ({ tmpMiB }) => `${tmpMiB} MiB`,
  pids: ({ pids }) => String(pids),
  isolation: ({ isolation }) => isolation,
  queue: ({ queue }) => String(queue),
  idleMs: ({ idleMs }) => duration(idleMs),
  egress: ({ egress }) => egressText(egress),
};
const LABELS: Partial<Record<Shown, string>> = { memoryMiB: 'memory', timeoutMs: 'timeout', tmpMiB: 'tmp', idleMs: 'idle' };

function settingChanges(old: VersionSettings, now: VersionSettings): string[] {
  const detail: string[] = [];
  for (const key of Object.keys(SHOWN) as Shown[]) {
    const [was, is] = [SHOWN[key](old), SHOWN[key](now)];
    if (was !== is) detail.push(`${LABELS[key] ?? key} ${was} → ${is}`);
  }
  for (const variable of sortedUnion(Object.keys(old.env), Object.keys(now.env))) {
    if (!Object.hasOwn(now.env, variable)) detail.push(`env ${variable} removed`);
    else if (!Object.hasOwn(old.env, variable)) detail.push(`env ${variable} added`);
    else if (old.env[variable] !== now.env[variable]) detail.push(`env ${variable} changed`);
  }
  return detail;
}

function summaryOf(version: { artifact: string; settings: VersionSettings }): string[] {
  const { settings } = version;
  return [
    `runtime ${settings.runtime}`,
    `memory ${settings.memoryMiB} MiB`,
    `timeout ${duration(settings.timeoutMs)}`,
    `code ${short(version.artifact)}`,
  ];
}

function windowText({ cron, forMs, min, timezone }: InstanceWindow): string {
  return `, at least ${min} for ${duration(forMs)} from ${cron} (${timezone})`;
}

function short(sha256: string): string {
  return sha256.slice(0, 12);
}

function duration(ms: number): string {
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000} min`;
  return ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
}

function sortedUnion(a: Iterable<string>, b: Iterable<string>): string[] {
  return [...new Set([...a, ...b])].sort();
}
