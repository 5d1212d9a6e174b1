// The cache of the gateway: what is kept of each route lives here, beyond a deployment that leaves the route and its function as
// they are, and goes with one that does not. Requests that change something take with them what is kept of the same path.
// Compiled by features.ts; what it keeps is in store.ts, which the edge's private server purges (purge.ts).
import { versionKey } from '../../functions/version.ts';
import type { Route } from '../../protocol/settings.ts';
import type { Feature, GatewayRequest, RouteSource, Stage } from '../stage.ts';
import { CacheStage, SAFE, dropChanged } from './cache-stage.ts';
import { compileRules } from './rules.ts';
import { RouteSpace } from './space.ts';
import type { CacheStore } from './store.ts';

interface Held {
  space: RouteSpace;
  stage: Stage;
  /** What the route and its function were. */
  was: string;
  seen: boolean;
}

export class CacheFeature implements Feature {
  readonly #store: CacheStore;
  readonly #now: () => number;
  /** By project and route, without its rules. */
  readonly #held = new Map<string, Held>();
  /** Paths of a project's routes with a cache; by the list of its routes, which is made anew with each reading. */
  readonly #cachedPaths = new WeakMap<readonly Route[], ReadonlySet<string>>();

  /** `now`: Unix ms that never go back. */
  constructor(store: CacheStore, now: () => number = () => performance.timeOrigin + performance.now()) {
    this.#store = store;
    this.#now = now;
  }

  compile(source: RouteSource): Stage | undefined {
    const { project, route, policy, version } = source;
    const { cache } = policy;
    const changes = route.methods === null || route.methods.some((method) => !SAFE.has(method));
    if (version === undefined || cache === undefined || cache === false || !asksForReads(route)) {
      return changes && this.#pathsOf(source).has(route.path) ? new ChangesStage(this.#store) : undefined;
    }
    const key = JSON.stringify([project, { ...route, policy: undefined }]);
    const was = JSON.stringify([versionKey(version), policy]);
    const before = this.#held.get(key);
    if (before?.was === was) {
      before.seen = true;
      return before.stage;
    }
    before?.space.close();
    const own = { project: this.#store.project(project), rules: compileRules(cache), now: this.#now };
    const space = new RouteSpace(this.#store, own);
    const stage = new CacheStage(space);
    this.#held.set(key, { space, stage, was, seen: true });
    return stage;
  }

  compiled({ all, anew }: { all: ReadonlySet<string>; anew: ReadonlySet<string> }): void {
    for (const [key, held] of this.#held) {
      const { name } = held.space.project;
      if (!all.has(name) || (anew.has(name) && !held.seen)) {
        held.space.close();
        this.#held.delete(key);
      } else held.seen = false;
    }
    this.#store.keepProjects(all);
  }

  #pathsOf({ routes, gateway }: RouteSource): ReadonlySet<string> {
    let paths = this.#cachedPaths.get(routes);
    if (paths === undefined) {
      const cached = routes.filter((route) => {
        const { cache } = { ...gateway.defaults, ...route.policy };
        return cache !== undefined && cache !== false && asksForReads(route);
      });
      this.#cachedPaths.set(routes, (paths = new Set(cached.map((route) => route.path))));
    }
    return paths;
  }
}

function asksForReads({ methods }: Route): boolean {
  return methods === null || methods.includes('GET') || methods.includes('HEAD');
}

/** Of a route without a cache beside one, of the same path, that has it. */
class ChangesStage implements Stage {
  readonly #store: CacheStore;

  constructor(store: CacheStore) {
    this.#store = store;
  }

  onAnswer(request: GatewayRequest, status: number): void {
    dropChanged(this.#store, request, status);
  }
}
