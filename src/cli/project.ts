// Which project a command means when it does not say: the one of the virga.yaml here or above, else the only one that
// the server has. Invariant: it never guesses between two. Used by the commands that take --project.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { VirgaControl } from '../../sdk/src/control.ts';
import { NAME_PATTERN, NAME_RULE } from '../protocol/settings.ts';
import { UsageError } from './failure.ts';

export async function projectOf(client: VirgaControl, option: string | undefined): Promise<string> {
  if (option !== undefined) return checkedName(option, '--project');
  if (manifestNear(process.cwd())) {
    const { projectNear } = await import('./manifest/manifest.ts');
    const project = projectNear(process.cwd());
    if (project !== undefined && NAME_PATTERN.test(project)) return project;
  }
  const { items } = await client.projects().page({ limit: 10 });
  if (items.length === 1) return items[0]!.name;
  if (items.length === 0) throw new UsageError('there is no project yet; `virga deploy DIR` makes one');
  const names = items.map((item) => item.name);
  throw new UsageError(`which project? Add --project with one of ${names.join(', ')}${names.length === 10 ? ', …' : ''}`);
}

export function checkedName(text: string, what: string): string {
  if (NAME_PATTERN.test(text)) return text;
  throw new UsageError(`${what} is ${JSON.stringify(text)}; expected a name: ${NAME_RULE}`);
}

function manifestNear(folder: string): boolean {
  for (let at = resolve(folder); ; at = dirname(at)) {
    if (existsSync(join(at, 'virga.yaml'))) return true;
    if (dirname(at) === at) return false;
  }
}
