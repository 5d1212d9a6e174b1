// CommonJS compiled as `require` compiles it, and not run: Node keeps what comes of it (the code in its compile cache, the
// source map). Invariant: nothing of the source runs. Callers: compile.ts, source-maps.ts.
//
// Node's Module.prototype._compile compiles, then reads `exports` of the module, then calls the code: reading throws here.
import type { Module } from 'node:module';

type Compile = (this: Module, source: string, path: string, format: 'commonjs') => void;

/** False when the source is no CommonJS. Throws when this Node does not stop where others do. */
export function compileOnly(module: Module, path: string, source: string): boolean {
  const compiled = new Error('compiled');
  module.filename = path;
  Object.defineProperty(module, 'exports', {
    get() {
      throw compiled;
    },
  });
  try {
    (Reflect.get(module, '_compile') as Compile).call(module, source, path, 'commonjs');
  } catch (error) {
    return error === compiled;
  }
  throw new Error('this Node runs what it should only compile');
}
