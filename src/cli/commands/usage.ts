// `virga usage`: what keys, and other principals, have used of their usage plans in this day or month.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition<{ project?: string; key?: string; plan?: string }> = {
  define(cli: Command) {
    cli
      .option('-k, --key <id>', 'only this API key, or this subject such as ip:203.0.113.7')
      .option('--plan <name>', 'only those who have this plan')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga usage', 'virga usage --key k_4f2a --json', 'virga usage --plan free'],
  async run({ terminal, settings }, _words, options) {
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const items = await Array.fromAsync(client.usage(project, { key: options.key, plan: options.plan }));
    if (items.length === 0) terminal.note(`Nothing was counted for a plan of '${project}' in this day or month.`);
    terminal.result(items, () => {
      if (items.length === 0) return '';
      const rows = items.map(({ subject, plan, period, used, limit, resetsAt }) => [
        subject,
        plan,
        period,
        limit !== null && used >= limit ? terminal.paint('red', String(used)) : String(used),
        limit === null ? '' : String(limit),
        `${resetsAt.slice(0, 16).replace('T', ' ')} UTC`,
      ]);
      return table(['who', 'plan', 'period', '>used', '>limit', 'resets'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
