// Keys whose answers may not be kept, for ten seconds each: nobody should wait for one of these. Invariant: so many at most on the
// whole node, however many keys clients make up. Held by store.ts.
import { hash } from 'node:crypto';

const KEYS_MAX = 16_384;
const MS = 10_000;

export class Unkept {
  /** Until when; the oldest first. */
  readonly #until = new Map<string, number>();

  get size(): number {
    return this.#until.size;
  }

  mark(key: string, nowMs: number): void {
    const short = shortOf(key);
    this.#until.delete(short);
    if (this.#until.size >= KEYS_MAX) this.#until.delete(this.#until.keys().next().value!);
    this.#until.set(short, nowMs + MS);
  }

  has(key: string, nowMs: number): boolean {
    if (this.#until.size === 0) return false;
    const short = shortOf(key);
    const until = this.#until.get(short);
    if (until === undefined) return false;
    if (until > nowMs) return true;
    this.#until.delete(short);
    return false;
  }
}

/** A key may have a thousand characters. Two with one hash would wait, or not, for each other's answer, and no more. */
function shortOf(key: string): string {
  return hash('sha256', key, 'base64url').slice(0, 16);
}
