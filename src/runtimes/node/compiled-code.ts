// Lets Node take the compiled code that the platform made of the artifact (compile.ts) instead of compiling its source.
// Invariant: whatever is wrong with it, loading goes on without; Node checks each file against the source that it is for.
// Called once by load.ts, before user code, and by forms/web, whose program is another Node that finds the same link.
//
// Node wants its cache in `<folder>/<version>-<processor>-<V8's tag>-<uid>`, and the uid is each sandbox's own. So Node is
// given a folder in the sandbox's own /tmp, and what it has made there gives way to a link to the read-only folder that
// all share. What Node would write back at exit fails on that. 0.1 ms in all; asking `node:v8` for the tag takes 1.7.
import { rmdirSync, symlinkSync } from 'node:fs';

export const COMPILED_LINKS = '/tmp/.virga-compiled';

export function useCompiledCode(folder: string): void {
  const { enableCompileCache, getCompileCacheDir } = process.getBuiltinModule('node:module');
  try {
    enableCompileCache(COMPILED_LINKS);
    const own = getCompileCacheDir();
    // The function's settings may have switched it off (NODE_DISABLE_COMPILE_CACHE).
    if (own === undefined) return;
    rmdirSync(own);
    symlinkSync(folder, own);
  } catch {
    // No room in /tmp: the code is compiled from its source.
  }
}
