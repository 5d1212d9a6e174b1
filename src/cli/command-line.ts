// The command line: argv to one command. Invariants: exit 0 success, 1 the operation or the function failed, 2 wrong
// usage; only the command that was asked for is loaded (`virga --help` loads none). Called by cli.ts; tests bring a world
// of their own.
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import type { ClientSettings } from '../config/client.ts';
import { programOf } from './cli-program.ts';
import { COMMANDS } from './command-table.ts';
import type { CommandContext, CommandDefinition } from './command.ts';
import { reportFailure, UsageError } from './failure.ts';
import { suggestion } from './suggest.ts';
import { Terminal } from './terminal.ts';
import type { TerminalStreams } from './terminal.ts';

const CLI: CommandContext['cli'] = { commands: COMMANDS, program: () => programOf({ only: 'all', run: async () => {} }) };

/** What a command sees of the world; tests bring their own. */
export interface World extends TerminalStreams {
  input: NodeJS.ReadStream;
  settings: ClientSettings;
}

/** `argv` without the executable and the script. Resolves to the exit status; never throws for what a user can cause. */
export async function runCommandLine(argv: readonly string[], world: World): Promise<number> {
  const terminal = new Terminal(world);
  const wanted = COMMANDS.find((entry) => entry.name === commandWordOf(argv));
  let status = 0;
  const program = await programOf({
    only: wanted,
    run: async (definition, command) => {
      status = await runCommand(definition, command, { terminal, world });
    },
  });
  // Before commander has parsed: a mistake among the options is reported as JSON, too.
  terminal.json = wanted !== undefined && argv.includes('--json');
  try {
    if (argv.length === 0) program.help();
    checkHelpTopic(argv);
    await program.parseAsync([...argv], { from: 'user' });
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(error, terminal, wanted?.name ?? '');
    // Help and version were what was asked for; `virga` alone prints the help as well.
    if (error.exitCode === 0 || argv.length === 0) return 0;
    const usage = Object.assign(new Error(error.message.replace(/^error: /, '')), { code: 'usage' });
    return reportFailure(usage, terminal, wanted?.name ?? '');
  }
}

async function runCommand(
  definition: CommandDefinition<never>,
  command: Command,
  { terminal, world }: { terminal: Terminal; world: World },
): Promise<number> {
  const options = command.opts<Record<string, unknown>>();
  terminal.json = options['json'] === true;
  const stop = new AbortController();
  const context: CommandContext = { terminal, settings: world.settings, signal: stop.signal, cli: CLI, input: world.input };
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(130); // the second time is meant
    stop.abort();
  };
  if (endsInOrder(definition, command)) for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
  try {
    return (await definition.run(context, command.processedArgs as (string | undefined)[], options as never)) ?? 0;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
  }
}

function endsInOrder({ ownSignals = [] }: CommandDefinition<never>, { args: [action] }: Command): boolean {
  return ownSignals === true || (action !== undefined && ownSignals.includes(action));
}

/** The first word that is no option; `help NAME` and `NAME --help` need the command NAME. */
function commandWordOf(argv: readonly string[]): string | undefined {
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** Commander answers `help` on an unknown command with the help of all. */
function checkHelpTopic(argv: readonly string[]): void {
  const [first, topic] = argv;
  if (first !== 'help' || topic === undefined || COMMANDS.some((entry) => entry.name === topic)) return;
  throw new UsageError(
    `unknown command '${topic}'${suggestion(
      topic,
      COMMANDS.map((entry) => entry.name),
    )}`,
  );
}
