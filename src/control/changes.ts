// What changes between two states of a project, in words for people: the same for a deploy, a dry run and a rollback.
// Invariant: values of environment variables never appear (they may be secrets); names do. Pure.
import type { Change } from '../protocol/control-api.ts';
import { egressText } from '../protocol/egress.ts';
import type { InstanceWindow, Route, VersionSettings } from '../protocol/settings.ts';
import { routeName } from './routes.ts';

export interface Side {
  functions: Map<string, { number: number; artifact: string; settings: VersionSettings }>;
  routes: Route[];
}

export function changesBetween(before: Side, after: Side): Change[] {
  return [...functionChanges(before, after), ...routeChanges(before.routes, after.routes)];
}

export function anyChange(changes: readonly Change[]): boolean {
  return changes.some((change) => change.change !== 'none');
}

function functionChanges(before: Side, after: Side): Change[] {
  return sortedUnion(before.functions.keys(), after.functions.keys()).map((name): Change => {
    const old = before.functions.get(name);
    const now = after.functions.get(name);
    if (now === undefined) return { kind: 'function', name, change: 'remove', detail: [] };
    if (old === undefined) return { kind: 'function', name, change: 'create', detail: summaryOf(now), version: now.number };
    if (old.number === now.number) return { kind: 'function', name, change: 'none', detail: [], version: now.number };
    const detail = old.artifact === now.artifact ? [] : [`code ${short(old.artifact)} → ${short(now.artifact)}`];
    return {
      kind: 'function',
      name,
      change: 'update',
      detail: [...detail, ...settingChanges(old.settings, now.settings)],
      version: now.number,
    };
  });
}

function routeChanges(before: readonly Route[], after: readonly Route[]): Change[] {
  const old = new Map(before.map((route) => [routeName(route), route]));
  const now = new Map(after.map((route) => [routeName(route), route]));
  return sortedUnion(old.keys(), now.keys()).map((name): Change => {
    const was = old.get(name)?.function;
    const is = now.get(name)?.function;
    if (is === undefined) return { kind: 'route', name, change: 'remove', detail: [`was function ${was}`] };
    if (was === undefined) return { kind: 'route', name, change: 'create', detail: [`function ${is}`] };
    if (was === is) return { kind: 'route', name, change: 'none', detail: [] };
    return { kind: 'route', name, change: 'update', detail: [`function ${was} → ${is}`] };
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
