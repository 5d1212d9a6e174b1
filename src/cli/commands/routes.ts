// `virga routes`: what the routes of a project lead to, what they ask for, and which rules hold for them.
import type { Command } from 'commander';
import { conditionsText, targetText } from '../../protocol/route-text.ts';
import type { CommandDefinition } from '../command.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { table } from '../table.ts';

export const command: CommandDefinition<{ project?: string }> = {
  define(cli: Command) {
    cli.option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga routes', 'virga routes --project tour --json'],
  async run({ terminal, settings }, _args, options) {
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    const { routes, gateway = {} } = await client.project(project);
    const common = Object.keys(gateway.defaults ?? {});
    const items = routes.map(({ policy, ...route }) => ({
      ...route,
      target: targetText(route),
      rules: [...new Set([...common, ...Object.keys(policy ?? {})])].sort(),
    }));
    if (items.length === 0) terminal.note(`The project '${project}' has no routes.`);
    terminal.result(items, () => {
      if (items.length === 0) return '';
      const rows = items.map(({ conditions: { hosts, ...others } = {}, methods, path, target, rules }) => [
        hosts?.join(' ') ?? '*',
        methods?.join(',') ?? 'ANY',
        path,
        target,
        conditionsText(others),
        rules.join(' '),
      ]);
      return table(['host', 'method', 'path', 'target', 'if', 'rules'], rows, (text) => terminal.paint('dim', text));
    });
  },
};
