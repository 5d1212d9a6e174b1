// The program of the runtime `provided`: the file `bootstrap` of the artifact, or that of a layer (opt/bootstrap), as AWS Lambda
// looks for it. Invariant: a file that cannot be started is a LoadError that names what is wrong with it. Called by provided.ts.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { LoadError } from '../../failure.ts';
import { startProblem } from '../program/startable.ts';

const NAMES_SHOWN = 12;
/** Where it is in a sandbox: a link to the artifact's folder. */
const TASK_ROOT = '/var/task';

/** Its path. `searched`: the PATH that it will have. */
export function findBootstrap(taskRoot: string, searched: string): string {
  const layers = taskRoot === TASK_ROOT ? '/opt' : join(taskRoot, 'opt');
  for (const [name, path] of [
    ['bootstrap', join(taskRoot, 'bootstrap')],
    ['opt/bootstrap', join(layers, 'bootstrap')],
  ] as const) {
    if (!existsSync(path)) continue;
    const problem = startProblem(path, name, searched);
    if (problem === undefined) return path;
    throw new LoadError(problem);
  }
  const there = readdirSync(taskRoot).slice(0, NAMES_SHOWN).join(', ') || 'nothing';
  throw new LoadError(`there is no file 'bootstrap' in the function's code, which the runtime provided starts; it holds ${there}`);
}
