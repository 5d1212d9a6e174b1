// `virga deployments`: the deployments of a project, newest first: where `virga rollback --to` can return.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';
import { wholeNumber } from '../values.ts';

export const command: CommandDefinition<{ project?: string; limit: string }> = {
  define(cli: Command) {
    cli
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here')
      .option('-n, --limit <count>', 'at most so many', '20');
  },
  examples: ['virga deployments', 'virga rollback --to 12'],
  async run({ terminal, settings }, _args, options) {
    const limit = wholeNumber(options.limit, '--limit', { min: 1, max: 1_000 });
    const client = connect(settings);
    const { items } = await client.deployments(await projectOf(client, options.project)).page({ limit });
    terminal.result(items, () => {
      const rows = items.map((item) => [
        `${item.id}${item.current ? terminal.paint('green', ' current') : ''}`,
        item.kind,
        agoText(item.createdAt),
        item.createdBy,
        Object.entries(item.functions)
          .map(([name, version]) => `${name}@${version}`)
          .join(' '),
        String(item.routes),
      ]);
      return table(['deployment', 'by', 'made', 'token', 'functions', '>routes'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
