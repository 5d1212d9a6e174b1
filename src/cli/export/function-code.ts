// The code of a function as AWS Lambda runs it: which of its runtimes, which handler, and the files of its zip. Invariant: what cannot
// run there says why and what to do, before anything is built; nothing of the code itself is changed. Used by export-lambda.ts.
import { parseSync } from 'rolldown/utils';
import type { ArtifactEntry } from '../build/archive.ts';
import type { FunctionParts } from '../build/build.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';
import { ADAPTER_HANDLER, nodeAdapter, pythonAdapter } from './adapter-files.ts';
import { contentOf } from './entry-content.ts';
import type { FunctionReport } from './export-report.ts';
import { NODE_RUNTIME, PROGRAM_RUNTIME, pythonRuntime } from './lambda-runtimes.ts';
import type { LambdaCode } from './lambda-runtimes.ts';
import { webProgram } from './web-program.ts';

const PACKAGES = '.packages/';

/** Why a function cannot run on AWS Lambda, and what to do; undefined: it can. */
export function whyNot({ settings }: ManifestFunction): string | undefined {
  const { runtime, form } = settings;
  if (runtime === 'wasm')
    return 'AWS Lambda starts no WebAssembly; build the program for Linux, and start it with runtime: provided or web';
  if (runtime === 'bun' || runtime === 'deno')
    return `AWS Lambda has no ${runtime === 'bun' ? 'Bun' : 'Deno'}; serve the same with Node.js (runtime: web), or make a container image of it`;
  if (form === 'google')
    return 'AWS Lambda has no Functions Framework; start it with runtime: web and its command (functions-framework), which can be exported';
  if (form === 'azure') return 'AWS Lambda has no host of Azure Functions; export the handlers in the form lambda or native';
  if (form === 'workers')
    return 'AWS Lambda has no Workers runtime; a module with fetch(request) alone is Virga’s own form: leave `form` out, and what `env` gave is in the environment';
  return undefined;
}

export function lambdaCode(parts: FunctionParts, project: string, report: FunctionReport): LambdaCode {
  const { fn } = parts;
  const { runtime, form } = fn.settings;
  if (runtime === 'web') return webProgram(parts, report);
  const [file = '', name] = parts.handler.split('#', 2);
  const plain = { variables: {}, webAdapter: false, streams: false };
  if (runtime === 'provided') {
    report.changed('runtime', 'runtime provided', `is ${PROGRAM_RUNTIME}: programs that are not static must find their libraries there`);
    const handler = name ?? 'bootstrap';
    return { ...plain, runtime: PROGRAM_RUNTIME, handler, entries: parts.entries, original: { runtime, form, handler: fn.handler } };
  }
  const adapted = { file, name, project, function: fn.name };
  if (runtime === 'python3') {
    const entries = hoisted(parts.entries);
    const original = { runtime, form, handler: `${file.replace(/\.py$/, '')}.${name ?? 'handler'}` };
    const at = { ...plain, runtime: pythonRuntime(entries, report), original };
    report.changed('runtime', 'runtime python3', `is ${at.runtime}`);
    if (form === 'lambda') return { ...at, handler: original.handler, entries };
    reportAdapter(report, 'a body that is an iterator is sent whole, at its end');
    return { ...at, handler: ADAPTER_HANDLER, entries: pythonAdapter(adapted, entries) };
  }
  reportNode(fn, report);
  const code = parts.entries.find((entry) => entry.path === file);
  const stem = file.replace(/\.[cm]?js$/, '');
  const at = { ...plain, runtime: NODE_RUNTIME };
  if (form === 'lambda') {
    const handler = `${stem}.${name ?? 'handler'}`;
    const streams = code !== undefined && contentOf(code).includes('streamifyResponse');
    return { ...at, handler, entries: parts.entries, original: { runtime, form, handler }, streams };
  }
  reportAdapter(report, 'a streamed Response is sent whole, at its end, and waitUntil holds the answer up');
  const original = { runtime, form, handler: `${stem}.${name ?? (code === undefined ? 'handler' : exportOf(code))}` };
  return { ...at, handler: ADAPTER_HANDLER, entries: nodeAdapter(adapted, parts.entries), original };
}

function reportAdapter(report: FunctionReport, how: string): void {
  report.changed('', 'Virga’s own form', `is called through an adapter in the zip (${ADAPTER_HANDLER}): ${how}`);
}

function reportNode({ settings }: ManifestFunction, report: FunctionReport): void {
  const callbacks = settings.form === 'lambda' ? ', where AWS calls no handlers with a callback: they have to be async' : '';
  const newest = settings.runtime === 'nodejs26' ? ', the newest that AWS has' : '';
  if (newest + callbacks === '') report.carried('runtime', `runtime ${settings.runtime}`);
  else report.changed('runtime', `runtime ${settings.runtime}`, `is ${NODE_RUNTIME}${newest}${callbacks}`);
}

/** Where Lambda looks for packages: at the top. As in Virga a file of the author's wins over a package of its name. */
function hoisted(entries: readonly ArtifactEntry[]): ArtifactEntry[] {
  const top = (path: string): string => path.split('/', 1)[0]!.replace(/\.py$/, '');
  const own = entries.filter(({ path }) => !path.startsWith(PACKAGES));
  const taken = new Set(own.map(({ path }) => top(path)));
  const packages = entries
    .filter(({ path }) => path.startsWith(PACKAGES))
    .map((entry) => ({ ...entry, path: entry.path.slice(PACKAGES.length) }));
  return [...own, ...packages.filter(({ path }) => !taken.has(top(path)))];
}

/** What Virga finds by itself, by its name: a zip that is imported needs one. */
function exportOf(code: ArtifactEntry): string {
  const text = contentOf(code);
  const names = code.path.endsWith('.cjs')
    ? [...text.matchAll(/\bexports\.(\w+)\s*=/g)].map(([, name]) => name!)
    : parseSync(code.path, text).module.staticExports.flatMap(({ entries }) =>
        entries.map(({ exportName }) => (exportName.kind === 'Default' ? 'default' : exportName.name)),
      );
  const hasFetch = /\bfetch\s*[(:,]/.test(text);
  if (names.includes('default') && (hasFetch || !names.includes('handler'))) return 'default';
  if (names.includes('fetch')) return 'fetch';
  return names.includes('handler') || (!hasFetch && /\bhandler\b/.test(text)) ? 'handler' : 'default';
}
