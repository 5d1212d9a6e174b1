// The routes of one project, compiled into a tree by path segment: matching costs the depth of the path and the routes of that
// very path, not the number of routes. Precedence: by path, segment by segment: a literal, then {name}, then {name+}; of routes of
// one path the one that asks for more (conditions.ts), then the one that names the method, then the order that they are given in.
// Invariant: built once per deployment, never changed afterwards. Built by read-model-load.ts, asked by route.ts.
import { HTTP_METHODS } from '../protocol/http-methods.ts';
import type { Route } from '../protocol/settings.ts';
import { compileConditions, Facts } from './conditions.ts';
import type { Asked, Condition } from './conditions.ts';
import { NO_STAGES } from './stage.ts';
import type { CompiledTarget, Stages } from './stage.ts';

interface Leaf {
  route: string;
  /** null: every method. */
  methods: ReadonlySet<string> | null;
  /** undefined: it asks for nothing more. */
  holds: Condition | undefined;
  /** Those of a path are kept in falling order of it. */
  weight: number;
  to: CompiledTarget;
  stages: Stages | undefined;
  params: string[];
}

export interface TableRoute {
  route: Route;
  to: CompiledTarget;
  /** What stands between it and its target; absent: nothing. */
  stages?: Stages | undefined;
}

interface Node {
  literals: Map<string, Node>;
  param: Node | undefined;
  leaves: Leaf[];
  greedy: Leaf[];
}

export type RouteMatch =
  | { kind: 'found'; to: CompiledTarget; stages: Stages | undefined; route: string; params: Record<string, string> }
  | { kind: 'method_not_allowed'; allow: string[] }
  | { kind: 'options'; allow: string[] }
  | { kind: 'none' };

/** One walk through the tree. */
interface Walk {
  segments: string[];
  /** The parameters of the branch that is being tried. */
  values: string[];
  method: string;
  asked: Asked;
  /** Made for the first route that has conditions. */
  facts: Facts | undefined;
  /** Set: the methods of all that would do are collected here. */
  allow: Set<string> | undefined;
}

const NO_PARAMS: Record<string, string> = Object.freeze({});

export class RouteTable {
  readonly #root = newNode();

  constructor(routes: TableRoute[]) {
    for (const route of routes) this.#add(route);
  }

  /** `segments`: percent-decoded, without the leading slash; a trailing slash makes no segment. */
  match(method: string, segments: string[], asked: Asked): RouteMatch {
    const walk: Walk = { segments, values: [], method, asked, facts: undefined, allow: undefined };
    const found = find(this.#root, 0, walk);
    if (found !== undefined) {
      return {
        kind: 'found',
        to: found.to,
        stages: found.stages,
        route: found.route,
        params: found.params.length === 0 ? NO_PARAMS : zip(found.params, walk.values),
      };
    }
    // Asked again for the methods of what matched but for its own, which few requests need.
    const list = this.allowed(segments, asked);
    if (list.length === 0) return { kind: 'none' };
    return method === 'OPTIONS' ? { kind: 'options', allow: list } : { kind: 'method_not_allowed', allow: list };
  }

  /** The methods that some route takes for such a request, OPTIONS with them; empty: there is none. */
  allowed(segments: string[], asked: Asked): string[] {
    const allow = new Set<string>();
    find(this.#root, 0, { segments, values: [], method: '', asked, facts: undefined, allow });
    if (allow.size > 0) allow.add('OPTIONS');
    return HTTP_METHODS.filter((name) => allow.has(name));
  }

  #add({ route, to, stages: own }: TableRoute): void {
    // A local target is given the request as the stages see it.
    const stages = own ?? (to.local === undefined ? undefined : NO_STAGES);
    let node = this.#root;
    const params: string[] = [];
    const methods = route.methods === null ? null : new Set<string>(route.methods);
    if (methods?.has('GET') === true) methods.add('HEAD');
    const conditions = compileConditions(route.conditions ?? {});
    const weight = 2 * (conditions?.weight ?? 0) + (methods === null ? 0 : 1);
    const leaf: Leaf = { route: route.path, methods, holds: conditions?.holds, weight, to, stages, params };
    for (const segment of segmentsOf(route.path)) {
      const param = /^\{([^}+]+)(\+?)\}$/.exec(segment);
      if (param === null) {
        const literal = decodeURIComponent(segment);
        let next = node.literals.get(literal);
        if (next === undefined) node.literals.set(literal, (next = newNode()));
        node = next;
      } else {
        params.push(param[1]!);
        if (param[2] === '+') {
          insert(node.greedy, leaf);
          return;
        }
        node = node.param ??= newNode();
      }
    }
    insert(node.leaves, leaf);
  }
}

/** The segments of a path as they stand, e.g. `/notes/7/` → `notes`, `7`. */
export function segmentsOf(path: string): string[] {
  const end = path.length > 1 && path.endsWith('/') ? path.length - 1 : path.length;
  return end <= 1 ? [] : path.slice(1, end).split('/');
}

function newNode(): Node {
  return { literals: new Map(), param: undefined, leaves: [], greedy: [] };
}

function insert(leaves: Leaf[], leaf: Leaf): void {
  const at = leaves.findIndex((other) => other.weight < leaf.weight);
  leaves.splice(at < 0 ? leaves.length : at, 0, leaf);
}

/** Depth first, the most specific branch first. */
function find(node: Node, at: number, walk: Walk): Leaf | undefined {
  const { segments, values } = walk;
  if (at === segments.length) return takes(node.leaves, walk);
  const segment = segments[at]!;
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = find(literal, at + 1, walk);
    if (found !== undefined) return found;
  }
  if (node.param !== undefined && segment !== '') {
    values.push(segment);
    const found = find(node.param, at + 1, walk);
    if (found !== undefined) return found;
    values.pop();
  }
  // A parameter never begins with a slash.
  if (segment === '') return undefined;
  const greedy = takes(node.greedy, walk);
  if (greedy !== undefined) values.push(segments.slice(at).join('/'));
  return greedy;
}

function takes(leaves: Leaf[], walk: Walk): Leaf | undefined {
  const { method, allow } = walk;
  for (const leaf of leaves) {
    if (allow === undefined && leaf.methods !== null && !leaf.methods.has(method)) continue;
    if (leaf.holds !== undefined && !leaf.holds((walk.facts ??= new Facts(walk.asked)))) continue;
    if (allow === undefined) return leaf;
    for (const name of leaf.methods ?? HTTP_METHODS) allow.add(name);
  }
  return undefined;
}

function zip(names: string[], values: string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) params[names[i]!] = values[i]!;
  return params;
}
