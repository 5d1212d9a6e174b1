// The API keys of all projects in the edge's memory, so that finding one costs a map's get: fed by server/access-feed.ts.
// Invariant: holds hashes, never keys; a project's keys are swapped whole; at most as many as the node may have
// (VIRGA_LIMIT_API_KEYS, which the control role keeps). Used by keys.ts.
import type { KeyRoute } from '../../protocol/key-route.ts';
import type { Known } from './authenticator.ts';

export interface HeldKey {
  /** e.g. `a1b2c3d4e5`. */
  id: string;
  project: string;
  /** sha256 of the whole key. */
  hash: Buffer;
  /** The one before the last rotation, as long as it is accepted. */
  previous: { hash: Buffer; until: number } | undefined;
  /** Unix ms; Infinity: never. */
  expiresAt: number;
  /** Which routes it may call; undefined: all. */
  routes: readonly KeyRoute[] | undefined;
  known: Known;
}

export class KeyRing {
  readonly #projects = new Map<string, Map<string, HeldKey>>();
  #used = new Map<string, { project: string; id: string; at: number }>();

  find(project: string, id: string): HeldKey | undefined {
    return this.#projects.get(project)?.get(id);
  }

  get size(): number {
    let size = 0;
    for (const keys of this.#projects.values()) size += keys.size;
    return size;
  }

  replaceAll(keys: readonly HeldKey[]): void {
    this.#projects.clear();
    for (const key of keys) this.#held(key.project).set(key.id, key);
  }

  replaceProject(project: string, keys: readonly HeldKey[]): void {
    this.#projects.delete(project);
    for (const key of keys) this.#held(project).set(key.id, key);
  }

  /** Written down once a minute by the feed. */
  used({ project, id }: HeldKey, at: number): void {
    const seen = this.#used.get(id);
    if (seen === undefined) this.#used.set(id, { project, id, at });
    else seen.at = at;
  }

  takeUsed(): { project: string; id: string; at: number }[] {
    const used = [...this.#used.values()];
    this.#used = new Map();
    return used;
  }

  #held(project: string): Map<string, HeldKey> {
    let keys = this.#projects.get(project);
    if (keys === undefined) this.#projects.set(project, (keys = new Map()));
    return keys;
  }
}
