// What `source` names and what follows from it: which runtime takes it, and whether runtime, form, handler and command fit
// together. Invariant: whatever does not fit is one problem at its place, with what would. Used by manifest.ts and build/.
import { statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { isBooted } from '../../protocol/settings.ts';
import type { Form, FunctionRuntime } from '../../protocol/settings.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { sourceSuggestion } from './source-suggestion.ts';

const NODE_EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];
const EXPORT_NAME = /^[A-Za-z_$][A-Za-z0-9_$]{0,127}$/;
/** AWS Lambda's way: a file without its extension, and what it exports. */
const FILE_AND_EXPORT = /^[^\0-\x1f#]+\.[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*$/;

const WRAPPER = 'AWS_LAMBDA_EXEC_WRAPPER';

export type SourceKind = 'nodejs' | 'python' | 'wasm' | 'zip' | 'folder' | 'other';

/** Which forms code of a language can have, beside `native`. */
const FORMS_OF: Record<'nodejs' | 'python', Form[]> = { nodejs: ['lambda', 'workers', 'azure', 'google'], python: ['lambda', 'google'] };
const COMMANDED: readonly FunctionRuntime[] = ['web', 'bun', 'deno'];

/** undefined: there is no such file or folder. */
export function sourceKind(folder: string, source: string): SourceKind | undefined {
  const found = statSync(join(folder, source), { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (found.isDirectory()) return 'folder';
  if (!found.isFile()) return undefined;
  const extension = extname(source).toLowerCase();
  if (NODE_EXTENSIONS.includes(extension)) return 'nodejs';
  if (extension === '.py') return 'python';
  return extension === '.wasm' ? 'wasm' : extension === '.zip' ? 'zip' : 'other';
}

export function isAsItIs(kind: SourceKind | undefined): boolean {
  return kind === 'folder' || kind === 'zip';
}

/** A program that serves HTTP by itself. */
export function isProgram(runtime: FunctionRuntime): boolean {
  return COMMANDED.includes(runtime);
}

/** Whether its file goes along as it is: Bun and Deno read TypeScript themselves, and a command names files as they are called. */
export function isUnbundled(settings: { runtime: FunctionRuntime; command?: string[] | undefined }, kind: SourceKind | undefined): boolean {
  const { runtime, command } = settings;
  return runtime === 'bun' || runtime === 'deno' || (runtime === 'web' && kind === 'nodejs' && command !== undefined);
}

/** A default runtime of another language than the source's does not count; what a folder or an archive holds it says alone. */
export function runtimeOf(own: FunctionRuntime | undefined, common: FunctionRuntime | undefined, source: string): FunctionRuntime {
  if (own !== undefined) return own;
  const extension = extname(source).toLowerCase();
  const python = extension === '.py';
  if (extension === '.wasm') return 'wasm';
  const language = python || NODE_EXTENSIONS.includes(extension);
  if (common !== undefined && (!language || !isBooted(common) || common.startsWith('python') === python)) return common;
  return python ? 'python3' : 'nodejs26';
}

/** Each is a folder or an archive. */
export function layersProblems(layers: unknown, path: Path, { document, folder }: Omit<At, 'path'>): Problem[] {
  if (!Array.isArray(layers)) return [];
  return layers.flatMap((layer: unknown, index): Problem[] => {
    if (typeof layer !== 'string' || layer === '' || layer.startsWith('/') || layer.split('/').includes('..')) return [];
    if (isAsItIs(sourceKind(folder, layer))) return [];
    const there = statSync(join(folder, layer), { throwIfNoEntry: false }) !== undefined;
    const problem = there ? 'a layer is a folder or a .zip' : 'there is no such folder or .zip';
    return [{ ...document.placeOfValue([...path, index]), message: `${path.join('.')}[${index}] is ${JSON.stringify(layer)}: ${problem}` }];
  });
}

/** It would start the runtime of AWS Lambda, and here there is none to start. */
export function wrapperProblem(
  fn: Record<string, unknown>,
  defaults: Record<string, unknown>,
  { path, document }: Omit<At, 'folder'>,
): Problem | undefined {
  if ((fn['form'] ?? defaults['form']) !== 'lambda') return undefined;
  const valueIn = (holder: Record<string, unknown>): unknown => (holder['env'] as Record<string, unknown> | null | undefined)?.[WRAPPER];
  const own = valueIn(fn);
  const wrapper = own ?? valueIn(defaults);
  if (wrapper === undefined || wrapper === '') return undefined;
  const at = [...(own === undefined ? ['defaults'] : path), 'env', WRAPPER];
  const remedy =
    'no program is started before the code of the form lambda; remove it, and load what it loads with NODE_OPTIONS: --require or --import';
  return { ...document.placeOfValue(at), message: `${at.join('.')} is ${JSON.stringify(wrapper)}: ${remedy}` };
}

interface Declared {
  source: string;
  runtime: unknown;
  defaultRuntime: unknown;
  form: unknown;
  handler: unknown;
  command: unknown;
  httpEvent: unknown;
}

interface At {
  path: Path;
  document: ManifestDocument;
  folder: string;
}

/** Values of a wrong type are the schema's to report. */
export function sourceProblems(declared: Declared, { path, document, folder }: At): Problem[] {
  const { source, handler } = declared;
  if (source === '' || source.startsWith('/') || source.split('/').includes('..')) return []; // the schema has said so
  const problem = (key: keyof Declared, message: string): Problem[] => {
    const at = [...path, key];
    const there = declared[key] !== undefined;
    const value = there ? `is ${JSON.stringify(declared[key])}` : 'is missing';
    return [{ ...(there ? document.placeOfValue(at) : document.placeOfKey(path)), message: `${at.join('.')} ${value}: ${message}` }];
  };
  const kind = sourceKind(folder, source);
  if (kind === undefined) {
    if (statSync(join(folder, source), { throwIfNoEntry: false }) !== undefined) return problem('source', 'this is not a file or a folder');
    return problem('source', `there is no such file${sourceSuggestion(folder, source)}`);
  }
  const named = (declared.runtime ?? declared.defaultRuntime) as FunctionRuntime | undefined;
  if (isAsItIs(kind) && named === undefined)
    return problem(
      'runtime',
      `expected the runtime that runs this ${kind === 'zip' ? 'archive' : 'folder'}, such as nodejs26, python3, provided or web`,
    );
  const runtime = runtimeOf(
    declared.runtime as FunctionRuntime | undefined,
    declared.defaultRuntime as FunctionRuntime | undefined,
    source,
  );
  const extension = extname(source);
  const language = runtime.startsWith('nodejs') ? 'nodejs' : runtime.startsWith('python') ? 'python' : undefined;
  if (kind === 'other' && named === undefined) {
    const what = extension === '' ? 'files without an extension' : `${extension} files`;
    return problem(
      'source',
      `no runtime takes ${what} by itself; expected ${NODE_EXTENSIONS.join(' ')} .py or .wasm, or runtime: web or provided`,
    );
  }
  if ((language !== undefined && !isAsItIs(kind) && kind !== language) || (runtime === 'wasm' && kind !== 'wasm'))
    return problem('source', `the runtime ${runtime} does not run ${kind === 'folder' ? 'folders' : `${extension || 'such'} files`}`);
  const form = declared.form ?? 'native';
  if (form !== 'native' && (language === undefined || !FORMS_OF[language].includes(form as Form))) {
    const fits =
      language === undefined ? 'it is for the runtimes of Node.js and Python' : `${runtime} takes ${FORMS_OF[language].join(', ')}`;
    return problem('form', `the runtime ${runtime} runs no code of this form; ${fits}`);
  }
  if (declared.command !== undefined && !COMMANDED.includes(runtime))
    return problem('command', `the runtime ${runtime} starts no command; it is for ${COMMANDED.join(', ')}`);
  if (declared.httpEvent !== undefined && form !== 'lambda' && runtime !== 'provided')
    return problem('httpEvent', 'it is for `form: lambda` and the runtime provided, whose code gets an HTTP request as an event');
  if (language === undefined) return [];
  if (isAsItIs(kind) && (form === 'native' || form === 'lambda')) {
    if (typeof handler === 'string' && FILE_AND_EXPORT.test(handler)) return [];
    return problem('handler', `expected the file and what it exports, such as index.handler, since the ${kind} is taken as it is`);
  }
  if (typeof handler !== 'string' || EXPORT_NAME.test(handler)) return [];
  if (form === 'google' || form === 'azure') return [];
  if (form === 'lambda' && FILE_AND_EXPORT.test(handler)) return [];
  return problem('handler', `expected the name of what the source exports, such as handler`);
}
