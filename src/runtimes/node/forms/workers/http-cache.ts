// The Cache API of Workers (`caches.default`, `caches.open(name)`), in the memory of the instance. Invariants: it never holds more
// than its bound, of all caches together, and lets go of what was used longest ago; what the response's headers forbid is not
// kept. Another instance has another cache, as another data centre has at Cloudflare. Made at its first use by globals.ts.
import { isFresh, keptFor, parseRange, splitSetCookie } from './cache-rules.ts';

const ENTRIES_MAX = 2_000;
/** One response may take this part of the whole. */
const ENTRY_PART = 4;
/** What an entry costs beside its body and headers. */
const ENTRY_OVERHEAD_BYTES = 512;
const NAME_CHARACTERS_MAX = 512;

interface Entry {
  status: number;
  statusText: string;
  headers: [string, string][];
  body: Uint8Array<ArrayBuffer>;
  storedAt: number;
  expiresAt: number;
  bytes: number;
}

type CacheKey = Request | string | URL;

interface QueryOptions {
  ignoreMethod?: boolean;
}

export class CacheStorage {
  readonly #store: Store;
  readonly #opened = new Map<string, Cache>();
  readonly default: Cache;

  constructor({ bytesMax }: { bytesMax: number }) {
    this.#store = new Store(bytesMax);
    this.default = new Cache(this.#store, '');
  }

  async open(name: string): Promise<Cache> {
    if (typeof name !== 'string' || name === '' || name.length > NAME_CHARACTERS_MAX)
      throw new TypeError(`caches.open() needs a name of 1 to ${NAME_CHARACTERS_MAX} characters`);
    let cache = this.#opened.get(name);
    if (cache === undefined) {
      cache = new Cache(this.#store, `${name}\0`);
      if (this.#opened.size < ENTRIES_MAX) this.#opened.set(name, cache);
    }
    return cache;
  }
}

class Cache {
  readonly #store: Store;
  /** Before the URL: caches of other names share the store. */
  readonly #prefix: string;

  constructor(store: Store, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  async match(key: CacheKey, options?: QueryOptions): Promise<Response | undefined> {
    const request = requestOf(key);
    if (request.method !== 'GET' && options?.ignoreMethod !== true) return undefined;
    const entry = this.#store.get(this.#keyOf(request));
    return entry === undefined ? undefined : answer(entry, request.headers);
  }

  async put(key: CacheKey, response: Response): Promise<void> {
    const request = requestOf(key);
    if (request.method !== 'GET') throw new TypeError(`cache.put() takes a GET request, and got ${request.method}`);
    if (response.status === 206) throw new TypeError('cache.put() takes no partial response (206)');
    if (response.headers.get('vary')?.includes('*') === true) throw new TypeError("cache.put() takes no response with 'Vary: *'");
    if (response.bodyUsed) throw new TypeError('cache.put() got a response whose body has been read; give it response.clone()');
    const { status, statusText } = response;
    const headers = splitSetCookie([...response.headers]);
    const ms = headers === undefined ? 0 : keptFor(status, headers);
    const body = ms > 0 ? await readAtMost(response, this.#store.entryBytesMax) : undefined;
    if (headers === undefined || body === undefined) {
      await response.body?.cancel().catch(() => {});
      return;
    }
    const now = Date.now();
    const bytes = body.length + ENTRY_OVERHEAD_BYTES + headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    this.#store.set(this.#keyOf(request), { status, statusText, headers, body, storedAt: now, expiresAt: now + ms, bytes });
  }

  async delete(key: CacheKey, options?: QueryOptions): Promise<boolean> {
    const request = requestOf(key);
    if (request.method !== 'GET' && options?.ignoreMethod !== true) return false;
    return this.#store.delete(this.#keyOf(request));
  }

  #keyOf(request: Request): string {
    const hash = request.url.indexOf('#');
    return this.#prefix + (hash === -1 ? request.url : request.url.slice(0, hash));
  }
}

/** Entries in the order of their last use, the oldest first. */
class Store {
  readonly entryBytesMax: number;
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.entryBytesMax = Math.floor(bytesMax / ENTRY_PART);
  }

  get(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (!isFresh(entry)) {
      this.#bytes -= entry.bytes;
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: Entry): void {
    this.delete(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax && this.#entries.size <= ENTRIES_MAX) return;
      this.delete(oldest);
    }
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    return isFresh(entry);
  }
}

function requestOf(key: CacheKey): Request {
  return key instanceof Request ? key : new Request(key);
}

/** undefined: it is larger. */
async function readAtMost(response: Response, bytesMax: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (response.body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    // Leaving the loop cancels the stream.
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** A kept response for a request that may have a range, or a copy of its own already. */
function answer(entry: Entry, asked: Headers): Response {
  const headers = new Headers(entry.headers);
  headers.set('cf-cache-status', 'HIT');
  headers.set('age', String(Math.floor((Date.now() - entry.storedAt) / 1000)));
  const { status, statusText, body } = entry;
  if (isUnchanged(headers, asked)) return new Response(null, { status: 304, headers });
  const range = status === 200 ? parseRange(asked.get('range'), body.length) : undefined;
  if (range !== undefined) {
    headers.set('content-range', `bytes ${range.from}-${range.to}/${body.length}`);
    headers.set('content-length', String(range.to + 1 - range.from));
    return new Response(body.subarray(range.from, range.to + 1), { status: 206, headers });
  }
  const bodiless = status === 204 || status === 205 || status === 304;
  return new Response(bodiless ? null : body, { status, statusText, headers });
}

function isUnchanged(headers: Headers, asked: Headers): boolean {
  const etags = asked.get('if-none-match');
  if (etags !== null) {
    const own = headers.get('etag')?.replace(/^W\//, '');
    return own !== undefined && etags.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === own);
  }
  const since = Date.parse(asked.get('if-modified-since') ?? '');
  return Date.parse(headers.get('last-modified') ?? '') <= since;
}
