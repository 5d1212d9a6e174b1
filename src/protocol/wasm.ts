// Which WebAssembly modules Virga can start, said in one place for the deploy (which refuses the others) and for the guest
// (which starts them): command modules of WASI preview 1. Invariant: what is wrong with a module is one sentence that names
// it, with the remedy. Used by cli/build/wasm.ts and by the guest's form `wasm`.

/** What this file and the guest use of the global `WebAssembly`; its types come with browsers' libraries alone. */
export interface WasmModule {
  readonly [Symbol.toStringTag]?: 'WebAssembly.Module';
}

export interface WasmInstance {
  readonly exports: Record<string, unknown>;
}

interface WasmApi {
  Module: {
    new (bytes: Uint8Array): WasmModule;
    imports(module: WasmModule): { module: string; name: string; kind: string }[];
    exports(module: WasmModule): { name: string; kind: string }[];
  };
  Instance: new (module: WasmModule, imports: Record<string, Record<string, unknown>>) => WasmInstance;
  /** JavaScript Promise Integration: an import that may suspend the program, and an export whose result is a promise. */
  Suspending: new (imported: (...args: never[]) => unknown) => object;
  promising(exported: unknown): () => Promise<unknown>;
}

export function wasmApi(): WasmApi {
  return Reflect.get(globalThis, 'WebAssembly') as WasmApi;
}

/** The module that they are imported from. */
export const WASI = 'wasi_snapshot_preview1';

/** All functions of WASI preview 1. */
export const WASI_FUNCTIONS = [
  'args_get',
  'args_sizes_get',
  'clock_res_get',
  'clock_time_get',
  'environ_get',
  'environ_sizes_get',
  'fd_advise',
  'fd_allocate',
  'fd_close',
  'fd_datasync',
  'fd_fdstat_get',
  'fd_fdstat_set_flags',
  'fd_fdstat_set_rights',
  'fd_filestat_get',
  'fd_filestat_set_size',
  'fd_filestat_set_times',
  'fd_pread',
  'fd_prestat_dir_name',
  'fd_prestat_get',
  'fd_pwrite',
  'fd_read',
  'fd_readdir',
  'fd_renumber',
  'fd_seek',
  'fd_sync',
  'fd_tell',
  'fd_write',
  'path_create_directory',
  'path_filestat_get',
  'path_filestat_set_times',
  'path_link',
  'path_open',
  'path_readlink',
  'path_remove_directory',
  'path_rename',
  'path_symlink',
  'path_unlink_file',
  'poll_oneoff',
  'proc_exit',
  'proc_raise',
  'random_get',
  'sched_yield',
  'sock_accept',
  'sock_recv',
  'sock_send',
  'sock_shutdown',
] as const;
export type WasiFunction = (typeof WASI_FUNCTIONS)[number];

/** What is called when nothing else is named. */
export const WASM_ENTRY = '_start';

const KNOWN: ReadonlySet<string> = new Set(WASI_FUNCTIONS);
const NAMES_SHOWN = 8;

/** Whether the bytes can be a module at all; undefined: yes. */
export function bytesProblem(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0) !== 0x00_61_73_6d) return 'it is no WebAssembly: it does not begin with \\0asm';
  // A module has version 1 in 4 bytes; of a component the last two are its layer, 1.
  if (view.getUint16(6, true) === 1)
    return 'it is a WebAssembly component (WASI preview 2); build a core module, e.g. with `--target wasm32-wasip1` (Rust) or `-target=wasip1` (TinyGo)';
  return undefined;
}

/** `entry`: the export that is called. Undefined: nothing is wrong. */
export function moduleProblem(module: WasmModule, entry: string): string | undefined {
  const { Module } = wasmApi();
  const missing = Module.imports(module).filter(({ module: from, name, kind }) => from !== WASI || kind !== 'function' || !KNOWN.has(name));
  if (missing.length > 0) {
    const names = missing
      .slice(0, NAMES_SHOWN)
      .map(({ module: from, name, kind }) => `${from}.${name}${kind === 'function' ? '' : ` (${kind})`}`);
    const more = missing.length > NAMES_SHOWN ? ` and ${missing.length - NAMES_SHOWN} more` : '';
    return `it imports ${names.join(', ')}${more}, which nothing here provides: a program gets the functions of ${WASI} and nothing else${remedyFor(missing[0]!)}`;
  }
  const exports = Module.exports(module);
  const has = (name: string, kind: string): boolean => exports.some((one) => one.name === name && one.kind === kind);
  if (!has(entry, 'function')) {
    const reactor = entry === WASM_ENTRY && has('_initialize', 'function');
    const functions = exports.filter(({ kind }) => kind === 'function').map(({ name }) => name);
    return `it exports no function ${entry}${reactor ? ': it was built as a library (reactor); build it as a program (command)' : `; its functions are ${functions.slice(0, NAMES_SHOWN).join(', ') || 'none'}`}`;
  }
  if (!has('memory', 'memory')) return 'it exports no `memory`, in which WASI passes everything; let the linker export it';
  return undefined;
}

function remedyFor({ module, name, kind }: { module: string; name: string; kind: string }): string {
  if (module === 'wasi_unstable') return '; build it with a newer toolchain: that is WASI before preview 1';
  if (module.startsWith('wasi:')) return '; build it for WASI preview 1 (wasm32-wasip1)';
  if (kind === 'memory') return '; build it without threads (its memory comes from outside)';
  if (module === 'env' && name.startsWith('emscripten')) return '; build it with `-sSTANDALONE_WASM`';
  if (module.startsWith('wbg') || module.startsWith('__wbindgen') || module.startsWith('./'))
    return '; that is a module for browsers (wasm-bindgen)';
  return '';
}
