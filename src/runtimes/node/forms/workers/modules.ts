// The modules that Workers import and npm does not have: `cloudflare:workers` and `cloudflare:sockets`; and files that a Worker
// imports as text, bytes or a WebAssembly.Module, where no build of ours has bundled them (folders and archives as they are).
// Invariant: any other module of Cloudflare's fails with an error that names it. Installed once by workers.ts, before user code.
//
// What is imported becomes a `data:` module that takes its exports from one place of globalThis: a hook that also loads would
// see, and slow, each module of the function.
import { fileURLToPath } from 'node:url';
import { LoadError } from '../../failure.ts';
import { DurableObject, RpcStub, RpcTarget, WorkerEntrypoint, WorkflowEntrypoint } from './entrypoints.ts';
import { waitUntil } from './execution-context.ts';
import { connect } from './sockets.ts';

const PLACE = 'virga.workers';
/** How Cloudflare's build reads them. */
const TEXT = /\.(?:txt|html|sql)$/;
const BYTES = /\.bin$/;
const WASM = /\.wasm(?:\?module)?$/;

export function installModules({ env }: { env: Record<string, string> }): void {
  const modules: Record<string, Record<string, unknown>> = {
    'cloudflare:workers': {
      env,
      waitUntil,
      exports: {},
      WorkerEntrypoint,
      RpcTarget,
      RpcStub,
      DurableObject,
      WorkflowEntrypoint,
      withEnv: (other: object, call: () => unknown) => withEnv(env, other, call),
    },
    'cloudflare:sockets': { connect },
  };
  Object.defineProperty(globalThis, Symbol.for(PLACE), { value: modules, configurable: true });
  process.getBuiltinModule('node:module').registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith('cloudflare:')) return found(moduleText(specifier, modules[specifier]));
      const kind = TEXT.test(specifier) ? 'text' : BYTES.test(specifier) ? 'bytes' : WASM.test(specifier) ? 'wasm' : undefined;
      // `import x from './x.wasm' with { … }` says itself what it wants.
      if (kind === undefined || Object.keys(context.importAttributes ?? {}).length > 0) return next(specifier, context);
      const { url } = next(specifier.replace(/\?module$/, ''), context);
      return url.startsWith('file:') ? found(fileText(fileURLToPath(url), kind)) : next(specifier, context);
    },
  });
}

function found(text: string): { url: string; format: 'module'; shortCircuit: true } {
  return { url: `data:text/javascript,${encodeURIComponent(text)}`, format: 'module', shortCircuit: true };
}

function moduleText(name: string, exported: Record<string, unknown> | undefined): string {
  if (exported === undefined)
    throw new LoadError(
      `the module '${name}' of Cloudflare Workers has no counterpart in Virga; it has cloudflare:workers and cloudflare:sockets`,
    );
  const from = `globalThis[Symbol.for(${JSON.stringify(PLACE)})][${JSON.stringify(name)}]`;
  return `const all = ${from};\nexport default all;\nexport const { ${Object.keys(exported).join(', ')} } = all;`;
}

function fileText(path: string, kind: 'text' | 'bytes' | 'wasm'): string {
  const read = `process.getBuiltinModule('node:fs').readFileSync(${JSON.stringify(path)}`;
  if (kind === 'text') return `export default ${read}, 'utf8');`;
  if (kind === 'wasm') return `export default new WebAssembly.Module(${read}));`;
  return `const bytes = ${read}); export default bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);`;
}

/** `env` is one object, so it has the other's properties for as long as the call takes. */
function withEnv(env: Record<string, unknown>, other: object, call: () => unknown): unknown {
  const before = { ...env };
  const set = (properties: object): void => {
    for (const name of Object.keys(env)) delete env[name];
    Object.assign(env, properties);
  };
  set(other);
  const back = (): void => set(before);
  try {
    const result = call();
    if (result instanceof Promise) return result.finally(back);
    back();
    return result;
  } catch (error) {
    back();
    throw error;
  }
}
