// The routes of a manifest, of functions and of the gateway, each with its place, before the schema has been over them: so that
// mistakes across routes are reported together with all others. Used by manifest.ts.
import { CONDITION_KEYS, ROUTES_OF_PATH_MAX } from '../../protocol/policies/conditions.ts';
import type { Conditions } from '../../protocol/policies/conditions.ts';
import { unknownPlans } from '../../protocol/policies/plans.ts';
import type { Plans } from '../../protocol/policies/plans.ts';
import { POLICY_KEYS } from '../../protocol/policies/policy.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import { unknownParameter } from '../../protocol/policies/redirect.ts';
import { TARGET_KEYS } from '../../protocol/policies/targets.ts';
import { conditionsText } from '../../protocol/route-text.ts';
import type { Route } from '../../protocol/settings.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { suggestion } from '../suggest.ts';
import { mapping } from './mapping.ts';
import { pathText } from './problems.ts';
import { parseShortRoute, routeText, shapeOf } from './routes.ts';
import { ROUTES_MAX } from './schema.ts';

/** Where a route names its own parameters. */
const TEMPLATES: readonly string[][] = [
  ['redirect', 'to'],
  ['rewrite', 'path'],
];

export interface PlacedRoute {
  path: Path;
  route: Omit<Route, 'function'>;
}

export interface OwnedRoute extends PlacedRoute {
  /** For messages, e.g. `'hello'`. */
  owner: string;
}

/** The routes of a function, or of the gateway, that are sound by themselves, each with its place. */
export function routesOf(http: unknown, path: Path): PlacedRoute[] {
  const list = Array.isArray(http) ? http.map((item: unknown, index) => ({ item, path: [...path, index] })) : [{ item: http, path }];
  return list.flatMap(({ item, path: at }) => {
    if (typeof item === 'string') {
      const route = parseShortRoute(item);
      return typeof route === 'string' ? [] : [{ path: at, route }];
    }
    const { path: text, methods, ...rest } = mapping(item);
    if (typeof text !== 'string') return [];
    const sound = Array.isArray(methods) && methods.every((method) => typeof method === 'string');
    const route = {
      path: text,
      methods: sound ? (methods as Route['methods']) : null,
      ...picked(rest, TARGET_KEYS),
      ...conditionsIn(rest),
      ...policyIn(rest),
    };
    return [{ path: [...at, 'path'], route }];
  });
}

/** Sound, since the schema has been over it when it matters. */
function policyIn(item: Record<string, unknown>): { policy?: RoutePolicy } {
  const policy = picked(item, POLICY_KEYS);
  return Object.keys(policy).length === 0 ? {} : { policy };
}

function conditionsIn(item: Record<string, unknown>): { conditions?: Conditions } {
  // What is neither is a mistake that the schema reports.
  const all = Object.entries(picked(item, CONDITION_KEYS)).filter(([key, value]) => (key === 'hosts') === Array.isArray(value));
  const sound = all.filter(([, value]) => typeof value === 'object' && value !== null);
  return sound.length === 0 ? {} : { conditions: Object.fromEntries(sound) };
}

function picked(item: Record<string, unknown>, keys: readonly string[]): Record<string, never> {
  return Object.fromEntries(Object.entries(item).filter(([key]) => keys.includes(key))) as Record<string, never>;
}

export function routeProblems(routes: readonly OwnedRoute[], document: ManifestDocument): Problem[] {
  if (routes.length > ROUTES_MAX) return [{ ...document.placeOfKey(['functions']), message: `there are more than ${ROUTES_MAX} routes` }];
  const problems: Problem[] = [];
  const seen = new Map<string, { path: Path; owner: string }>();
  const ofPaths = new Map<string, number>();
  for (const { path, route, owner } of routes) {
    for (const at of TEMPLATES) {
      const text = at.reduce<unknown>((value, key) => mapping(value)[key], { ...route, ...route.policy });
      const unknown = typeof text === 'string' ? unknownParameter(text, route.path) : undefined;
      if (unknown === undefined) continue;
      const place = document.placeOfValue([...path.slice(0, -1), ...at]);
      problems.push({ ...place, message: `'{${unknown}}' is no parameter of the path ${route.path}` });
    }
    const shape = shapeOf(route.path);
    const ofPath = (ofPaths.get(shape) ?? 0) + 1;
    ofPaths.set(shape, ofPath);
    if (ofPath === ROUTES_OF_PATH_MAX + 1)
      problems.push({
        ...document.placeOfValue(path),
        message: `there are more than ${ROUTES_OF_PATH_MAX} routes of the path ${route.path}`,
      });
    const conditions = conditionsText(route.conditions);
    // GET takes HEAD too; a route for every method yields to one that names the method.
    for (const method of new Set(route.methods?.flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one])) ?? ['*'])) {
      const key = `${method} ${shape} ${conditions}`;
      const first = seen.get(key);
      if (first === undefined) seen.set(key, { path, owner });
      else {
        const place = document.placeOfValue(first.path);
        const text = routeText({ ...route, methods: method === '*' ? null : route.methods });
        problems.push({
          ...document.placeOfValue(path),
          message: `the route ${text} is already taken by ${first.owner} in line ${place.line}`,
        });
        break;
      }
    }
  }
  return problems;
}

/** Plans that routes, or the defaults of all, name and that are not among those of the gateway. */
export function planProblems(routes: readonly PlacedRoute[], gateway: Record<string, unknown>, document: ManifestDocument): Problem[] {
  const plans = mapping(gateway['plans']);
  const known = { plans: plans as Plans, defaults: mapping(gateway['defaults']) };
  return unknownPlans(
    routes.map(({ route }) => route),
    known,
  ).flatMap(({ route: index, plan }) => {
    if (typeof plan !== 'string') return [];
    const at = [...(index === undefined ? ['gateway', 'defaults'] : routes[index]!.path.slice(0, -1)), 'plan'];
    const names = Object.keys(plans);
    const hint = suggestion(plan, names) || `; ${names.length === 0 ? 'there are none' : `expected one of ${names.join(', ')}`}`;
    return [
      { ...document.placeOfValue(at), message: `${pathText(at)} is ${JSON.stringify(plan)}, which is no plan of gateway.plans${hint}` },
    ];
  });
}
