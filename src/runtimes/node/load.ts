// Loads the user's code (ES module or CommonJS, top-level await included) and finds in it what can be called.
// Invariant: either there is something to call, or a LoadError says which file was read, what it exports and what is
// expected. Called once by guest.ts, for INIT. User code runs here for the first time.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { InitPayload, ReadyPayload } from '../../protocol/frames.ts';
import { useCompiledCode } from './compiled-code.ts';
import type { Context } from './context.ts';
import { LoadError } from './failure.ts';
import type { Handler } from './handler-call.ts';
import type { Invocation } from './invocation.ts';
import { holdSourceMaps } from './source-maps.ts';
import type { FetchFunction } from './web-call.ts';

/** What can be called. Web style has `fetch`, `event` or both; handler style has `handler`. */
export interface Target {
  fetch?: FetchFunction;
  event?: Handler;
  handler?: Handler;
  /** A form's own way of serving: takes the invocation as it is, and ends its answer. */
  serve?: (invocation: Invocation, context: Context) => Promise<void>;
  /** Before the guest ends, once nothing runs any more. */
  stop?: () => Promise<void>;
}

export interface Loaded {
  target: Target;
  ready: ReadyPayload;
}

type Artifact = Pick<InitPayload, 'codeFolder' | 'compiledFolder'>;
type CodeToLoad = Artifact & Pick<InitPayload, 'handler'>;

export interface ImportedCode {
  namespace: Exports;
  file: string;
  /** The export that the handler names. */
  name: string | undefined;
  ready: Omit<ReadyPayload, 'exports'>;
}

export type Exports = Record<string, unknown>;

const EXPECTED =
  'expected: export default { fetch(request, context) { … } } or { event(event, context) { … } }, or export const handler = async (event, context) => …';
const NAMES_SHOWN = 12;
/** From here on holding the source maps back saves more than the 0.4 ms that releasing them takes. */
const LARGE_BYTES = 256 * 1024;

export async function load(init: CodeToLoad): Promise<Loaded> {
  const { namespace, file, name, ready } = await importCode(init);
  const target = find(namespace, file, name);
  // Node loads undici when Response is first named, which takes 18 to 21 ms: the platform's time, not the handler's, and
  // so not billed. A blank that has rehearsed did it already.
  if (target.fetch !== undefined) void globalThis.Response;
  return { target, ready: { ...ready, exports: Object.keys(target) as ReadyPayload['exports'] } };
}

/** Evaluates the file of the handler; what of it is to be called is the caller's to find. */
export async function importCode(init: CodeToLoad): Promise<ImportedCode> {
  const [file = '', name] = init.handler.split('#', 2);
  const { namespace, loadMs, initMs } = await importFile(init, file);
  return { namespace, file, name, ready: { loadMs, initMs } };
}

/** Evaluates a file of the artifact, with the code that was compiled for it ahead. */
export async function importFile(init: Artifact, file: string): Promise<{ namespace: Exports; loadMs: number; initMs: number }> {
  const path = join(init.codeFolder, file);
  if (relative(init.codeFolder, path).startsWith('..')) throw new LoadError(`'${file}' is outside of the function's code`);
  const startedAt = performance.now();
  if (init.compiledFolder !== undefined) useCompiledCode(init.compiledFolder);
  const bytes = bytesOf(init.codeFolder, file, path);
  if (bytes >= LARGE_BYTES) holdSourceMaps(path);
  // Not read here before, to show the disk's share by itself: that takes 0.6 ms for 1 MB, in each cold start.
  const importedAt = performance.now();
  const namespace = await importUrl(pathToFileURL(path).href).catch((error: unknown) => {
    throw error instanceof SyntaxError ? located(error, file, path) : error;
  });
  return { namespace, loadMs: micros(importedAt - startedAt), initMs: micros(performance.now() - importedAt) };
}

/** A function of its own, so that the bundler sees no literal that it could resolve. */
export function importUrl(url: string): Promise<Exports> {
  return import(url) as Promise<Exports>;
}

/** A missing file is named, with what is there instead. */
function bytesOf(codeFolder: string, file: string, path: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() === true) return stat.size;
  const there = readdirSync(codeFolder).slice(0, NAMES_SHOWN).join(', ') || 'nothing';
  throw new LoadError(
    `there is no file '${file}' in the function's code, which holds ${there}; set \`handler\` in virga.yaml to the file that exports it`,
  );
}

