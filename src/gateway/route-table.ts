// The routes of one project, compiled into a tree by path segment: matching costs the depth of the path, not the number
// of routes. Precedence by specificity, segment by segment: a literal, then {name}, then {name+}.
// Invariant: built once per deployment, never changed afterwards. Built by read-model feed, asked by route.ts.
import { HTTP_METHODS } from '../protocol/http-methods.ts';
import type { Route } from '../protocol/settings.ts';
import { NO_STAGES } from './stage.ts';
import type { CompiledTarget, Stages } from './stage.ts';

interface Leaf {
  route: string;
  /** null: every method. */
  methods: ReadonlySet<string> | null;
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

const NO_PARAMS: Record<string, string> = Object.freeze({});

export class RouteTable {
  readonly #root = newNode();

  constructor(routes: TableRoute[]) {
    for (const route of routes) this.#add(route);
  }

  /** `segments`: percent-decoded, without the leading slash; a trailing slash makes no segment. */
  match(method: string, segments: string[]): RouteMatch {
    const values: string[] = [];
    const found = find(this.#root, segments, 0, values, method, undefined);
    if (found !== undefined) {
      return {
        kind: 'found',
        to: found.to,
        stages: found.stages,
        route: found.route,
        params: found.params.length === 0 ? NO_PARAMS : zip(found.params, values),
      };
    }
    // Asked again for the methods of what matched but for its own, which few requests need.
    const list = this.allowed(segments);
    if (list.length === 0) return { kind: 'none' };
    return method === 'OPTIONS' ? { kind: 'options', allow: list } : { kind: 'method_not_allowed', allow: list };
  }

  /** The methods that some route of this path takes, OPTIONS with them; empty: there is none. */
  allowed(segments: string[]): string[] {
    const allow = new Set<string>();
    find(this.#root, segments, 0, [], '', allow);
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
          node.greedy.push({ route: route.path, methods, to, stages, params });
          return;
        }
        node = node.param ??= newNode();
      }
    }
    node.leaves.push({ route: route.path, methods, to, stages, params });
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

/** Depth first, the most specific branch first; `values` holds the parameters of the branch that is being tried. */
function find(
  node: Node,
  segments: string[],
  at: number,
  values: string[],
  method: string,
  allow: Set<string> | undefined,
): Leaf | undefined {
  if (at === segments.length) return takes(node.leaves, method, allow);
  const segment = segments[at]!;
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = find(literal, segments, at + 1, values, method, allow);
    if (found !== undefined) return found;
  }
  if (node.param !== undefined && segment !== '') {
    values.push(segment);
    const found = find(node.param, segments, at + 1, values, method, allow);
    if (found !== undefined) return found;
    values.pop();
  }
  const greedy = takes(node.greedy, method, allow);
  if (greedy !== undefined) values.push(segments.slice(at).join('/'));
  return greedy;
}

function takes(leaves: Leaf[], method: string, allow: Set<string> | undefined): Leaf | undefined {
  let any: Leaf | undefined;
  for (const leaf of leaves) {
    if (leaf.methods === null) {
      if (allow === undefined) any ??= leaf;
      else for (const name of HTTP_METHODS) allow.add(name);
    } else if (leaf.methods.has(method)) return leaf;
    else if (allow !== undefined) for (const name of leaf.methods) allow.add(name);
  }
  return any;
}

function zip(names: string[], values: string[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) params[names[i]!] = values[i]!;
  return params;
}
