// A WebAssembly program of WASI preview 1: compiled once, then a new instance of it for each call, as CGI starts a process for
// each. Invariants: two calls share nothing but the compiled code and /tmp; a program that waits (for the request's body, for
// the client to read, for a clock) is suspended, so that an instance with concurrency serves others meanwhile.
// Made by wasm.ts; see docs/decisions/0015-wasm.md for the figures.
import type { CloudEvent } from '../../../../protocol/events.ts';
import { CLOUD_EVENT_TYPE, isCloudEvent } from '../../../../protocol/events.ts';
import { LOG_LINE_MAX } from '../../../../protocol/frames.ts';
import type { EventRequestMeta } from '../../../../protocol/frames.ts';
import { WASI, wasmApi } from '../../../../protocol/wasm.ts';
import type { WasiFunction, WasmModule } from '../../../../protocol/wasm.ts';
import type { Invocation } from '../../invocation.ts';
import type { LogRecords } from '../../log-records.ts';
import { commonVariables, eventWords, httpWords } from './cgi-request.ts';
import type { CallWords } from './cgi-request.ts';
import { Abandoned, Exit } from './ends.ts';
import { wasiImports } from './imports.ts';
import { LogLines } from './log-lines.ts';
import { ProgramMemory } from './memory.ts';
import { EventOutput, HttpOutput } from './output.ts';
import { Run, surroundingsOf } from './run.ts';
import type { ByteSource, RunOptions, Surroundings } from './run.ts';

export interface ProgramParts {
  module: WasmModule;
  /** What the file is called: the program's own name, when no path is. */
  name: string;
  entry: string;
  codeFolder: string;
  env: Record<string, string>;
  log: LogRecords;
}

export class Program {
  readonly #parts: ProgramParts;
  readonly #wanted: WasiFunction[];
  readonly #environment: readonly Buffer[];
  readonly #names: ReadonlySet<string>;
  readonly #surroundings: Surroundings;

  constructor(parts: ProgramParts) {
    this.#parts = parts;
    this.#wanted = wasmApi()
      .Module.imports(parts.module)
      .map(({ name }) => name as WasiFunction);
    this.#environment = Object.entries(parts.env).map(([name, value]) => text(`${name}=${value}`));
    this.#names = new Set(Object.keys(parts.env));
    this.#surroundings = surroundingsOf(parts.codeFolder);
  }

  async serve(invocation: Invocation): Promise<void> {
    const { meta, answer, body, stream } = invocation;
    const { log } = this.#parts;
    const call = meta.kind === 'http' ? { words: httpWords(meta), input: body } : await this.#event(meta, invocation);
    const output = meta.kind === 'http' ? new HttpOutput(answer, meta.method) : new EventOutput(answer);
    const lines = new LogLines((line) => log.write(stream, 'info', line), LOG_LINE_MAX);
    try {
      await this.#run({ ...this.#words(call.words, meta), input: call.input, output, log: (chunk) => lines.write(chunk), answer });
    } catch (error) {
      // Nobody is there to hear of a failure.
      if (answer.closed) return;
      throw error;
    } finally {
      lines.end();
      answer.onCancel = undefined;
    }
    await output.end();
  }

  async #run(options: RunOptions): Promise<void> {
    const api = wasmApi();
    // The memory is the instance's, which needs its imports first; none is called before.
    let memory: { readonly buffer: ArrayBuffer } | undefined;
    const run = new Run(
      new ProgramMemory({
        get buffer() {
          return memory!.buffer;
        },
      }),
      this.#surroundings,
      options,
    );
    try {
      const { exports } = new api.Instance(this.#parts.module, { [WASI]: wasiImports(run, this.#wanted) });
      memory = exports['memory'] as { readonly buffer: ArrayBuffer };
      await api.promising(exports[this.#parts.entry])();
      run.check();
    } catch (error) {
      // What a program caught of ours it may have thrown again as its own.
      const fatal = run.fatal ?? error;
      if (fatal instanceof Exit) {
        if (fatal.code === 0) return;
        throw exitFailure(fatal);
      }
      if (fatal instanceof Abandoned) return;
      throw fatal;
    } finally {
      run.descriptors.closeAll();
    }
  }

  /** Of a CloudEvent the program gets the data, and what it is about as variables. */
  async #event(meta: EventRequestMeta, { body }: Invocation): Promise<{ words: CallWords; input: ByteSource }> {
    const { name } = this.#parts;
    const payload = await body.readAll();
    const event = meta.contentType.toLowerCase().startsWith(CLOUD_EVENT_TYPE) ? parsedEvent(payload) : undefined;
    const data = event === undefined ? payload : dataOf(event);
    let taken = false;
    const take = (): Buffer | undefined => {
      if (taken || data.length === 0) return undefined;
      taken = true;
      return data;
    };
    return { words: eventWords(meta, { name, event, bytes: data.length }), input: { take } };
  }

  #words({ args, variables }: CallWords, meta: { id: string; trace: string }): { args: Buffer[]; environment: Buffer[] } {
    const own = Object.entries({ ...commonVariables(meta), ...variables });
    const overridden = own.some(([name]) => this.#names.has(name));
    const base = overridden
      ? Object.entries(this.#parts.env).flatMap(([name, value]) =>
          own.some(([other]) => other === name) ? [] : [text(`${name}=${value}`)],
        )
      : this.#environment;
    return { args: args.map(text), environment: [...base, ...own.map(([name, value]) => text(`${name}=${value}`))] };
  }
}

function exitFailure({ code }: Exit): Error {
  const error = new Error(`the program exited with ${code}; what it wrote to stderr is in its log`);
  error.name = 'ProgramFailed';
  error.stack = '';
  return error;
}

function parsedEvent(bytes: Buffer): CloudEvent {
  let event: unknown;
  try {
    event = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new SyntaxError(`the payload is not valid JSON: ${(error as Error).message}`);
  }
  if (isCloudEvent(event)) return event;
  throw new TypeError('the payload is no CloudEvent: it needs specversion 1.0, id, source and type');
}

function dataOf({ data, data_base64: base64 }: CloudEvent): Buffer {
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64');
  return data === undefined ? Buffer.alloc(0) : Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
}

/** NUL ends it, so there can be none inside. */
function text(value: string): Buffer {
  return Buffer.from(`${value.replaceAll('\0', '')}\0`);
}
