// A setting which this node cannot enforce is refused at deploy with the reason, never ignored. A function that asks for
// nothing (its setting is the default) is taken, with a warning that says what does not hold. Called by apply-state.ts.
import { VirgaError } from '../protocol/errors.ts';
import { SETTING_LIMITS } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';
import type { EdgeStats } from '../protocol/stats.ts';

type Sandbox = NonNullable<EdgeStats['sandbox']>;
type Limit = 'memory' | 'cpus' | 'pids' | 'tmp';

interface Asked {
  function: string;
  setting: keyof VersionSettings;
  limit: Limit;
  value: number;
  explicit: boolean;
}

/** Returns a warning about what does not hold; undefined when all does. Fails with `setting_not_enforceable`. */
export function checkEnforcement(
  versions: { function: string; settings: VersionSettings }[],
  node: { sandbox: Sandbox | null | undefined; sandboxMemoryMiB: number },
): string | undefined {
  const refused = versions
    .filter(({ settings }) => settings.memoryMiB > node.sandboxMemoryMiB)
    .map(({ function: fn, settings }) => ({
      function: fn,
      setting: 'memoryMiB',
      value: settings.memoryMiB,
      reason: `the sandboxes of this node have ${node.sandboxMemoryMiB} MiB in all (VIRGA_LIMIT_SANDBOX_MEMORY_MIB)`,
    }));
  const asked = versions.flatMap(({ function: fn, settings }) => askedBy(fn, settings));
  const { sandbox } = node;
  if (sandbox === undefined || sandbox === null) {
    refuse(refused);
    if (!asked.some((ask) => ask.explicit)) return undefined;
    return 'the edge does not answer, so it is not known whether this node can enforce all settings; the functions start only if it can';
  }
  const unheld = asked.filter((ask) => sandbox.enforcement[ask.limit] === null);
  const reason = sandbox.enforcement.notes.join('; ') || `the ${sandbox.driver} sandbox has no means for it here`;
  for (const ask of unheld) {
    if (ask.explicit) refused.push({ function: ask.function, setting: ask.setting, value: ask.value, reason });
  }
  refuse(refused);
  if (unheld.length === 0) return undefined;
  const limits = [...new Set(unheld.map((ask) => ask.limit))].join(', ');
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
  return asks;
}

function refuse(refused: { function: string; setting: string; value: number; reason: string }[]): void {
  const first = refused[0];
  if (first === undefined) return;
  const more = refused.length > 1 ? ` (and ${refused.length - 1} more, see detail)` : '';
  const message = `function '${first.function}' asks for ${first.setting} ${first.value}, which this node cannot enforce: ${first.reason}${more}; remove the setting from virga.yaml or lower it`;
  throw new VirgaError('setting_not_enforceable', message, { detail: { refused } });
}
