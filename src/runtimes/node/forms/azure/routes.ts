// Routes of an Azure app: templates as ASP.NET Core has them (`products/{category:alpha}/{id:int?}`, `files/{*path}`), under the
// prefix of host.json. Invariant: literal segments compare without regard to case, and the most particular template wins, whatever
// the order of registration; a constraint that is not known is an error at load. Called by azure.ts and http.ts.
//
// learn.microsoft.com/aspnet/core/fundamentals/routing (templates, constraints, precedence);
// learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger (customize the HTTP endpoint)
import { LoadError } from '../../failure.ts';
import type { AppFunction } from './app.ts';
import { constraintOf } from './route-constraints.ts';
import type { Constraint } from './route-constraints.ts';

interface Part {
  literal?: string;
  parameter?: string;
}

interface Segment {
  /** Several: a segment such as `{name}.{extension}`. */
  parts: Part[];
  constraints: { parameter: string; test: Constraint }[];
  optional: boolean;
  rest: boolean;
  byDefault: string | undefined;
  /** Smaller is more particular. */
  rank: number;
}

interface Route {
  fn: AppFunction;
  methods: ReadonlySet<string>;
  segments: Segment[];
}

export type Match =
  | { kind: 'found'; fn: AppFunction; params: Record<string, string> }
  | { kind: 'none' }
  | { kind: 'method'; allow: string[] };

export class Routes {
  readonly #routes: Route[];

  constructor(functions: readonly AppFunction[], prefix: string) {
    this.#routes = functions.map((fn) => routeOf(fn, prefix)).toSorted(byPrecedence);
  }

  match(method: string, pathname: string): Match {
    const segments = pathname.split('/').filter((segment) => segment !== '');
    const fitting: { route: Route; params: Record<string, string> }[] = [];
    for (const route of this.#routes) {
      const params = fit(route.segments, segments);
      if (params === undefined) continue;
      if (route.methods.has(method)) return { kind: 'found', fn: route.fn, params };
      fitting.push({ route, params });
    }
    // As everywhere in Virga GET implies HEAD.
    const get = method === 'HEAD' ? fitting.find(({ route }) => route.methods.has('GET')) : undefined;
    if (get !== undefined) return { kind: 'found', fn: get.route.fn, params: get.params };
    if (fitting.length === 0) return { kind: 'none' };
    return { kind: 'method', allow: [...new Set(fitting.flatMap(({ route }) => [...route.methods]))] };
  }
}

function routeOf(fn: AppFunction, prefix: string): Route {
  const { route, methods } = fn.trigger;
  const template = typeof route === 'string' && route !== '' ? route : fn.name;
  const all = [prefix, template].flatMap((text) => text.split('/')).filter((segment) => segment !== '');
  return {
    fn,
    methods: new Set((Array.isArray(methods) ? methods : ['GET', 'POST']).map((method) => String(method).toUpperCase())),
    segments: all.map((text) => segmentOf(text, `the route '${template}' of function '${fn.name}'`)),
  };
}

const PARAMETER = /\{(\*{0,2})([^{}:=?]+)((?::(?:[^(){}:=?]+(?:\((?:[^()]|\([^()]*\))*\))?))*)(?:=([^{}?]*))?(\?)?\}/g;

function segmentOf(text: string, where: string): Segment {
  const segment: Segment = { parts: [], constraints: [], optional: false, rest: false, byDefault: undefined, rank: 1 };
  let at = 0;
  for (const found of text.matchAll(PARAMETER)) {
    const [whole, stars, parameter, constraints, byDefault, optional] = found as unknown as [
      string,
      string,
      string,
      string,
      string?,
      string?,
    ];
    if (found.index > at) segment.parts.push({ literal: text.slice(at, found.index) });
    at = found.index + whole.length;
    segment.parts.push({ parameter });
    segment.rest = stars !== '';
    segment.optional = optional !== undefined;
    segment.byDefault = byDefault;
    for (const written of constraints.matchAll(/:([^(:]+)(?:\(((?:[^()]|\([^()]*\))*)\))?/g)) {
      const test = constraintOf(written[1]!, written[2]);
      if (test === undefined) throw new LoadError(`${where} has the constraint '${written[1]}', which is not known`);
      segment.constraints.push({ parameter, test });
    }
  }
  if (at < text.length) segment.parts.push({ literal: text.slice(at) });
  if (segment.parts.some(({ literal }) => literal !== undefined && /[{}]/.test(literal)))
    throw new LoadError(`${where} has a segment '${text}' that cannot be read`);
  if (segment.rest && segment.parts.length > 1) throw new LoadError(`${where}: a parameter for the rest of the path stands by itself`);
  segment.rank = rankOf(segment);
  return segment;
}

/** Literal, mixed, constrained, free, constrained rest, rest. */
function rankOf({ parts, constraints, rest }: Segment): number {
  if (parts.every(({ parameter }) => parameter === undefined)) return 1;
  const constrained = constraints.length > 0;
  if (rest) return constrained ? 5 : 6;
  if (parts.length > 1) return 2;
  return constrained ? 3 : 4;
}

function byPrecedence(a: Route, b: Route): number {
  for (let i = 0; i < Math.min(a.segments.length, b.segments.length); i++) {
    const difference = a.segments[i]!.rank - b.segments[i]!.rank;
    if (difference !== 0) return difference;
  }
  return b.segments.length - a.segments.length;
}

/** The parameters, percent-decoded; undefined when the path is another. */
function fit(template: readonly Segment[], path: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  const take = (segment: Segment, values: [string, string][]): boolean => {
    for (const [name, value] of values) params[name] = value;
    return segment.constraints.every(({ parameter, test }) => test(params[parameter]!));
  };
  for (const [i, segment] of template.entries()) {
    const name = segment.parts[0]?.parameter;
    if (segment.rest) {
      const rest = path.slice(i).map(decoded).join('/');
      if (rest === '' && segment.byDefault !== undefined) params[name!] = segment.byDefault;
      // As on Azure there is no parameter when there is no rest.
      else if (rest !== '' && !take(segment, [[name!, rest]])) return undefined;
      return params;
    }
    const text = path[i];
    if (text === undefined) {
      if (segment.byDefault !== undefined) params[name!] = segment.byDefault;
      else if (!segment.optional) return undefined;
      continue;
    }
    const values = valuesOf(segment.parts, decoded(text));
    if (values === undefined || !take(segment, values)) return undefined;
  }
  return path.length > template.length ? undefined : params;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function valuesOf(parts: readonly Part[], text: string): [string, string][] | undefined {
  if (parts.length === 1) {
    const { literal, parameter } = parts[0]!;
    if (parameter !== undefined) return [[parameter, text]];
    return literal!.toLowerCase() === text.toLowerCase() ? [] : undefined;
  }
  const names = parts.flatMap(({ parameter }) => parameter ?? []);
  const pattern = parts.map(({ literal }) => (literal === undefined ? '(.+)' : RegExp.escape(literal))).join('');
  const found = new RegExp(`^${pattern}$`, 'i').exec(text);
  return found === null ? undefined : names.map((name, i) => [name, found[i + 1]!]);
}
