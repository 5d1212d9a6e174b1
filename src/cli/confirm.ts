// Asks before something is dropped for good. Invariant: never without a yes: from a person at a terminal, or --yes in a script.
// Used by the commands that drop messages.
import { createInterface } from 'node:readline/promises';
import type { CommandContext } from './command.ts';
import { CommandError, UsageError } from './failure.ts';

/** `what`: e.g. `Drop the 3 messages of the queue 'orders'`. Throws where the answer is no. */
export async function confirmed(
  { terminal, input }: Pick<CommandContext, 'terminal' | 'input'>,
  { what, yes }: { what: string; yes: boolean | undefined },
): Promise<void> {
  if (yes === true) return;
  if (!input.isTTY || !terminal.errIsTerminal)
    throw new UsageError(`${what[0]!.toLowerCase()}${what.slice(1)}? That takes a yes: add --yes`);
  const prompt = createInterface({ input, output: process.stderr });
  const answer = await prompt.question(`${what}? Type yes: `);
  prompt.close();
  if (answer.trim().toLowerCase() !== 'yes') throw new CommandError('nothing was dropped');
}
