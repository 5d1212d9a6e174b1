// What a command is. Each file of commands/ exports one as `command`; it is loaded only when it is the one that was asked
// for, so its heavier parts cost the others nothing. command-line.ts hands it to commander and runs it.
import type { Command } from 'commander';
import type { ClientSettings } from '../config/client.ts';
import type { Terminal } from './terminal.ts';

export interface CommandContext {
  terminal: Terminal;
  settings: ClientSettings;
  /** Aborts on the first Ctrl-C or SIGTERM of a command, or an action, that says `ownSignals`. */
  signal: AbortSignal;
  /** The command line itself, for its reference. */
  cli: { commands: readonly CommandEntry[]; program: () => Promise<Command> };
  /** For commands that read standard input. */
  input: NodeJS.ReadStream;
}

/** A command as it is known before it is loaded. */
export interface CommandEntry {
  name: string;
  summary: string;
  group: string;
  load: () => Promise<{ command: CommandDefinition<never> }>;
}

/** Exit status: nothing is 0. */
export type ExitStatus = number | void;

export interface CommandDefinition<Options = Record<string, unknown>> {
  /** Arguments and options; the description is the summary of the table. */
  define(command: Command): void;
  /** Shown at the end of its help, each a line of shell. */
  examples: readonly string[];
  /** Paragraphs for the reference, where the options do not say it all. */
  notes?: string;
  /** Without: the command has --json. */
  noJson?: true;
  /** Ctrl-C ends it in order (through `signal`), instead of at once: always, or in these actions (its first word). */
  ownSignals?: true | readonly string[];
  run(context: CommandContext, args: (string | undefined)[], options: Options): Promise<ExitStatus>;
}
