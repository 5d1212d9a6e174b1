// What `virga doctor` found, as a value: one check for each wall, limit and means of this machine. Pure. Made by doctor.ts,
// printed by the command.

/** `lacks`: not to be had, or not enforceable, on this machine as it is; a setting that needs it is refused at deploy. */
export type CheckState = 'holds' | 'fails' | 'lacks';

export const THEMES = {
  host: 'The host and its neighbours',
  kernel: 'The kernel',
  limits: 'Limits',
  network: 'Network',
  speed: 'Fast starts',
  strong: 'Stronger isolation',
  machine: 'This machine',
} as const;

export type Theme = keyof typeof THEMES;

export interface Check {
  theme: Theme;
  /** Stable, for scripts, e.g. `ptrace`. */
  name: string;
  /** What holds when it holds, for people. */
  title: string;
  state: CheckState;
  /** What was met or measured. */
  detail: string;
  /** What to do about it; null when it holds or nothing can be done. */
  remedy: string | null;
}

export interface DoctorReport {
  driver: 'bubblewrap' | 'oci' | 'process';
  /** False: functions run with the rights of Virga itself. */
  isolates: boolean;
  /** What the driver says of itself. */
  notes: string[];
  machine: { user: string; kernel: string; system: string; node: string };
  checks: Check[];
  summary: Record<CheckState, number>;
  tookMs: number;
}

export function summaryOf(checks: readonly Check[]): DoctorReport['summary'] {
  const summary = { holds: 0, fails: 0, lacks: 0 };
  for (const { state } of checks) summary[state]++;
  return summary;
}

/** Remedies in the order of the checks, each once, with the names of the checks that it is for. */
export function remediesOf(checks: readonly Check[]): { remedy: string; names: string[] }[] {
  const found = new Map<string, string[]>();
  for (const { remedy, name } of checks) if (remedy !== null) found.set(remedy, [...(found.get(remedy) ?? []), name]);
  return [...found].map(([remedy, names]) => ({ remedy, names }));
}