/**
 * V8 tells the place of a syntax error in an ES module only to what prints uncaught exceptions. Node's parser of
 * TypeScript, which reads JavaScript too, says it in the first lines of its stack.
 */
function located(error: SyntaxError, file: string, path: string): SyntaxError {
  if (error.stack?.includes(file) === true) return error;
  try {
    process.getBuiltinModule('node:module').stripTypeScriptTypes(readFileSync(path, 'utf8'), { sourceUrl: file });
  } catch (parsed) {
    const [place = ''] = String((parsed as Error).stack).split('\n\n', 1);
    const line = /:\d+$/m.exec(place)?.[0];
    if (line === undefined) return error;
    const better = new SyntaxError(`${file}${line}: ${error.message}`);
    better.stack = `${place}\n\nSyntaxError: ${error.message}`;
    return better;
  }
  return error;
}

function find(namespace: Exports, file: string, name: string | undefined): Target {
  const places = placesOf(namespace);
  if (name !== undefined) {
    for (const place of places) {
      const target = !(name in place) ? undefined : name === 'fetch' ? webTarget(place) : targetOf(place[name], file, name);
      if (target !== undefined) return target;
    }
    throw new LoadError(
      `${file} has no callable export '${name}': it exports ${describeExports(namespace)}; a handler is a function (event, context), or an object with fetch(request, context)`,
    );
  }
  for (const place of places) {
    const web = webTarget(place['default']) ?? webTarget(place);
    if (web !== undefined) return web;
    if (typeof place['handler'] === 'function') return { handler: bound(place, 'handler') };
  }
  for (const place of places) {
    const events = eventTarget(place['default']) ?? eventTarget(place);
    if (events !== undefined) return events;
  }
  for (const place of places) {
    const target = targetOf(place['default'], file, 'default');
    if (target !== undefined) return target;
  }
  throw new LoadError(`${file} exports nothing that can be called: it exports ${describeExports(namespace)}; ${EXPECTED}`);
}

/** The namespace; for CommonJS also module.exports, and the default of what a compiler made of an ES module. */
export function placesOf(namespace: Exports): Exports[] {
  const places = [namespace];
  const inner = namespace['default'];
  if ((typeof inner === 'object' || typeof inner === 'function') && inner !== null) {
    places.push(inner as Exports);
  }
  return places;
}

function targetOf(value: unknown, file: string, name: string): Target | undefined {
  const target = webTarget(value) ?? eventTarget(value);
  if (target !== undefined) return target;
  if (typeof value !== 'function') return undefined;
  if (/^class\b/.test(Function.prototype.toString.call(value))) {
    throw new LoadError(
      `${file} exports the class ${value.name || 'without a name'} as '${name}'; export an instance of it with a fetch method instead`,
    );
  }
  return { handler: value as Handler };
}

/** An object, class instance or function that has a `fetch` method. */
function webTarget(value: unknown): Target | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  const holder = value as Exports;
  if (typeof holder['fetch'] !== 'function') return undefined;
  return { fetch: bound(holder, 'fetch'), ...eventTarget(value) };
}

/** The same of one that takes events and no requests. */
function eventTarget(value: unknown): Target | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  const holder = value as Exports;
  return typeof holder['event'] === 'function' ? { event: bound(holder, 'event') } : undefined;
}

/** As a method of its object, with the length of the original: that tells whether it takes a callback. */
function bound<F extends (...args: never[]) => unknown>(holder: Exports, name: string): F {
  return (holder[name] as F).bind(holder) as F;
}

export function describeExports(namespace: Exports): string {
  const names = Object.keys(namespace).filter((name) => name !== 'module.exports');
  if (names.length === 0) return 'nothing';
  const shown = names.slice(0, NAMES_SHOWN).map((name) => `'${name}' (${typeName(namespace[name])})`);
  return shown.join(', ') + (names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : '');
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  const keys = Object.keys(value);
  return keys.length === 0 ? 'an empty object' : `an object with ${keys.slice(0, 5).join(', ')}`;
}

function micros(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
