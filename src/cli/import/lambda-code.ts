// Where the code of an AWS Lambda function is in the project, and what of Virga runs it: from runtime, handler and folder (or zip) to
// source, handler, runtime and form. Invariant: what is given exists; code that was compiled from TypeScript is taken
// from there, since Virga builds it itself; what cannot be found, or run, says why and what to do. Used by serverless/ and cloudformation/.
import { posix } from 'node:path';
import type { FunctionRuntime } from '../../protocol/settings.ts';
import type { ImportFiles } from './files.ts';
import type { Report } from './report.ts';
import type { Found } from './section.ts';
import type { Place } from './tree.ts';

export interface LambdaCode {
  /** The function's name in virga.yaml. */
  name: string;
  at: Place;
  runtime: Found<string> | undefined;
  handler: Found<string> | undefined;
  /** Folder or .zip that holds the code, relative to the imported file; undefined: it cannot be known, and has been reported. */
  base: string | undefined;
  /** Further places where a build may have put it. */
  built?: string[];
}

export interface FoundCode {
  source: string;
  handler?: string;
  command?: string;
  runtime?: FunctionRuntime;
  form?: 'lambda';
}

type Language = 'nodejs' | 'python' | 'provided';

const TYPESCRIPT = ['.ts', '.mts', '.cts'];
const JAVASCRIPT = ['.js', '.mjs', '.cjs'];
/** Folders that compilers write to, and where the sources lie then. */
const BUILT = /^(?:dist|build|out|lib|\.build|\.dist|\.esbuild\/\.build)\//;

/** The code, or why there is none; then it has been reported. */
export function findCode(code: LambdaCode, files: ImportFiles, report: Report): FoundCode | { why: string } {
  const lost = (at: Place, what: string, remedy: string): { why: string } => {
    report.left(at, code.name, what, remedy);
    return { why: remedy };
  };
  if (code.base === undefined) return { why: 'where its code is cannot be known from the file' };
  const { runtime } = code;
  const language = languageOf(runtime?.value);
  if (language === undefined)
    return lost(runtime!.at, `runtime ${runtime!.value}`, `Virga runs Node.js, Python and \`provided\`; ${remedyFor(runtime!.value)}`);
  const kind = files.kind(code.base);
  if (kind === undefined) return lost(code.at, `code in ${code.base}`, 'there is no such folder or file; build it, then import again');
  if (kind === 'file' && !code.base.endsWith('.zip'))
    return lost(code.at, `code in ${code.base}`, 'it is neither a folder nor a .zip; point virga.yaml at the source by hand');
  if (language === 'provided') return programCode(code, kind === 'file', { files, report, lost });
  if (code.handler === undefined) return lost(code.at, 'code', 'the function names no handler; add `source` and `handler` by hand');
  const handler = code.handler.value;
  const mapped = runtimeFor(runtime, language, code, report);
  if (kind === 'file') {
    report.carried(code.handler.at, code.name, `handler ${handler}`);
    return { source: code.base, handler, runtime: mapped ?? 'python3', form: 'lambda' };
  }
  const source = sourceOf(handler, code.base, language, files);
  if (source === undefined) {
    const wanted = `${posix.join(code.base, stemOf(handler, language))}${language === 'python' ? '.py' : '.ts or .js'}`;
    return lost(code.handler.at, `handler ${handler}`, `there is no ${wanted}; set \`source\` in virga.yaml to the file that exports it`);
  }
  if (source.moved) report.changed(code.handler.at, code.name, `handler ${handler}`, `is taken from its source, ${source.path}`);
  else report.carried(code.handler.at, code.name, `handler ${handler}`);
  return {
    source: source.path,
    // Of compiled code only the name of the export still says something.
    handler: source.moved ? handler.slice(handler.lastIndexOf('.') + 1) : handler,
    form: 'lambda',
    ...(mapped === undefined ? {} : { runtime: mapped }),
  };
}

