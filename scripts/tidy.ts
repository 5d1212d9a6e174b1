// Style as a test: reads every file that belongs to the project and reports what the house rules forbid (the import
// table of import-table.ts, cycles, the environment, barrels, names, sizes, headers, machine paths, markers, arguments for
// dependencies). Invariant: each rule has a planted violation in tidy.test.ts that it must catch.
// Run as a program it prints `file:line rule: message` for each problem and exits 1. Callers: check.ts, tidy.test.ts.
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, matchesGlob, posix, relative } from 'node:path';
import { parseSync } from 'rolldown/utils';
import { EXCEPTIONS, ROOMS, TESTS_MAY } from './import-table.ts';
import type { Exception, Room } from './import-table.ts';

export interface Problem {
  file: string;
  line: number;
  rule: string;
  message: string;
}

export const LINES_MAX = 400;

const SKIPPED_FOLDERS = new Set(['node_modules', '.git', '.virga', 'results', 'dist', '__pycache__']);
const TEXT = /\.(ts|tsx|mts|mjs|cjs|js|py|sql|sh|md|json|yaml|yml|html|css)$|^(run|virga|node|\.npmrc|\.gitignore)$/;
const CODE_FOLDERS = ['src/', 'sdk/', 'console/', 'test/', 'examples/', 'scripts/', 'bench/'];
const WORDS_FORBIDDEN = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'manager', 'data', 'info']);
const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*$/;
const MACHINE_PATH = /(?:^|[^\w.$}-])\/(?:Users|home)\/\w+(?:\/|\b)|\bregistry\.[a-z]+js\.[a-z]+/;
const MARKER = /\b(?:TODO|FIXME|XXX|HACK)\b/;
const LONE_TEST = /\b(?:test|it|describe|suite)\.(?:only|todo)\b|\bonly: true\b/;

/** Tests, and what only tests use: it runs against real things of other rooms. */
const TEST = /\.test\.tsx?$|(?:^|[/-])(?:conformance|fixture|testing|under-test)\.ts$/;

/** One source file with what the rules need of it. */
interface Source {
  file: string;
  text: string;
  imports: { specifier: string; at: number }[];
  /** The text with comments blanked out (same length). */
  code: string;
  onlyReexports: boolean;
}

export function tidy(root: string): Problem[] {
  const files = [...walk(root, root)].filter((file) => TEXT.test(basename(file))).sort();
  const problems: Problem[] = [];
  const sources = new Map<string, Source>();
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    checkText(file, text, problems);
    if (!CODE_FOLDERS.some((folder) => file.startsWith(folder))) continue;
    checkName(file, problems);
    if (/\.(ts|tsx|mts)$/.test(file)) sources.set(file, parse(file, text));
  }
  for (const source of sources.values()) checkSource(source, sources, problems);
  checkCycles(sources, problems);
  checkDependencies(root, problems);
  return problems.filter((problem) => !excepted(problem.rule, problem.file));
}

function* walk(root: string, folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED_FOLDERS.has(entry.name)) yield* walk(root, path);
    } else if (entry.isFile() && entry.name !== 'package-lock.json') yield relative(root, path);
  }
}

