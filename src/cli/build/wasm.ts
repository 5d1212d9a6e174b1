// Whether a WebAssembly module can run on Virga, told at the deploy: it is compiled here, whole, and its imports and exports are
// looked at. Invariant: what passes is valid, so that a guest need not validate it again. Used by as-it-is.ts.
import { readFile } from 'node:fs/promises';
import { VirgaError } from '../../protocol/errors.ts';
import { WASM_ENTRY, bytesProblem, moduleProblem, wasmApi } from '../../protocol/wasm.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';

export async function checkProgram(file: string, { source, handler }: Pick<ManifestFunction, 'source' | 'handler'>): Promise<void> {
  const problem = problemOf(await readFile(file), handler ?? WASM_ENTRY);
  if (problem !== undefined) throw new VirgaError('build_failed', `${source} cannot run: ${problem}`);
}

function problemOf(bytes: Uint8Array, entry: string): string | undefined {
  const problem = bytesProblem(bytes);
  if (problem !== undefined) return problem;
  const api = wasmApi();
  try {
    return moduleProblem(new api.Module(bytes), entry);
  } catch (error) {
    return (error as Error).message.replace(/^WebAssembly\.Module\(\): /, 'it is not valid: ');
  }
}