function languageOf(runtime: string | undefined): Language | undefined {
  if (runtime === undefined || runtime.startsWith('nodejs')) return 'nodejs';
  if (runtime.startsWith('python')) return 'python';
  return runtime.startsWith('provided') ? 'provided' : undefined;
}

function remedyFor(runtime: string): string {
  if (runtime.startsWith('go')) return 'build it for provided.al2023 (a static `bootstrap`) and import again';
  if (runtime.startsWith('dotnet'))
    return 'publish it with native AOT for provided.al2023 and import again, or serve HTTP with runtime: web';
  if (runtime.startsWith('java')) return 'build a native image for provided.al2023 and import again, or serve HTTP with runtime: web';
  return 'use a custom runtime (`provided`, a `bootstrap` that starts it), or serve HTTP with runtime: web';
}

/** Python's is the default of its files. */
function runtimeFor(runtime: Found<string> | undefined, language: Language, code: LambdaCode, report: Report): FunctionRuntime | undefined {
  if (language === 'python') {
    report.changed(runtime!.at, code.name, `runtime ${runtime!.value}`, 'runs on python3, the Python of the node');
    return undefined;
  }
  const major = Number(/^nodejs(\d+)/.exec(runtime?.value ?? '')?.[1] ?? 0);
  const mapped = major >= 26 ? 'nodejs26' : 'nodejs24';
  if (runtime === undefined) report.changed(code.at, code.name, 'no runtime', `runs on ${mapped}`);
  else if (runtime.value === `${mapped}.x`) report.carried(runtime.at, code.name, `runtime ${runtime.value}`);
  else report.changed(runtime.at, code.name, `runtime ${runtime.value}`, `runs on ${mapped}, the nearest that Virga has`);
  return mapped;
}

function programCode(
  code: LambdaCode,
  zipped: boolean,
  { files, report, lost }: { files: ImportFiles; report: Report; lost: (at: Place, what: string, remedy: string) => { why: string } },
): FoundCode | { why: string } {
  const at = code.runtime!.at;
  const folder = [code.base!, ...(code.built ?? [])].find((one) => zipped || files.isFile(posix.join(one, 'bootstrap')));
  if (folder === undefined)
    return lost(code.at, `code in ${code.base}`, 'it has no file `bootstrap` at its top; build it, then import again');
  report.carried(at, code.name, `runtime ${code.runtime!.value}`);
  return { source: folder, runtime: 'provided', ...(code.handler === undefined ? {} : { handler: code.handler.value }) };
}

/** `src/orders.create` → `src/orders`; Python's modules may be written with dots. */
function stemOf(handler: string, language: Language): string {
  const dot = handler.lastIndexOf('.');
  if (language === 'python') return handler.slice(0, Math.max(0, dot)).replaceAll('.', '/');
  // The name of a file in JavaScript ends at its first dot, that of an export may have more (`index.api.handler`).
  const first = handler.indexOf('.', handler.lastIndexOf('/') + 1);
  return first === -1 ? handler : handler.slice(0, first);
}

function sourceOf(handler: string, base: string, language: Language, files: ImportFiles): { path: string; moved: boolean } | undefined {
  const stem = posix.join(base, stemOf(handler, language));
  const find = (one: string, extensions: readonly string[]): string | undefined =>
    extensions.map((extension) => `${one}${extension}`).find((path) => files.isFile(path));
  if (language === 'python') {
    const path = find(stem, ['.py']);
    return path === undefined ? undefined : { path, moved: false };
  }
  const own = find(stem, TYPESCRIPT);
  if (own !== undefined) return { path: own, moved: false };
  const inside = BUILT.test(stem) ? stem.replace(BUILT, '') : undefined;
  const compiled =
    inside === undefined ? undefined : [`src/${inside.replace(/^src\//, '')}`, inside].map((one) => find(one, TYPESCRIPT)).find(Boolean);
  if (compiled !== undefined) return { path: compiled, moved: true };
  const script = find(stem, JAVASCRIPT);
  return script === undefined ? undefined : { path: script, moved: false };
}