function parse(file: string, text: string): Source {
  const { program, module, comments, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0]?.message}`);
  const imports: Source['imports'] = [];
  for (const found of module.staticImports) imports.push({ specifier: found.moduleRequest.value, at: found.start });
  for (const { entries, start } of module.staticExports)
    for (const entry of entries) if (entry.moduleRequest) imports.push({ specifier: entry.moduleRequest.value, at: start });
  let code = text;
  for (const comment of comments) {
    code = code.slice(0, comment.start) + text.slice(comment.start, comment.end).replace(/[^\n]/g, ' ') + code.slice(comment.end);
  }
  for (const node of nodesOf(program)) {
    const specifier =
      node.type === 'ImportExpression' || node.type === 'TSImportType' ? (node['source'] as { value?: unknown }).value : undefined;
    if (typeof specifier === 'string') imports.push({ specifier, at: node.start });
  }
  const onlyReexports =
    program.body.length > 0 &&
    program.body.every(
      (node) =>
        node.type === 'ExportAllDeclaration' ||
        (node.type === 'ExportNamedDeclaration' && node.source !== null && node.declaration === null),
    );
  return { file, text, imports, code, onlyReexports };
}

interface Node {
  type: string;
  start: number;
  [key: string]: unknown;
}

function* nodesOf(value: unknown): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* nodesOf(item);
  else if (typeof value === 'object' && value !== null) {
    if ('type' in value) yield value as Node;
    for (const child of Object.values(value)) if (typeof child === 'object') yield* nodesOf(child);
  }
}

function checkText(file: string, text: string, problems: Problem[]): void {
  text.split('\n').forEach((line, index) => {
    const add = (rule: string, message: string) => problems.push({ file, line: index + 1, rule, message });
    if (MACHINE_PATH.test(line)) add('machine-path', 'a path or host of one machine; derive it or take it as a setting');
    if (MARKER.test(line) && !file.endsWith('.md')) add('marker', 'unfinished work belongs in the issue tracker, not in the code');
  });
}

function checkName(file: string, problems: Problem[]): void {
  const name = basename(file);
  const stem = name.replace(/\.[a-z]+$/, '');
  const add = (message: string) => problems.push({ file, line: 1, rule: 'name', message });
  for (const word of stem.split(/[-_.]/)) if (WORDS_FORBIDDEN.has(word)) add(`'${word}' says nothing about what the file is for`);
  if (/\.tsx?$/.test(name) && !KEBAB.test(name)) add(`'${name}' is not kebab-case`);
}

function checkSource(source: Source, sources: Map<string, Source>, problems: Problem[]): void {
  const { file, text, code } = source;
  const isTest = TEST.test(file);
  const add = (rule: string, at: number, message: string) =>
    problems.push({ file, line: text.slice(0, at).split('\n').length, rule, message });

  const lines = text.split('\n').length - 1;
  if (lines > LINES_MAX && !isTest) add('size', 0, `${lines} lines, at most ${LINES_MAX}: are there two reasons to change in it?`);
  if (file.startsWith('src/') && !isTest && !/^(#!.*\n)?(\/\/|\/\*)/.test(text)) {
    add('header', 0, 'begin with a comment: what it is, the invariant it keeps, who calls it');
  }
  if (source.onlyReexports || (/\/index\.tsx?$/.test(file) && !file.startsWith('examples/'))) {
    add('barrel', 0, 'import from the file that defines the thing, not through a barrel');
  }
  for (const match of code.matchAll(
    /\bprocess\s*(?:\??\.\s*env\b|\[\s*['"]env['"]\s*\])|import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*['"](?:node:)?process['"]/g,
  )) {
    add('environment', match.index, 'only config/env.ts reads the environment; take what you need as an argument');
  }
  for (const match of code.matchAll(new RegExp(LONE_TEST, 'g')))
    add('lone-test', match.index, `'${match[0]}' switches other tests off, or this one`);
  for (const { specifier, at } of source.imports) checkImport(source, specifier, sources, (message) => add('import', at, message));
}

function checkImport(source: Source, specifier: string, sources: Map<string, Source>, add: (message: string) => void): void {
  if (isBuiltin(specifier)) return;
  const room = roomOf(source.file);
  if (!room) return add(`'${source.file}' is in no room of scripts/import-table.ts`);
  const isTest = TEST.test(source.file);
  const target = targetOf(source.file, specifier, sources);
  if (specifier.startsWith('/')) return add(`'${specifier}' is a path of one machine`);
  if (target === null) {
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    if (room.npm?.includes(name) || (isTest && TESTS_MAY.npm.includes(name)) || excepted('import', source.file, name)) return;
    return add(`room '${room.name}' may not import the package '${name}'`);
  }
  if (/\.test\.tsx?$/.test(target) || (TEST.test(target) && !isTest && source.file.startsWith('src/')))
    return add(`'${target}' is there for tests; move what is shared into a file of its own`);
  const other = roomOf(target);
  if (!other) return add(`'${target}' is in no room of scripts/import-table.ts`);
  if (other === room && room.siblings !== false) return;
  if (room.may.includes(other.name) || (isTest && TESTS_MAY.rooms.includes(other.name)) || excepted('import', source.file, target)) return;
  add(`room '${room.name}' may not import '${target}' of room '${other.name}'`);
}

function roomOf(file: string): Room | undefined {
  return ROOMS.find((room) => room.files.some((glob) => matchesGlob(file, glob)));
}

/** The file of ours that an import means; null for an npm package. */
function targetOf(from: string, specifier: string, sources: Map<string, Source>): string | null {
  if (specifier === '@virga/sdk') return 'sdk/src/index.ts';
  if (!specifier.startsWith('.')) return null;
  const path = posix.normalize(posix.join(dirname(from), specifier));
  return sources.has(path) || !path.endsWith('.js') ? path : path.replace(/\.js$/, '.ts');
}

function excepted(rule: string, file: string, of?: string): boolean {
  const fits = (exception: Exception) =>
    exception.rule === rule &&
    matchesGlob(file, exception.files) &&
    (exception.of === undefined ? of === undefined : of !== undefined && matchesGlob(of, exception.of));
  return EXCEPTIONS.some(fits);
}

/** Depth first over the imports between our files; each cycle is reported once, at the import that closes it. */
function checkCycles(sources: Map<string, Source>, problems: Problem[]): void {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const source = sources.get(file);
    if (!source || done.has(file)) return;
    path.push(file);
    for (const { specifier, at } of source.imports) {
      const target = targetOf(file, specifier, sources);
      if (target === null || target === file) continue;
      const from = path.indexOf(target);
      if (from === -1) visit(target);
      else
        problems.push({
          file,
          line: source.text.slice(0, at).split('\n').length,
          rule: 'cycle',
          message: [...path.slice(from), target].join(' → '),
        });
    }
    path.pop();
    done.add(file);
  };
  for (const file of sources.keys()) visit(file);
}

/** Every dependency of the server has its line in docs/reference/dependencies.md. */
function checkDependencies(root: string, problems: Problem[]): void {
  const document = 'docs/reference/dependencies.md';
  const read = (file: string): string => {
    try {
      return readFileSync(join(root, file), 'utf8');
    } catch {
      return '';
    }
  };
  const argued = read(document);
  const manifests = globSync(['package.json', 'bench/package.json', '{examples,runtimes}/*/package.json'], { cwd: root });
  for (const file of manifests.toSorted()) {
    const text = read(file);
    if (text === '') continue;
    const {
      dependencies = {},
      devDependencies = {},
      optionalDependencies = {},
    } = JSON.parse(text) as Record<string, Record<string, string>>;
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      const line = text.split('\n').findIndex((content) => content.includes(`"${name}"`)) + 1;
      if (!argued.includes(`\`${name}\``))
        problems.push({ file, line, rule: 'dependency', message: `'${name}' has no line in ${document} that says why it is here` });
      if (!/^(\d+\.\d+\.\d+|npm:.+@\d+\.\d+\.\d+)(-[\w.]+)?$/.test(version)) {
        problems.push({ file, line, rule: 'dependency', message: `'${name}' is not pinned: '${version}'` });
      }
    }
  }
}

if (import.meta.main) {
  const problems = tidy(join(import.meta.dirname, '..'));
  for (const { file, line, rule, message } of problems) console.log(`${file}:${line} ${rule}: ${message}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
