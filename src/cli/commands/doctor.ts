// `virga doctor`: proves the walls of this machine by attacking them from inside sandboxes. Needs no running Virga and
// disturbs none. Invariant: what does not hold is said first and last, never only in the middle of a table.
import type { Command } from 'commander';
import { THEMES, remediesOf } from '../../server/doctor/report.ts';
import type { Check, CheckState, DoctorReport } from '../../server/doctor/report.ts';
import type { CommandDefinition } from '../command.ts';
import { addNodeOptions, nodeConfig } from '../node-options.ts';
import type { NodeOptions } from '../node-options.ts';
import { table } from '../table.ts';
import type { Style, Terminal } from '../terminal.ts';

const INTERRUPTED = 130;
const LABELS: Record<CheckState, { text: string; style: Style }> = {
  holds: { text: 'ok', style: 'green' },
  fails: { text: 'FAILS', style: ['red', 'bold'] },
  lacks: { text: 'lacks', style: 'yellow' },
};

export const command: CommandDefinition<NodeOptions> = {
  define(cli: Command) {
    addNodeOptions(cli);
  },
  examples: [
    'virga doctor',
    'sudo virga doctor',
    'virga doctor --json | jq \'.checks[] | select(.state != "holds")\'',
    'virga doctor --sandbox process',
  ],
  notes:
    'Opens the sandboxes that `virga start` would use with the same settings, attacks the host from inside them, and tries what else Virga needs. It takes a few seconds, works in a temporary folder, and leaves a Virga that runs here alone. "lacks" means that this machine cannot enforce or does not have it: a deploy that needs it is refused. The exit status is 1 when a wall fails.',
  ownSignals: true,
  async run({ terminal, signal }, _args, options) {
    const config = await nodeConfig(options, terminal);
    // What it has put up goes with the process: see doctor.ts.
    signal.addEventListener('abort', () => process.exit(INTERRUPTED));
    const { runDoctor } = await import('../../server/doctor/doctor.ts');
    let report: DoctorReport;
    {
      using progress = terminal.progress('examining this machine');
      report = await runDoctor(config, { progress: (doing) => progress.update(doing) });
    }
    terminal.result(report, () => text(report, terminal));
    return report.summary.fails === 0 ? 0 : 1;
  },
};

function text(report: DoctorReport, terminal: Terminal): string {
  const { machine, driver, checks } = report;
  const lines = [`${machine.system}, Linux ${machine.kernel}, as ${machine.user}; sandboxes by ${driver}`];
  if (!report.isolates) lines.push('', terminal.paint(['red', 'bold'], NO_WALLS));
  for (const [theme, title] of Object.entries(THEMES)) {
    const rows = checks.filter((check) => check.theme === theme).map((check) => row(check, terminal));
    if (rows.length > 0) lines.push('', terminal.paint('bold', title), table([], rows));
  }
  const remedies = remediesOf(checks);
  if (remedies.length > 0) {
    lines.push('', terminal.paint('bold', 'What to do'));
    for (const { remedy, names } of remedies) lines.push(`  ${names.join(', ')}:`, `    ${remedy.replaceAll('\n', '\n    ')}`);
  }
  return [...lines, '', conclusion(report, terminal)].join('\n');
}

function row({ state, title, detail }: Check, terminal: Terminal): string[] {
  const { text: label, style } = LABELS[state];
  return [`  ${terminal.paint(style, label)}`, title, terminal.paint('dim', detail)];
}

function conclusion({ summary, tookMs }: DoctorReport, terminal: Terminal): string {
  const { holds, fails, lacks } = summary;
  const parts = [
    `${holds} hold`,
    terminal.paint(fails === 0 ? 'reset' : ['red', 'bold'], `${fails} fail`),
    `${lacks} cannot be had or enforced here`,
  ];
  return `${holds + fails + lacks} checks in ${(tookMs / 1000).toFixed(1)} s: ${parts.join(', ')}`;
}

const NO_WALLS = 'THERE ARE NO WALLS: functions run with all rights of the user who starts Virga. Deploy only code that you trust.';
