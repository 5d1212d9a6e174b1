// A setting which this node cannot enforce is refused at deploy with the reason, never ignored. A function that asks for
// nothing (its setting is the default) is taken, with a warning that says what does not hold. Called by apply-state.ts.
import { EGRESS_DEFAULT, egressText, privateEgress } from '../protocol/egress.ts';
import { VirgaError } from '../protocol/errors.ts';
import { SETTING_LIMITS } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';
import type { EdgeStats } from '../protocol/stats.ts';

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
  const { network } = sandbox.enforcement;
  // `none` holds where nothing is reached at all.
  const unheld = asked.filter((ask) =>
    ask.limit === 'network' && ask.value !== 'none' ? network !== 'relay' : sandbox.enforcement[ask.limit] === null,
  );
  const reason = sandbox.enforcement.notes.join('; ') || `the ${sandbox.driver} sandbox has no means for it here`;
  for (const ask of unheld) {
    if (ask.explicit) refused.push({ function: ask.function, setting: ask.setting, value: ask.value, reason });
  }
  refuse(refused);
  if (unheld.length === 0) return undefined;
  const unlimited = unheld.filter((ask) => ask.limit !== 'network' || network === null);
  if (unlimited.length === 0) return `functions reach nothing on the network from this node (${sandbox.driver} sandbox: ${reason})`;
  const limits = [...new Set(unlimited.map((ask) => ask.limit))].join(', ');
  return `this node holds functions to no limit of ${limits} (${sandbox.driver} sandbox: ${reason})`;
}

function askedBy(fn: string, settings: VersionSettings): Asked[] {
  const asks: Asked[] = [];
  const ask = (setting: 'memoryMiB' | 'pids' | 'tmpMiB', limit: Limit): void => {
    asks.push({ function: fn, setting, limit, value: settings[setting], explicit: settings[setting] !== SETTING_LIMITS[setting].default });
  };
  ask('memoryMiB', 'memory');
  ask('pids', 'pids');
  ask('tmpMiB', 'tmp');
  if (settings.cpus !== null) asks.push({ function: fn, setting: 'cpus', limit: 'cpus', value: settings.cpus, explicit: true });
  const { egress } = settings;
  asks.push({ function: fn, setting: 'egress', limit: 'network', value: egressText(egress), explicit: egress !== EGRESS_DEFAULT });
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

function refuse(refused: Refused[]): void {
  const first = refused[0];
  if (first === undefined) return;
  const more = refused.length > 1 ? ` (and ${refused.length - 1} more, see detail)` : '';
  const remedy = first.remedy ?? 'remove the setting from virga.yaml or lower it';
  const message = `function '${first.function}' asks for ${first.setting} ${first.value}, which this node cannot enforce: ${first.reason}${more}; ${remedy}`;
  throw new VirgaError('setting_not_enforceable', message, { detail: { refused } });
}
