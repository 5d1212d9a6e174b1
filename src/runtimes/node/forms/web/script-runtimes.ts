// How Bun and Deno start a file of a function. Both serve `export default { fetch }` by themselves, and both run programs that
// listen on their own; Bun sees which of them it has, Deno has a command for each. The sandbox is the wall, so Deno's
// permissions are all given. Invariant: nothing is fetched to replace what is missing from the artifact without being asked for in the code.
// Pure but for looking at files. Called by start-command.ts.
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { LoadError } from '../../failure.ts';

export type ScriptRuntime = 'bun' | 'deno';

export function isScriptRuntime(runtime: string): runtime is ScriptRuntime {
  return runtime === 'bun' || runtime === 'deno';
}

export interface Script {
  /** Absolute. */
  path: string;
  /** PATH, on which the runtime is. */
  searched: string;
  port: number;
}

export function scriptCommand(runtime: ScriptRuntime, { path, searched, port }: Script): [string, ...string[]] {
  const folder = searched.split(delimiter).find((one) => existsSync(join(one, runtime)));
  if (folder === undefined) throw new LoadError(`this node does not have ${runtime}; \`npm ci --prefix runtimes/${runtime}\` installs it`);
  const binary = join(folder, runtime);
  // Without --no-install a package that is not there is fetched from npm at each cold start, in whatever version is the latest.
  if (runtime === 'bun') return [binary, 'run', '--no-install', path];
  const serves = isServed(readFileSync(path, 'utf8'));
  return serves ? [binary, 'serve', '--quiet', '--allow-all', `--port=${port}`, path] : [binary, 'run', '--quiet', '--allow-all', path];
}

/** `deno serve` needs a default export, and `deno run` serves none. One of a program that listens itself is for its tests. */
export function isServed(source: string): boolean {
  const code = source.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const exported = /(?:^|[;}])\s*export\s+default\b/m.test(code) || /(?:^|[;}])\s*export\s*\{[^}]*\bas\s+default\b[^}]*\}/m.test(code);
  return exported && !/\bDeno\.serve\s*\(|\.listen\s*\(/.test(code);
}

/** What they need to know of a sandbox; the function's own settings go over it. */
export function scriptEnvironment(runtime: ScriptRuntime, heapMiB: number): Record<string, string> {
  if (runtime === 'bun') {
    // Else Bun answers errors with a page that shows the source.
    return { NODE_ENV: 'production', DO_NOT_TRACK: '1' };
  }
  return { DENO_DIR: '/tmp/.deno', DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1', DENO_V8_FLAGS: `--max-old-space-size=${heapMiB}` };
}
