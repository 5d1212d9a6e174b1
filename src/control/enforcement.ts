// A setting which this node cannot enforce is refused at deploy with the reason, never ignored. A function that asks for
// nothing (its setting is the default) is taken, with a warning that says what does not hold. Called by apply-state.ts.
import { EGRESS_DEFAULT, egressText, privateEgress } from '../protocol/egress.ts';
import { VirgaError } from '../protocol/errors.ts';
import { SETTING_LIMITS } from '../protocol/settings.ts';
import type { Isolation, VersionSettings } from '../protocol/settings.ts';
import type { DriverStats, EdgeStats } from '../protocol/stats.ts';

type Sandbox = NonNullable<EdgeStats['sandbox']>;
type Limit = 'memory' | 'cpus' | 'pids' | 'tmp' | 'network';

interface Refused {
  function: string;
  setting: string;
  value: number | string;
  reason: string;
  remedy?: string;
}

interface Asked {
  function: string;
  isolation: Isolation;
  setting: keyof VersionSettings;
  limit: Limit;
  value: number | string;
  explicit: boolean;
}

/** Returns a warning about what does not hold; undefined when all does. Fails with `setting_not_enforceable`. */
export function checkEnforcement(
  versions: { function: string; settings: VersionSettings }[],
  node: { sandbox: Sandbox | null | undefined; sandboxMemoryMiB: number; egressPrivate: readonly string[] },
): string | undefined {
  const refused: Refused[] = versions
    .filter(({ settings }) => settings.memoryMiB > node.sandboxMemoryMiB)
    .map(({ function: fn, settings }) => ({
      function: fn,
      setting: 'memoryMiB',
      value: settings.memoryMiB,
      reason: `the sandboxes of this node have ${node.sandboxMemoryMiB} MiB in all (VIRGA_LIMIT_SANDBOX_MEMORY_MIB)`,
    }));
  refused.push(...versions.flatMap(({ function: fn, settings }) => privateOf(fn, settings, node.egressPrivate)));
  const asked = versions.flatMap(({ function: fn, settings }) => askedBy(fn, settings));
  const { sandbox } = node;
  if (sandbox === undefined || sandbox === null) {
    refuse(refused);
    if (!asked.some((ask) => ask.explicit)) return undefined;
    return 'the edge does not answer, so it is not known whether this node can enforce all settings; the functions start only if it can';
  }
  refused.push(...versions.flatMap((version) => runtimeOf(version, sandbox)));
  if (sandbox.strong === null) refused.push(...versions.flatMap((version) => strongOf(version, sandbox.strongReason)));
  const driverOf = (ask: Asked): DriverStats => (ask.isolation === 'strong' ? (sandbox.strong ?? sandbox) : sandbox);
  const unheld = asked.filter((ask) => !holds(driverOf(ask), ask));
  for (const ask of unheld) {
    if (ask.explicit) refused.push({ function: ask.function, setting: ask.setting, value: ask.value, reason: reasonOf(driverOf(ask)) });
  }
  refuse(refused);
  const first = unheld[0];
  if (first === undefined) return undefined;
  const { driver } = driverOf(first);
  const because = `${driver} sandbox: ${reasonOf(driverOf(first))}`;
  const unlimited = unheld.filter((ask) => ask.limit !== 'network' || driverOf(ask).enforcement.network === null);
  if (unlimited.length === 0) return `functions reach nothing on the network from this node (${because})`;
  const limits = [...new Set(unlimited.map((ask) => ask.limit))].join(', ');
  return `this node holds functions to no limit of ${limits} (${because})`;
}

function holds({ enforcement }: DriverStats, ask: Asked): boolean {
  // `none` holds where nothing is reached at all.
  if (ask.limit === 'network' && ask.value !== 'none') return enforcement.network === 'relay';
  return enforcement[ask.limit] !== null;
}

function runtimeOf({ function: fn, settings }: { function: string; settings: VersionSettings }, { runtimes }: Sandbox): Refused[] {
  const remedy = runtimes.find(({ name }) => name === settings.runtime)?.remedy;
  if (typeof remedy !== 'string') return [];
  return [{ function: fn, setting: 'runtime', value: settings.runtime, reason: 'it is not installed', remedy }];
}

/** Never run with less than it asks for: see node-driver.ts for one that was deployed before gVisor went away. */
function strongOf({ function: fn, settings }: { function: string; settings: VersionSettings }, reason: string | null): Refused[] {
  if (settings.isolation !== 'strong') return [];
  const remedy = 'remedy that on the node, or set isolation to standard in virga.yaml';
  return [{ function: fn, setting: 'isolation', value: 'strong', reason: reason ?? 'it has no such sandboxes', remedy }];
}

function reasonOf(driver: DriverStats): string {
  return driver.enforcement.notes.join('; ') || `the ${driver.driver} sandbox has no means for it here`;
}

function askedBy(fn: string, settings: VersionSettings): Asked[] {
  const asks: Asked[] = [];
  const { isolation } = settings;
  const ask = (setting: 'memoryMiB' | 'pids' | 'tmpMiB', limit: Limit): void => {
    asks.push({
      function: fn,
      isolation,
      setting,
      limit,
      value: settings[setting],
      explicit: settings[setting] !== SETTING_LIMITS[setting].default,
    });
  };
  ask('memoryMiB', 'memory');
  ask('pids', 'pids');
  ask('tmpMiB', 'tmp');
  if (settings.cpus !== null) asks.push({ function: fn, isolation, setting: 'cpus', limit: 'cpus', value: settings.cpus, explicit: true });
  const { egress } = settings;
  asks.push({
    function: fn,
    isolation,
    setting: 'egress',
    limit: 'network',
    value: egressText(egress),
    explicit: egress !== EGRESS_DEFAULT,
  });
  return asks;
}

function privateOf(fn: string, { egress }: VersionSettings, opened: readonly string[]): Refused[] {
  if (typeof egress === 'string') return [];
  return egress.flatMap((entry) => {
    const problem = privateEgress(entry, opened);
    return problem === undefined
      ? []
      : [{ function: fn, setting: 'egress', value: entry, reason: `it ${problem.why}`, remedy: problem.remedy }];
  });
}

/** Clients would be sent to where nobody answers. */
export function refuseRedirect(project: string): never {
  throw new VirgaError(
    'setting_not_enforceable',
    `project '${project}' asks for gateway.https redirect, but this node serves no HTTPS: start it with --https-port, or name the proxy that does in VIRGA_TRUSTED_PROXIES; or leave the setting out`,
  );
}

function refuse(refused: Refused[]): void {
  const first = refused[0];
  if (first === undefined) return;
  const more = refused.length > 1 ? ` (and ${refused.length - 1} more, see detail)` : '';
  const remedy = first.remedy ?? 'remove the setting from virga.yaml or lower it';
  const message = `function '${first.function}' asks for ${first.setting} ${first.value}, which this node ${first.setting === 'runtime' ? 'does not have' : 'cannot enforce'}: ${first.reason}${more}; ${remedy}`;
  throw new VirgaError('setting_not_enforceable', message, { detail: { refused } });
}
