// Commands with several actions, such as `virga queues peek`: which one is meant, that no option of another stands beside it, and what each
// works with. Used by the commands of queues, topics, streams, schedules, deliveries, dead letters, recordings and workflows.
import type { VirgaControl } from '../../sdk/src/control.ts';
import type { CommandContext } from './command.ts';
import { UsageError } from './failure.ts';
import { projectOf } from './project.ts';
import { connect } from './server.ts';
import { suggestion } from './suggest.ts';

export interface Action {
  /** What follows it, for the refusal: `a queue`, `a queue and a text`. */
  words: readonly string[];
  /** How many of `words` must be there. */
  needed: number;
  /** Options that it takes, beside --project and --json. */
  options?: readonly string[];
}

/** What an action works with. */
export interface Asked<Options> extends CommandContext {
  client: VirgaControl;
  project: string;
  words: string[];
  options: Options;
}

export async function askedOf<Options extends { project?: string }>(
  context: CommandContext,
  words: string[],
  options: Options,
): Promise<Asked<Options>> {
  const client = connect(context.settings);
  return { ...context, client, project: await projectOf(client, options.project), words, options };
}

/** The action and its words. Without a word: the first. */
export function actionOf<Name extends string>(
  command: string,
  actions: Record<Name, Action>,
  { given, options }: { given: readonly (string | undefined)[]; options: object },
): { name: Name; words: string[] } {
  const names = Object.keys(actions) as Name[];
  const [first = names[0]!, ...rest] = given.flat().filter((word) => word !== undefined);
  const name = names.find((one) => one === first);
  if (name === undefined)
    throw new UsageError(`there is no action '${first}'${suggestion(first, names) || `; expected one of ${names.join(', ')}`}`);
  const { words, needed, options: takes = [] } = actions[name];
  if (rest.length < needed) throw new UsageError(`\`virga ${command} ${name}\` needs ${words.slice(0, needed).join(' and ')}`);
  if (rest.length > words.length)
    throw new UsageError(
      `\`virga ${command} ${name}\` takes ${words.length === 0 ? 'nothing more' : words.join(' and ')}; ${JSON.stringify(rest[words.length])} is too much${words.length > 0 ? ' (put a text with spaces in quotes)' : ''}`,
    );
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || option === 'project' || option === 'json' || takes.includes(option)) continue;
    const of = names.filter((one) => actions[one].options?.includes(option) === true);
    throw new UsageError(`--${kebab(option)} is for ${of.map((one) => `\`virga ${command} ${one}\``).join(', ')}`);
  }
  return { name, words: rest };
}

function kebab(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
