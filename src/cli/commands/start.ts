// `virga start`: a node in the foreground. Prints one line beginning `Virga is ready` on stdout once requests are served.
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { addNodeOptions, nodeConfig } from '../node-options.ts';
import type { NodeOptions } from '../node-options.ts';

export const command: CommandDefinition<NodeOptions> = {
  define(cli: Command) {
    addNodeOptions(cli);
  },
  examples: ['virga start', 'virga start --data /var/lib/virga --log json', 'VIRGA_EDGE_PORT=9080 virga start'],
  notes:
    'Ctrl-C (or SIGTERM) finishes the calls in flight and stops everything; a second one stops at once. All settings: `virga reference configuration`.',
  noJson: true,
  async run({ terminal }, _args, options) {
    const config = await nodeConfig(options, terminal);
    const { runStart } = await import('../../server/start.ts');
    return await runStart(config);
  },
};
