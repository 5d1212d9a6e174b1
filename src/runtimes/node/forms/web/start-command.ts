// What is started and with which environment: Cloud Run's (PORT, K_SERVICE …) over the function's own, with what Node and Python
// need to know of a sandbox. Invariant: a command that cannot be started fails before it is tried, with the reason where
// that can be seen. Pure but for looking at files. Called by web.ts.
import { existsSync, statSync } from 'node:fs';
import { delimiter, dirname, extname, join } from 'node:path';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { LoadError } from '../../failure.ts';
import { startProblem } from '../program/startable.ts';
import { isScriptRuntime, scriptCommand, scriptEnvironment } from './script-runtimes.ts';

export interface StartCommand {
  command: [string, ...string[]];
  env: Record<string, string>;
}

/** Of the sandbox's memory, MiB, what the guest beside the program takes, and what a Node has outside of its heap. */
const BESIDE_HEAP_MIB = 96;
const HEAP_MIB_MIN = 32;
/** Beside the guest. */
const MAPS = join(dirname(process.argv[1] ?? ''), 'program-maps.cjs');

export function startCommand(init: InitPayload, options: { port: number; path: string; compiledAt: string | undefined }): StartCommand {
  const { codeFolder, command, runtime } = init;
  const env = environmentOf(init, options);
  if (command !== undefined) return { command: command as [string, ...string[]], env };
  const [file = ''] = init.handler.split('#', 1);
  const path = join(codeFolder, file);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    throw new LoadError(`there is no file '${file}' in the function's code; set \`command\` in virga.yaml to what starts the program`);
  const searched = env['PATH']!;
  if (isScriptRuntime(runtime)) return { command: scriptCommand(runtime, { path, searched, port: options.port }), env };
  return { command: commandOfFile(path, file, searched), env };
}

function environmentOf(init: InitPayload, { port, path, compiledAt }: Parameters<typeof startCommand>[1]): Record<string, string> {
  const { codeFolder, runtime } = init;
  const heapMiB = Math.max(HEAP_MIB_MIN, Math.floor((init.memoryMiB - BESIDE_HEAP_MIB) * 0.9));
  const folders = [join(codeFolder, 'node_modules', '.bin'), ...path.split(delimiter), ...(init.env['PATH'] ?? '').split(delimiter)];
  const packages = join(codeFolder, '.packages');
  const env: Record<string, string> = {
    // Python keeps lines to itself until 8 KiB are full when nobody watches.
    PYTHONUNBUFFERED: '1',
    ...(isScriptRuntime(runtime) ? scriptEnvironment(runtime, heapMiB) : {}),
    ...(compiledAt === undefined ? {} : { NODE_COMPILE_CACHE: compiledAt }),
    // With the function's own settings.
    ...(process.env as Record<string, string>),
    PATH: [...new Set(folders)].filter((folder) => folder !== '').join(delimiter),
    // Cloud Run's contract: https://cloud.google.com/run/docs/container-contract
    PORT: String(port),
    K_SERVICE: init.function,
    K_CONFIGURATION: init.function,
    K_REVISION: `${init.function}-${String(init.version).padStart(5, '0')}`,
  };
  if (!isScriptRuntime(runtime)) env['NODE_OPTIONS'] = `${nodeOptions(heapMiB, init.memoryMiB)} ${env['NODE_OPTIONS'] ?? ''}`.trim();
  if (existsSync(packages)) env['PYTHONPATH'] = [packages, env['PYTHONPATH']].filter(Boolean).join(delimiter);
  return env;
}

function commandOfFile(path: string, file: string, searched: string): [string, ...string[]] {
  switch (extname(file).toLowerCase()) {
    case '.mjs':
    case '.cjs':
    case '.js':
    case '.mts':
    case '.cts':
    case '.ts':
      return existsSync(`${path}.map`) && existsSync(MAPS) ? [process.execPath, '--require', MAPS, path] : [process.execPath, path];
    case '.py': {
      const python = searched.split(delimiter).find((folder) => existsSync(join(folder, 'python3')));
      if (python === undefined) throw new LoadError(`'${file}' needs python3, which this node does not have`);
      return [join(python, 'python3'), path];
    }
  }
  const problem = startProblem(path, file, searched);
  if (problem !== undefined) throw new LoadError(`${problem}; or set \`command\` in virga.yaml to what starts the program`);
  return [path];
}

/** Node sizes its heap by the machine: see runtimes/catalog.ts, which does the same for the guest. */
function nodeOptions(heapMiB: number, memoryMiB: number): string {
  const semiSpaceMiB = Math.min(16, Math.max(1, Math.floor(memoryMiB / 32)));
  return `--max-old-space-size=${heapMiB} --max-semi-space-size=${semiSpaceMiB}`;
}

/** As the author would recognise it. */
export function shownCommand(command: readonly string[], codeFolder: string): string {
  const [, dashC, script] = command;
  const words = dashC === '-c' && script !== undefined ? script.replace(/^exec /, '') : command.join(' ');
  const folders = [codeFolder, dirname(process.execPath)];
  return folders.reduce((shown, folder) => shown.replaceAll(`${folder}/`, ''), words.replace(`--require ${MAPS} `, '')).slice(0, 200);
}
