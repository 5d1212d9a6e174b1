// The globals of Workers that Node does not have, or has otherwise. Invariant: what costs time to make (Node loads fetch, streams
// and crypto when they are first named) is made at its first use; what has no counterpart throws an error that names it when it
// is used. Called once by workers.ts, before user code.
import { CacheStorage } from './http-cache.ts';
import { digestStream } from './digest-stream.ts';
import { encodesItself } from './encoded-body.ts';
import { unmakable } from './entrypoints.ts';
import type { Listeners } from './service-worker.ts';

const USER_AGENT = 'Cloudflare-Workers';
/** Of the instance's memory, for all caches together. */
const CACHE_PART = 8;
const CACHE_BYTES_MAX = 64 * 1024 * 1024;

export function installGlobals({ memoryMiB, listeners }: { memoryMiB: number; listeners: Listeners }): void {
  const cacheBytes = Math.min(CACHE_BYTES_MAX, (memoryMiB * 1024 * 1024) / CACHE_PART);
  define('self', globalThis);
  define('addEventListener', listeners.add);
  define('removeEventListener', listeners.remove);
  define('navigator', { userAgent: USER_AGENT, language: 'en', hardwareConcurrency: 1 });
  define('scheduler', { wait });
  define('Cloudflare', { compatibilityFlags: {} });
  define(
    'HTMLRewriter',
    unmakable(
      'HTMLRewriter',
      'of Cloudflare Workers and has no counterpart in Virga: rewrite the text, or bundle a parser such as node-html-parser',
    ),
  );
  define(
    'WebSocketPair',
    unmakable(
      'WebSocketPair',
      'of Cloudflare Workers and has no counterpart in Virga: serve WebSockets from a function of the runtime `web`',
    ),
  );
  defineLate('caches', () => new CacheStorage({ bytesMax: cacheBytes }));
  defineLate('IdentityTransformStream', identityTransformStream);
  defineLate('FixedLengthStream', () => fixedLengthStream(globalThis.TransformStream));
  replaceLate('Response', (standard) => workersResponse(standard as typeof Response));
  replaceLate('Headers', (standard) => workersHeaders(standard as typeof Headers));
  replaceLate('crypto', (standard) => workersCrypto(standard as Crypto));
}

/** A service worker's variables are globals; a name that is taken stays what it is. */
export function variablesAsGlobals(env: Record<string, string>): void {
  for (const [name, value] of Object.entries(env)) if (!(name in globalThis)) define(name, value);
}

function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, enumerable: false, writable: true });
}

function defineLate(name: string, make: () => unknown): void {
  Object.defineProperty(globalThis, name, {
    configurable: true,
    enumerable: false,
    get() {
      const value = make();
      define(name, value);
      return value;
    },
    set(value: unknown) {
      define(name, value);
    },
  });
}

/** The standard one is asked for when somebody asks for ours. */
function replaceLate(name: string, replace: (standard: unknown) => unknown): void {
  const original = Object.getOwnPropertyDescriptor(globalThis, name)!;
  defineLate(name, () => {
    Object.defineProperty(globalThis, name, original);
    return replace(Reflect.get(globalThis, name));
  });
}

async function wait(ms: number, options?: { signal?: AbortSignal }): Promise<void> {
  const { setTimeout: sleep } = process.getBuiltinModule('node:timers/promises');
  await sleep(ms, undefined, options?.signal === undefined ? {} : { signal: options.signal });
}

/** Passes bytes on, and refuses anything else. */
function identityTransformStream(): unknown {
  return class IdentityTransformStream extends globalThis.TransformStream<unknown, Uint8Array> {
    constructor() {
      super({ transform: (chunk, controller) => controller.enqueue(bytesOf(chunk)) });
    }
  };
}

const fixedLengths = new WeakMap<object, number>();

function fixedLengthStream(Base: typeof TransformStream): unknown {
  return class FixedLengthStream extends Base<unknown, Uint8Array> {
    constructor(length: number | bigint) {
      const expected = Number(length);
      if (!Number.isSafeInteger(expected) || expected < 0)
        throw new TypeError(`FixedLengthStream needs a number of bytes, and got ${String(length)}`);
      let seen = 0;
      super({
        transform(chunk, controller) {
          const bytes = bytesOf(chunk);
          seen += bytes.length;
          if (seen > expected) throw new TypeError(`more than the ${expected} bytes of a FixedLengthStream were written`);
          controller.enqueue(bytes);
        },
        flush() {
          if (seen < expected) throw new TypeError(`only ${seen} of the ${expected} bytes of a FixedLengthStream were written`);
        },
      });
      fixedLengths.set(this.readable, expected);
    }
  };
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError(`this stream takes bytes, and got ${typeof chunk}`);
}

interface WorkersResponseInit extends ResponseInit {
  encodeBody?: 'automatic' | 'manual';
}

function workersResponse(Standard: typeof Response): typeof Response {
  // Those of a Response are ours as well, though nobody has named them.
  void globalThis.Headers;
  return new Proxy(Standard, {
    construct(target, args: [unknown, WorkersResponseInit?], newTarget) {
      // What the guest has made of Response looks at what `new` was said of.
      const response = Reflect.construct(target, args, newTarget === globalThis.Response ? target : newTarget) as Response;
      const [body, init] = args;
      if (init?.encodeBody === 'manual') encodesItself(response);
      const length = typeof body === 'object' && body !== null ? fixedLengths.get(body) : undefined;
      if (length !== undefined && !response.headers.has('content-length')) response.headers.set('content-length', String(length));
      return response;
    },
  });
}

/** Older code has no getSetCookie. */
function workersHeaders(Standard: typeof Headers): typeof Headers {
  const getAll = function getAll(this: Headers, name: string): string[] {
    if (name.toLowerCase() !== 'set-cookie') throw new TypeError('Headers.getAll() is for Set-Cookie alone');
    return this.getSetCookie();
  };
  Object.defineProperty(Standard.prototype, 'getAll', { value: getAll, configurable: true, enumerable: false, writable: true });
  return Standard;
}

function workersCrypto(standard: Crypto): Crypto {
  const timingSafeEqual = (a: ArrayBuffer | NodeJS.ArrayBufferView, b: ArrayBuffer | NodeJS.ArrayBufferView): boolean =>
    process
      .getBuiltinModule('node:crypto')
      .timingSafeEqual(ArrayBuffer.isView(a) ? a : new Uint8Array(a), ArrayBuffer.isView(b) ? b : new Uint8Array(b));
  Object.defineProperty(standard.subtle, 'timingSafeEqual', { value: timingSafeEqual, configurable: true, writable: true });
  let made: unknown;
  Object.defineProperty(standard, 'DigestStream', { configurable: true, get: () => (made ??= digestStream()) });
  return standard;
}
