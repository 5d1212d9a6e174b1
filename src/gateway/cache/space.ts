// What is kept of one route, as long as its deployment says the same of it: slots by key, in each the variants that Vary tells
// apart, and what is being fetched. Invariant: once closed (the route or its function changed) nothing is added any more.
// Held by cache.ts, filled by fill.ts.
import type { GatewayRequest } from '../stage.ts';
import { variantOf } from './key.ts';
import type { CompiledRules } from './rules.ts';
import type { CacheStore, Entry, ProjectCache } from './store.ts';

/** What came of waiting: look, it is kept now; go, ask for yourself; an entry, take that. */
export type Outcome = 'look' | 'go' | Entry;

export interface Waiter {
  request: GatewayRequest;
  resolve: (outcome: Outcome) => void;
}

/** A call whose answer others may wait for (fill.ts). */
export interface Filling {
  /** False: no more may wait, or no longer. */
  readonly takesWaiters: boolean;
  /** Ends at the latest after some seconds. */
  wait(waiter: Waiter): void;
  stopWaiting(waiter: Waiter): void;
}

interface Place {
  secondary: string;
  forget: (entry: Entry) => void;
}

interface Slot {
  /** All names that answers of this key ever had in Vary, sorted. */
  vary: readonly string[];
  readonly entries: Map<string, Entry>;
}

/** So many variants of one key at most: each client can make up headers that the function varies by. */
const VARIANTS_MAX = 64;
const NO_NAMES: readonly string[] = [];
let spaces = 0;

export class RouteSpace {
  readonly store: CacheStore;
  readonly project: ProjectCache;
  readonly rules: CompiledRules;
  readonly now: () => number;
  closed = false;
  /** By key and variant: what others may wait for. */
  readonly fills = new Map<string, Filling>();
  readonly #slots = new Map<string, Slot>();
  readonly #id = `${++spaces} `;
  readonly #forget = (entry: Entry): void => this.#forgetEntry(entry);

  constructor(store: CacheStore, { project, rules, now }: { project: ProjectCache; rules: CompiledRules; now: () => number }) {
    this.store = store;
    this.project = project;
    this.rules = rules;
    this.now = now;
  }

  /** What is kept for this request, old or not; `others`: there is something of the key, for other headers. */
  find(request: GatewayRequest, primary: string): { entry: Entry | undefined; full: string; others: boolean } {
    const slot = this.#slots.get(primary);
    if (slot === undefined) return { entry: undefined, full: primary, others: false };
    if (slot.vary.length === 0) return { entry: slot.entries.get(''), full: primary, others: false };
    const secondary = variantOf(request, slot.vary, this.rules);
    return { entry: slot.entries.get(secondary), full: primary + secondary, others: true };
  }

  /** undefined: there is no room. `make` makes the entry for the variant that it is. */
  put(
    request: GatewayRequest,
    { primary, vary }: { primary: string; vary: readonly string[] },
    make: (place: Place) => Entry,
  ): Entry | undefined {
    let slot = this.#slots.get(primary);
    const names = union(slot?.vary ?? NO_NAMES, vary);
    if (slot !== undefined && names.length > slot.vary.length) {
      // What is there was kept without regard to the new names.
      for (const entry of [...slot.entries.values()]) this.store.remove(entry, 'replaced');
      slot = undefined;
    }
    const secondary = names.length === 0 ? '' : variantOf(request, names, this.rules);
    const before = slot?.entries.get(secondary);
    if (before !== undefined) this.store.remove(before, 'replaced');
    else if (slot !== undefined && slot.entries.size >= VARIANTS_MAX) this.store.remove(slot.entries.values().next().value!, 'evictions');
    const entry = make({ secondary, forget: this.#forget });
    if (!this.store.add(entry)) return undefined;
    // The slot may have gone with what made room.
    slot = this.#slots.get(primary);
    if (slot === undefined) this.#slots.set(primary, (slot = { vary: names, entries: new Map() }));
    slot.entries.set(secondary, entry);
    return entry;
  }

  isUnkept(full: string): boolean {
    return this.store.unkept.has(this.#id + full, this.now());
  }

  markUnkept(full: string): void {
    this.store.unkept.mark(this.#id + full, this.now());
  }

  close(): void {
    this.closed = true;
    for (const slot of [...this.#slots.values()]) for (const entry of [...slot.entries.values()]) this.store.remove(entry, 'purged');
  }

  #forgetEntry(entry: Entry): void {
    const slot = this.#slots.get(entry.primary);
    if (slot?.entries.get(entry.secondary) !== entry) return;
    slot.entries.delete(entry.secondary);
    if (slot.entries.size === 0) this.#slots.delete(entry.primary);
  }
}

function union(old: readonly string[], more: readonly string[]): readonly string[] {
  return more.every((name) => old.includes(name)) ? old : [...new Set([...old, ...more])].sort();
}
