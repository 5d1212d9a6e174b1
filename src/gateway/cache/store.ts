// What the cache of a node holds: one budget of bytes, a share of it at most for each project, and who goes when it is full.
// Of one project entries go by SIEVE (https://junchengyang.com/publication/nsdi24-SIEVE.pdf): new ones at the head, a hand that
// moves from the tail to the head and takes the first that was not asked for since it last came by. One bit, no move on a hit,
// and a scan of things that nobody asks for twice does not push out what everybody wants. When the node is full the project
// that holds most gives way. Invariant: `bytes` is exactly what the entries and the answers on their way cost, never above the
// budget. Called by cache-stage.ts and fill.ts.
import type { CacheCounts, CacheStats } from '../../protocol/cache-stats.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { Unkept } from './unkept.ts';

/** One kept answer. */
export interface Entry {
  readonly holder: ProjectCache;
  /** Takes it out of where it is looked up. */
  readonly forget: (entry: Entry) => void;
  readonly primary: string;
  readonly secondary: string;
  /** Path that the client asked for, as it was routed: percent-decoded. */
  readonly path: string;
  readonly tags: readonly string[];
  readonly status: number;
  /** With content-length, without what is of one exchange. */
  readonly headers: FlatHeaders;
  readonly body: Buffer;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** The function gave one of the two, so it can be asked whether they still hold. */
  readonly canValidate: boolean;
  readonly bornMs: number;
  readonly freshUntilMs: number;
  readonly staleWhileUntilMs: number;
  readonly staleErrorUntilMs: number;
  readonly forAuthorized: boolean;
  /** Once: what it costs. */
  readonly bytes: number;
  /** Of SIEVE: asked for since the hand came by. */
  asked: boolean;
  newer: Entry | undefined;
  older: Entry | undefined;
  held: boolean;
}

/** One of them; none: everything. */
export interface Purge {
  at?: string;
  /** `/a` means /a and what is below it, not /ab. */
  below?: string;
  tag?: string;
}

const NO_COUNTS: CacheCounts = { hits: 0, stale: 0, misses: 0, coalesced: 0, bypassed: 0, stored: 0, evictions: 0, purged: 0 };

/** Objects, maps and strings around one entry, about. */
const ENTRY_BYTES = 768;
/** Of these is known what they meant: an answer that is on its way for longer is not kept. */
const RECENT_PURGES = 256;

export class CacheStore {
  readonly bytesMax: number;
  readonly projectBytesMax: number;
  readonly unkept = new Unkept();
  #bytes = 0;
  readonly #projects = new Map<string, ProjectCache>();

  constructor(limits: { cacheBytesMax: number; projectCacheBytesMax: number }) {
    this.bytesMax = limits.cacheBytesMax;
    this.projectBytesMax = Math.min(limits.projectCacheBytesMax, limits.cacheBytesMax);
  }

  get bytes(): number {
    return this.#bytes;
  }

  project(name: string): ProjectCache {
    let project = this.#projects.get(name);
    if (project === undefined) this.#projects.set(name, (project = new ProjectCache(name)));
    return project;
  }

