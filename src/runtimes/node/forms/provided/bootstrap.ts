// The program of the runtime `provided`: the file `bootstrap` of the artifact, or that of a layer (opt/bootstrap), as AWS Lambda
// looks for it. Invariant: a file that cannot be started is a LoadError that names what is wrong with it. Called by provided.ts.
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { LoadError } from '../../failure.ts';
import { startProblem } from '../program/startable.ts';

const NAMES_SHOWN = 12;
/** Where programs that were made for AWS Lambda expect their code; a link to the artifact's folder. */
const TASK_ROOT = '/var/task';

export interface Bootstrap {
  path: string;
  /** LAMBDA_TASK_ROOT. */
  taskRoot: string;
}

export function findBootstrap(codeFolder: string, searched: string): Bootstrap {
  const taskRoot = isSame(TASK_ROOT, codeFolder) ? TASK_ROOT : codeFolder;
  for (const [name, path] of [
    ['bootstrap', join(taskRoot, 'bootstrap')],
    ['opt/bootstrap', taskRoot === TASK_ROOT ? '/opt/bootstrap' : join(codeFolder, 'opt/bootstrap')],
  ] as const) {
    if (!existsSync(path)) continue;
    const problem = startProblem(path, name, searched);
    if (problem === undefined) return { path, taskRoot };
    throw new LoadError(problem);
  }
  const there = readdirSync(codeFolder).slice(0, NAMES_SHOWN).join(', ') || 'nothing';
  throw new LoadError(`there is no file 'bootstrap' in the function's code, which the runtime provided starts; it holds ${there}`);
}

function isSame(link: string, folder: string): boolean {
  try {
    return realpathSync(link) === realpathSync(folder);
  } catch {
    return false;
  }
}
