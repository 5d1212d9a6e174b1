// Which project a command means when it does not say: the one of the virga.yaml here or above, else the only one that
// the server has. Invariant: it never guesses between two. Used by the commands that take --project.
import type { VirgaControl } from '../../sdk/src/control.ts';
import { NAME_PATTERN, NAME_RULE } from '../protocol/settings.ts';
import { CommandError, UsageError } from './failure.ts';
import { projectNear } from './manifest/project-near.ts';
import { suggestion } from './suggest.ts';

export async function projectOf(client: VirgaControl, option: string | undefined): Promise<string> {
  if (option !== undefined) return checkedName(option, '--project');
  const near = await projectNear(process.cwd());
  if (near !== undefined && NAME_PATTERN.test(near)) return near;
  const { items } = await client.projects().page({ limit: 10 });
  if (items.length === 1) return items[0]!.name;
  if (items.length === 0) throw new UsageError('there is no project yet; `virga deploy DIR` makes one');
  const names = items.map((item) => item.name);
  throw new UsageError(`which project? Add --project with one of ${names.join(', ')}${names.length === 10 ? ', …' : ''}`);
}

/** For an empty list: whether there is such a project, and such a function in it, at all. Throws when there is not. */
export async function requireFunction(client: VirgaControl, project: string, fn: string | undefined): Promise<void> {
  const { functions } = await client.project(project);
  if (fn === undefined || functions.some((one) => one.name === fn)) return;
  const names = functions.map((one) => one.name);
  throw new CommandError(
    `the project '${project}' has no function '${fn}'${suggestion(fn, names) || `; it has ${names.join(', ') || 'none'}`}`,
  );
}

export function checkedName(text: string, what: string): string {
  if (NAME_PATTERN.test(text)) return text;
  throw new UsageError(`${what} is ${JSON.stringify(text)}; expected a name: ${NAME_RULE}`);
}
