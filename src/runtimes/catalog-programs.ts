// The runtimes of programs that a node may have beside those that are booted: Bun and Deno, as npm brings them. Each is a package of
// its own below runtimes/, which `npm ci` at the top does not install: 52 and 42 MB to fetch, 102 and 91 MB on disk. One that is
// installed further up, by the operator's own npm, is found as well. Pure but for looking at files. Used by catalog.ts.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const PROGRAM_RUNTIMES = ['bun', 'deno'] as const;
export type ProgramRuntime = (typeof PROGRAM_RUNTIMES)[number];

export interface FoundProgram {
  version: string;
  /** The folder with the binary, on the host. */
  folder: string;
  /** Where that is in a sandbox. */
  target: string;
}

const ROOT = join(import.meta.dirname, '..', '..');
const BUN_CPU = process.arch === 'arm64' ? 'aarch64' : process.arch;
/**
 * The first that is there. Of Bun ours is the baseline build: the other one needs AVX2, which small rented machines may lack, and ends
 * with SIGILL without it. C library: the sandbox has the machine's, and Virga's own Node needs glibc already.
 */
const PACKAGES: Record<ProgramRuntime, { names: string[]; binary: string }> = {
  bun: { names: [`@oven/bun-${process.platform}-${BUN_CPU}-baseline`, `@oven/bun-${process.platform}-${BUN_CPU}`], binary: 'bin/bun' },
  deno: { names: [`@deno/${process.platform}-${process.arch}-glibc`, `@deno/${process.platform}-${process.arch}`], binary: 'deno' },
};

/** Null: it is not installed. */
export function findProgram(name: ProgramRuntime): FoundProgram | null {
  const { names, binary } = PACKAGES[name];
  const require = createRequire(join(ROOT, 'runtimes', name, 'package.json'));
  for (const one of names) {
    try {
      const manifest = require.resolve(`${one}/package.json`);
      const path = join(dirname(manifest), binary);
      const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
      if (existsSync(path)) return { version, folder: dirname(path), target: `/runtime-${name}` };
    } catch {
      // Not this one.
    }
  }
  return null;
}

export function remedyOf(name: ProgramRuntime): string {
  return `run \`npm ci --prefix runtimes/${name}\` in Virga's folder on the node, and start Virga again`;
}
