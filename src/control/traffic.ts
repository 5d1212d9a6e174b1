// Which versions get the requests of functions, from what a deployment asks for: numbers instead of `new`, and each of them a
// version that is there. Invariant: all problems come back together. Called by deploy-project.ts.
import type { LiveRules, ShadowRules, Traffic } from '../protocol/policies/traffic.ts';
import type { DeployFunction } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import { invalidRequest } from './problems.ts';
import type { Problem } from './problems.ts';
import type { StoredVersion } from './project-records.ts';

type Asked = Readonly<Record<string, Pick<DeployFunction, 'live' | 'shadow'>>>;

export async function trafficOf(
  sql: Sql,
  { project, functions, deployed }: { project: string; functions: Asked; deployed: ReadonlyMap<string, StoredVersion> },
): Promise<Map<string, Traffic>> {
  const all = new Map<string, Traffic>();
  const named: { function: string; number: number; path: string }[] = [];
  for (const [fn, { live, shadow }] of Object.entries(functions)) {
    if (live === undefined && shadow === undefined) continue;
    const own = deployed.get(fn)!.number;
    const numberOf = (version: number | 'new' | undefined, path: string): number => {
      if (version === undefined || version === 'new' || version === own) return own;
      named.push({ function: fn, number: version, path: `functions.${fn}.${path}` });
      return version;
    };
    all.set(fn, { ...liveOf(live, numberOf), ...shadowOf(shadow, numberOf) });
  }
  if (named.length > 0) await requireVersions(sql, project, named);
  return all;
}

type NumberOf = (version: number | 'new' | undefined, path: string) => number;

function liveOf(live: LiveRules | undefined, numberOf: NumberOf): Traffic {
  if (live === undefined) return {};
  const { canary } = live;
  const version = numberOf(live.version, 'live.version');
  if (canary === undefined) return { live: { version } };
  const { percent, sticky = 'cookie' } = canary;
  return { live: { version, canary: { version: numberOf(canary.version, 'live.canary.version'), percent, sticky } } };
}

function shadowOf(shadow: ShadowRules | undefined, numberOf: NumberOf): Traffic {
  return shadow === undefined ? {} : { shadow: { ...shadow, version: numberOf(shadow.version, 'shadow.version') } };
}

async function requireVersions(sql: Sql, project: string, named: { function: string; number: number; path: string }[]): Promise<void> {
  const { rows } = await sql.query<{ function: string; numbers: number[] }>(
    'select function, array_agg(number order by number) as numbers from versions where project = $1 and function = any($2) group by function',
    [project, [...new Set(named.map((one) => one.function))]],
  );
  const known = new Map(rows.map((row) => [row.function, row.numbers]));
  const problems = named.flatMap(({ function: fn, number, path }): Problem[] => {
    const numbers = known.get(fn) ?? [];
    if (numbers.includes(number)) return [];
    const has = numbers.length === 0 ? 'none yet; say new' : `${numbers.slice(-10).join(', ')}, and new is the one that this makes`;
    return [{ path, message: `names a version that the function does not have; it has ${has}`, value: number }];
  });
  if (problems.length > 0) throw invalidRequest(problems);
}

/** For the changes of a deployment; empty: the deployed version gets everything. */
export function trafficText({ live, shadow }: Traffic): string {
  const { canary } = live ?? {};
  return [
    ...(live === undefined ? [] : [`live version ${live.version}`]),
    ...(canary === undefined ? [] : [`${canary.percent} % to version ${canary.version} by ${canary.sticky}`]),
    ...(shadow === undefined ? [] : [`copies of ${shadow.percent} % to version ${shadow.version}`]),
  ].join(', ');
}
