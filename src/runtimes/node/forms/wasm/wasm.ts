// The runtime `wasm`: the function is a WebAssembly program of WASI preview 1, which gets its request the way of CGI (WAGI): the
// body on stdin, the rest in environment variables, and answers on stdout. Invariant: a module that cannot run here fails at
// its load with what it lacks. Loaded by forms.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { WASM_ENTRY, bytesProblem, moduleProblem, wasmApi } from '../../../../protocol/wasm.ts';
import type { WasmModule } from '../../../../protocol/wasm.ts';
import { LoadError } from '../../failure.ts';
import type { Loaded, Target } from '../../load.ts';
import type { FormHost } from '../form.ts';
import { Program } from './program.ts';

/** `_start` writes "Status: 204" and a blank line by one fd_write. */
const HELLO = Buffer.from(
  'AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAEKDwENAEEBQQBBAUEIEAAaCwsgAgBBAAsIEAAAAA0AAAAAQRALDVN0YXR1czogMjA0Cgo=',
  'base64',
);

/** Validating takes 4 ms for 1.5 MB, and was done at deploy; loading `v8`, which can switch it off, 2 ms where no rehearsal did. */
const LARGE_BYTES = 512 * 1024;

/** A program that says hello: the first instance that V8 makes takes it 1 ms, and what a large module needs 2. */
export function rehearsed({ codeFolder }: InitPayload, { log }: Pick<FormHost, 'log'>): Target {
  process.getBuiltinModule('node:v8');
  const module = new (wasmApi().Module)(HELLO);
  const program = new Program({ module, name: 'hello', entry: WASM_ENTRY, codeFolder, env: {}, memoryMiB: 32, log });
  return { serve: (invocation) => program.serve(invocation) };
}

export async function load(init: InitPayload, { log }: FormHost): Promise<Loaded> {
  const [file = '', entry = WASM_ENTRY] = init.handler.split('#', 2);
  const startedAt = performance.now();
  const bytes = readModule(init.codeFolder, file);
  const readAt = performance.now();
  const module = compile(bytes, file);
  const problem = moduleProblem(module, entry);
  if (problem !== undefined) throw new LoadError(`${file} cannot run: ${problem}`);
  const { codeFolder, env, memoryMiB } = init;
  const program = new Program({ module, name: file, entry, codeFolder, env, memoryMiB, log });
  return {
    target: { serve: (invocation) => program.serve(invocation) },
    ready: { loadMs: micros(readAt - startedAt), initMs: micros(performance.now() - readAt), exports: ['serve'] },
  };
}

function readModule(codeFolder: string, file: string): Buffer {
  try {
    return readFileSync(join(codeFolder, file));
  } catch (error) {
    throw new LoadError(`the module '${file}' cannot be read: ${(error as Error).message}`);
  }
}

/** Functions are compiled when they are first called, and validated then as well. */
function compile(bytes: Buffer, file: string): WasmModule {
  const problem = bytesProblem(bytes);
  if (problem !== undefined) throw new LoadError(`${file} cannot run: ${problem}`);
  if (bytes.length >= LARGE_BYTES) process.getBuiltinModule('node:v8').setFlagsFromString('--wasm-lazy-validation');
  const { Module } = wasmApi();
  try {
    return new Module(bytes);
  } catch (error) {
    throw new LoadError(`${file} cannot be compiled: ${(error as Error).message}`);
  }
}

function micros(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
