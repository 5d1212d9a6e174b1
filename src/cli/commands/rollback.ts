// `virga rollback`: returns the project to an earlier deployment. The code is still on the server: nothing is built.
import type { Command } from 'commander';
import { changesText } from '../changes-text.ts';
import type { CommandDefinition } from '../command.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { wholeNumber } from '../values.ts';

export const command: CommandDefinition<{ project?: string; to?: string }> = {
  define(cli: Command) {
    cli
      .option('--to <deployment>', 'this deployment (`virga deployments` lists them); without it, the one before the current one')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: ['virga rollback', 'virga rollback --to 12 --project tour'],
  async run({ terminal, settings }, _args, options) {
    const to = options.to === undefined ? undefined : wholeNumber(options.to, '--to', { min: 1, max: Number.MAX_SAFE_INTEGER });
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    using _ = terminal.progress(`returning ${project}`);
    const answer = await client.rollback(project, { to });
    terminal.result(answer, () => changesText(answer, terminal));
    if (answer.warning !== undefined) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${answer.warning}`);
  },
};
