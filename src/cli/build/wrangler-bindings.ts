// What the wrangler file of a Worker says that Virga does not have, or not from there: bindings, schedules, queues, variables,
// and settings of the build. Invariant: the file is only looked at, nothing of it is carried over (`virga import` does that); a
// binding which the code names is a problem, one that it does not is a warning. Used by worker-check.ts.
import { existsSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { ImportFiles } from '../import/files.ts';
import { entryOf, textOf } from '../import/tree.ts';
import type { Mapping, Tree } from '../import/tree.ts';
import { BUILD_SETTINGS, LISTS, SINGLES } from '../import/wrangler/bindings.ts';
import type { Remarks } from './worker-source.ts';

const DECLARED = 'declare it in virga.yaml, with a trigger of the function (`virga import` writes both)';

/** In the order in which Wrangler looks for them. */
const NAMES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml'];

interface Binding {
  name: string;
  /** e.g. `a KV namespace`. */
  what: string;
  /** The key of the wrangler file. */
  key: string;
  line: number;
}

export interface WranglerOptions {
  /** Absolute. */
  source: string;
  /** Sources of the manifest's other functions; absolute. */
  others: ReadonlySet<string>;
  /** The folder of the manifest: the file is looked for up to here. */
  top: string;
  /** What the code names. */
  names: ReadonlySet<string>;
  /** Variables that the function has. */
  env: Record<string, string>;
}

/** Undefined: there is no wrangler file. */
export function wranglerRemarks({ source, others, top, names, env }: WranglerOptions): (Remarks & { file: string }) | undefined {
  const file = nearest(dirname(source), top);
  if (file === undefined) return undefined;
  const shown = relative(top, file);
  const remarks = { problems: [] as string[], warnings: [] as string[], file };
  let tree: Tree;
  try {
    tree = new ImportFiles(dirname(file)).tree(basename(file));
  } catch (error) {
    remarks.warnings.push(`${shown} cannot be read, so it is not known what the Worker needs: ${(error as Error).message}`);
    return remarks;
  }
  // A file is of one Worker; it may be another one of the project.
  const main = textOf(entryOf(tree, 'main'));
  if (main !== undefined && others.has(join(dirname(file), main))) return remarks;
  const environments = entryOf(tree, 'env');
  const sections = [tree, ...(environments?.kind === 'mapping' ? [...environments.entries.values()].map(({ value }) => value) : [])];
  const bindings = new Map(sections.flatMap(bindingsIn).map((binding) => [`${binding.key} ${binding.name}`, binding]));
  for (const { name, what, key, line } of bindings.values()) {
    const text = `${shown}:${line}: ${name} is ${what} (${key}), which Virga does not have`;
    if (names.has(name))
      remarks.problems.push(`${text}, and the code uses it; keep that in a service which is reached over HTTP or a socket`);
    else remarks.warnings.push(`${text}; the code does not name it`);
  }
  remarks.warnings.push(...otherRemarks(tree, env).map(({ line, text }) => `${shown}:${line}: ${text}`));
  return remarks;
}

function nearest(from: string, top: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const found = NAMES.map((name) => join(at, name)).find((file) => existsSync(file));
    if (found !== undefined || at === top || dirname(at) === at) return found;
  }
}

function bindingsIn(section: Tree): Binding[] {
  const bindings: Binding[] = [];
  const add = (tree: Tree, key: string, nameKey: string, what: string): void => {
    const name = textOf(entryOf(tree, nameKey));
    if (name !== undefined) bindings.push({ name, what, key, line: tree.at.line });
  };
  for (const [key, [nameKey, what]] of Object.entries(LISTS)) {
    // Readers of the log are no binding.
    if (key !== 'tail_consumers') for (const item of itemsOf(entryOf(section, key))) add(item, key, nameKey, what);
  }
  for (const [key, what] of Object.entries(SINGLES)) {
    const tree = entryOf(section, key);
    if (tree !== undefined) add({ ...tree, at: placeOf(section, key) ?? tree.at }, key, 'binding', what);
  }
  for (const item of itemsOf(entryOf(entryOf(section, 'durable_objects'), 'bindings')))
    add(item, 'durable_objects', 'name', 'a Durable Object');
  for (const item of itemsOf(entryOf(entryOf(section, 'unsafe'), 'bindings'))) add(item, 'unsafe', 'name', 'an unsafe binding');
  for (const item of itemsOf(entryOf(entryOf(section, 'queues'), 'producers'))) add(item, 'queues', 'binding', 'a queue to send to');
  const assets = entryOf(section, 'assets');
  if (assets !== undefined) add(assets, 'assets', 'binding', 'a fetcher of static files');
  return bindings;
}

function otherRemarks(tree: Tree, env: Record<string, string>): { line: number; text: string }[] {
  const remarks: { line: number; text: string }[] = [];
  const remark = (at: Tree['at'] | undefined, text: string): void => void remarks.push({ line: at?.line ?? 1, text });
  const vars = entryOf(tree, 'vars');
  for (const [name, { at, value }] of vars?.kind === 'mapping' ? vars.entries : []) {
    if (env[name] === undefined) remark(at, `the variable ${name} is not set in Virga: add it to \`env\` of the function in virga.yaml`);
    else if (value.kind === 'mapping' || value.kind === 'list')
      remark(at, `the variable ${name} is JSON at Cloudflare; in Virga it is a text`);
  }
  for (const cron of itemsOf(entryOf(entryOf(tree, 'triggers'), 'crons')))
    remark(cron.at, `the schedule '${textOf(cron) ?? '?'}' is not read from here: ${DECLARED}`);
  for (const consumer of itemsOf(entryOf(entryOf(tree, 'queues'), 'consumers')))
    remark(consumer.at, `messages of the queue '${textOf(entryOf(consumer, 'queue')) ?? '?'}' are not read from here: ${DECLARED}`);
  for (const [key, text] of Object.entries(BUILD_SETTINGS))
    if (entryOf(tree, key) !== undefined) remark(placeOf(tree, key), `${key} is not carried over: ${text}`);
  return remarks;
}

function itemsOf(tree: Tree | undefined): Tree[] {
  return tree?.kind === 'list' ? tree.items : [];
}

function placeOf(tree: Tree, key: string): Tree['at'] | undefined {
  return tree.kind === 'mapping' ? (tree satisfies Mapping).entries.get(key)?.at : undefined;
}
