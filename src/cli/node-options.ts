// The flags of a node, for the commands that run one, or examine where it would run. Invariant: they are the ones of
// config/settings-table.ts, and wrong ones are wrong usage (exit 2), all told at once. Used by start, dev and doctor.
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { startFlags } from '../config/configuration-reference.ts';
import { UsageError } from './failure.ts';
import type { Terminal } from './terminal.ts';

export type NodeOptions = Partial<Record<string, string>>;

export function addNodeOptions(command: Command): void {
  for (const { flags, description } of startFlags()) command.option(flags, description);
}

export async function nodeConfig(options: NodeOptions, terminal: Terminal): Promise<Config> {
  const { ConfigurationError, readConfig } = await import('../config/env.ts');
  try {
    const { config, warnings } = readConfig(options);
    for (const warning of warnings) terminal.note(`${terminal.paintError('yellow', 'warning:')} ${warning}`);
    return config;
  } catch (error) {
    if (error instanceof ConfigurationError) throw new UsageError(error.problems.join('\n       '));
    throw error;
  }
}
