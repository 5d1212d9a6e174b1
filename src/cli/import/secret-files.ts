// Names of the variables in a file of secrets (.dev.vars, .env). Invariant: a value never leaves this function. Used by wrangler/.
import type { ImportFiles } from './files.ts';
import type { Place } from './tree.ts';

const NAMES_MAX = 500;

export function secretNamesIn(file: string, files: ImportFiles): { name: string; at: Place }[] {
  if (!files.isFile(file)) return [];
  const found: { name: string; at: Place }[] = [];
  for (const [index, line] of files.text(file).split('\n').entries()) {
    const [, name] = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]{0,255})\s*=/.exec(line) ?? [];
    if (name !== undefined && found.length < NAMES_MAX) found.push({ name, at: { file, line: index + 1 } });
  }
  return found;
}
