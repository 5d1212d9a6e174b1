// Commander's program: which commands there are, how their help looks, and that nothing of it ends the process.
// Invariant: `virga --help` loads no command, and a command loads no other. Used by command-line.ts.
import { createRequire } from 'node:module';
import { Command, Option } from 'commander';
import { COMMANDS } from './command-table.ts';
import type { CommandDefinition, CommandEntry } from './command.ts';

const EXAMPLES = ['virga start', 'virga deploy examples/tour', 'virga invoke hello --data \'{"name":"Ada"}\'', 'virga logs --follow'];

interface ProgramOptions {
  /** Only this command is loaded; 'all' for the reference. */
  only: CommandEntry | 'all' | undefined;
  run: (definition: CommandDefinition<never>, command: Command) => Promise<void>;
}

/** Commander's program. Commands that are not loaded are known by name and summary. */
export async function programOf({ only, run }: ProgramOptions): Promise<Command> {
  const program = quiet(new Command('virga'))
    .description('Virga: a serverless cloud that you own.')
    .version(versionText(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpCommand(
      new Command('help').argument('[command]').helpOption(false).description('show the help of a command').helpGroup('Connect:'),
    )
    .configureHelp({ visibleOptions: optionsInOrder })
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .addHelpText('after', examplesText(EXAMPLES));
  for (const entry of COMMANDS) {
    const command = quiet(program.command(entry.name)).summary(entry.summary).description(sentence(entry.summary)).helpGroup(entry.group);
    command.helpOption('-h, --help', 'show this help').configureHelp({ visibleOptions: optionsInOrder });
    if (only !== 'all' && entry !== only) continue;
    const { command: definition } = await entry.load();
    definition.define(command);
    if (!definition.noJson) command.addOption(new Option('--json', 'print the result as one JSON document'));
    const notes = definition.notes === undefined ? '' : `\n${wrapped(definition.notes)}\n`;
    command.addHelpText('after', `${notes}${examplesText(definition.examples)}`);
    command.action(() => run(definition, command));
  }
  return program;
}

/** Commander throws instead of ending the process, and leaves the words to reportFailure. */
function quiet(command: Command): Command {
  return command.exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
}

/** Commander would put --help before --json. */
function optionsInOrder(command: Command): Option[] {
  const help = command.options.filter((option) => !option.hidden);
  return [...help, new Option('-h, --help', 'show this help')];
}

function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}`;
}

function sentence(summary: string): string {
  return `${summary[0]!.toUpperCase()}${summary.slice(1)}.`;
}

function versionText(): string {
  return (createRequire(import.meta.url)('../../package.json') as { version: string }).version;
}

function wrapped(text: string): string {
  return text.replace(/(?![^\n]{1,80}$)([^\n]{1,80})\s/g, '$1\n');
}