  /** Forgets the counts of others that hold nothing. */
  keepProjects(names: ReadonlySet<string>): void {
    for (const [name, project] of this.#projects) if (!names.has(name) && project.bytes === 0) this.#projects.delete(name);
  }

  /** Takes out what is meant, and whatever is on its way is not kept. */
  purge(name: string, what: Purge): { entries: number; bytes: number } {
    const project = this.#projects.get(name);
    const purged = { entries: 0, bytes: 0 };
    if (project === undefined) return purged;
    project.note(what);
    for (const entry of project.find(what)) {
      purged.entries++;
      purged.bytes += entry.bytes;
      this.remove(entry, 'purged');
    }
    return purged;
  }

  stats(name: string): CacheStats {
    const { entries = 0, bytes = 0, counts = NO_COUNTS } = this.#projects.get(name) ?? {};
    return { entries, bytes, ...counts, bytesMax: this.projectBytesMax, node: { bytes: this.#bytes, bytesMax: this.bytesMax } };
  }

  /** Room for so much of an answer on its way; false: there is none to be had. */
  hold(project: ProjectCache, bytes: number): boolean {
    if (!this.#makeRoom(project, bytes)) return false;
    project.onItsWay += bytes;
    this.#bytes += bytes;
    return true;
  }

  letGo(project: ProjectCache, bytes: number): void {
    project.onItsWay -= bytes;
    this.#bytes -= bytes;
  }

  /** False: it does not fit. What holds its place already has been taken out by the caller. */
  add(entry: Entry): boolean {
    if (!this.#makeRoom(entry.holder, entry.bytes)) return false;
    entry.holder.link(entry);
    this.#bytes += entry.bytes;
    entry.holder.counts.stored++;
    return true;
  }

  remove(entry: Entry, why: 'evictions' | 'purged' | 'replaced'): void {
    if (!entry.held) return;
    entry.holder.unlink(entry);
    this.#bytes -= entry.bytes;
    if (why !== 'replaced') entry.holder.counts[why]++;
    entry.forget(entry);
  }

  #makeRoom(project: ProjectCache, bytes: number): boolean {
    if (bytes + project.onItsWay > this.projectBytesMax) return false;
    while (project.bytes + bytes > this.projectBytesMax) if (!this.#evictFrom(project)) return false;
    while (this.#bytes + bytes > this.bytesMax) {
      let largest = project;
      for (const other of this.#projects.values()) if (other.entryBytes > largest.entryBytes) largest = other;
      if (!this.#evictFrom(largest)) return false;
    }
    return true;
  }

  #evictFrom(project: ProjectCache): boolean {
    const victim = project.nextVictim();
    if (victim === undefined) return false;
    this.remove(victim, 'evictions');
    return true;
  }
}

/** The entries of one project, and by what they can be found to purge them. */
export class ProjectCache {
  readonly name: string;
  entryBytes = 0;
  entries = 0;
  /** Of answers that are still coming. */
  onItsWay = 0;
  /** Counts purges. */
  purges = 0;
  /** The last of them, at `purges` modulo their number. */
  readonly #recent: Purge[] = [];
  readonly counts = { ...NO_COUNTS };
  readonly #byTag = new Map<string, Set<Entry>>();
  readonly #byPath = new Map<string, Set<Entry>>();
  #newest: Entry | undefined;
  #oldest: Entry | undefined;
  #hand: Entry | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get bytes(): number {
    return this.entryBytes + this.onItsWay;
  }

  note(what: Purge): void {
    this.#recent[this.purges++ % RECENT_PURGES] = what;
  }

  /** Whether an answer that was asked for when there had been `since` purges was meant by one that came meanwhile. */
  isPurged(since: number, { path, tags }: Pick<Entry, 'path' | 'tags'>): boolean {
    if (this.purges - since > RECENT_PURGES) return true;
    for (let i = since; i < this.purges; i++) {
      const { at, below, tag } = this.#recent[i % RECENT_PURGES]!;
      if (tag !== undefined ? tags.includes(tag) : at !== undefined ? at === path : isBelow(path, below ?? '')) return true;
    }
    return false;
  }

  link(entry: Entry): void {
    entry.held = true;
    entry.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
    this.entryBytes += entry.bytes;
    this.entries++;
    for (const tag of entry.tags) index(this.#byTag, tag, entry);
    index(this.#byPath, entry.path, entry);
  }

  unlink(entry: Entry): void {
    entry.held = false;
    if (this.#hand === entry) this.#hand = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = undefined;
    entry.older = undefined;
    this.entryBytes -= entry.bytes;
    this.entries--;
    for (const tag of entry.tags) unindex(this.#byTag, tag, entry);
    unindex(this.#byPath, entry.path, entry);
  }

  nextVictim(): Entry | undefined {
    let at = this.#hand ?? this.#oldest;
    while (at?.asked === true) {
      at.asked = false;
      at = at.newer ?? this.#oldest;
    }
    this.#hand = at;
    return at;
  }

  find({ at, below, tag }: Purge): Entry[] {
    if (tag !== undefined) return [...(this.#byTag.get(tag) ?? [])];
    if (at !== undefined) return [...(this.#byPath.get(at) ?? [])];
    const found: Entry[] = [];
    for (const [path, entries] of this.#byPath) if (isBelow(path, below ?? '')) found.push(...entries);
    return found;
  }
}

/** What an entry of these parts is counted with: two bytes for each character that is held as a string. */
export function costOf(entry: Pick<Entry, 'primary' | 'secondary' | 'path' | 'tags' | 'headers' | 'body'>): number {
  let characters = entry.primary.length + entry.secondary.length + entry.path.length;
  for (const text of entry.tags) characters += text.length + 32;
  for (const text of entry.headers) characters += text.length + 8;
  return ENTRY_BYTES + 2 * characters + entry.body.length;
}

function isBelow(path: string, prefix: string): boolean {
  const plain = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  return path === plain || path.startsWith(`${plain}/`);
}

function index(map: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, new Set([entry]));
  else found.add(entry);
}

function unindex(map: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const found = map.get(key);
  if (found?.delete(entry) === true && found.size === 0) map.delete(key);
}
