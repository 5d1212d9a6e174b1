// `virga remove PROJECT`: removes a project. Invariant: never without the name, and never without a yes: from a person
// at a terminal, or --yes in a script.
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { CommandDefinition } from '../command.ts';
import { CommandError, UsageError } from '../failure.ts';
import { checkedName } from '../project.ts';
import { connect } from '../server.ts';
import { countText } from '../phrases.ts';

export const command: CommandDefinition<{ yes?: boolean }> = {
  define(cli: Command) {
    cli.argument('<project>', 'the project').option('-y, --yes', 'do not ask');
  },
  examples: ['virga remove tour', 'virga remove tour --yes'],
  notes: 'Removes its functions, versions, routes and deployments. Records of its calls and log lines stay for their time.',
  async run({ terminal, settings, input }, [name], options) {
    const project = checkedName(name!, 'the name of the project');
    const client = connect(settings);
    const { functions, url } = await client.project(project);
    if (options.yes !== true) {
      if (!input.isTTY || !terminal.errIsTerminal) throw new UsageError(`removing '${project}' takes a yes: add --yes`);
      const prompt = createInterface({ input, output: process.stderr });
      const answer = await prompt.question(
        `Remove the project '${project}' with ${countText(functions.length, 'function')} (${url})? Type its name: `,
      );
      prompt.close();
      if (answer.trim() !== project) throw new CommandError('nothing was removed');
    }
    await client.removeProject(project);
    terminal.result({ project, removed: true }, () => `Removed ${project}`);
  },
};
