// `virga secrets`: the secrets of a project. A value comes from standard input or is asked for; it is never an argument, since
// those can be seen by other users of the machine, and never printed.
import type { Command } from 'commander';
import { SECRET_NAME_RULE, secretName } from '../../protocol/policies/words.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { secretFrom } from '../hidden-input.ts';
import { agoText } from '../phrases.ts';
import { projectOf } from '../project.ts';
import { connect } from '../server.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';

const ACTIONS = ['set', 'list', 'rm'] as const;

export const command: CommandDefinition<{ project?: string }> = {
  define(cli: Command) {
    cli
      .argument('<action>', ACTIONS.join(', '))
      .argument('[name]', 'of set and rm: the secret')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga secrets set GITHUB_SECRET',
    'virga secrets set STRIPE_SECRET --project shop < secret.txt',
    'virga secrets list',
    'virga secrets rm GITHUB_SECRET',
  ],
  notes:
    'The value is read from standard input (one newline at its end is not part of it), or asked for. It is stored sealed under the key of the node, and given to nothing but what names it in virga.yaml: `secret: GITHUB_SECRET` of a webhook or a JWT issuer.',
  async run({ terminal, settings, input }: CommandContext, [action, name], options) {
    const known = ACTIONS.find((one) => one === action);
    if (known === undefined)
      throw new UsageError(`there is no action '${action}'${suggestion(action!, ACTIONS) || `; expected one of ${ACTIONS.join(', ')}`}`);
    if ((known === 'list') !== (name === undefined))
      throw new UsageError(known === 'list' ? '`virga secrets list` takes no name' : `which secret? Give its name`);
    if (name !== undefined && !secretName.safeParse(name).success)
      throw new UsageError(`the name of the secret is ${JSON.stringify(name)}; expected ${SECRET_NAME_RULE}`);
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (known === 'list') {
      const secrets = await Array.fromAsync(client.secrets(project));
      if (secrets.length === 0) terminal.note('There is no secret yet; `virga secrets set NAME` stores one.');
      const rows = secrets.map((secret) => [secret.name, agoText(secret.createdAt), agoText(secret.updatedAt)]);
      terminal.result(secrets, () =>
        rows.length === 0 ? '' : table(['secret', 'made', 'changed'], rows, (text) => terminal.paint('dim', text)),
      );
    } else if (known === 'rm') {
      await client.removeSecret(project, name!);
      terminal.result({ name }, () => `${name} is removed`);
    } else {
      const value = (await secretFrom(input, 'value')).replace(/\r?\n$/, '');
      if (value === '') throw new UsageError('the value is empty: give it on standard input');
      const answer = await client.setSecret(project, name!, value);
      terminal.result(answer, () => `${name} is stored`);
      if (answer.warning !== undefined) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${answer.warning}`);
    }
  },
};
