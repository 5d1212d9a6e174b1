// What no schema can check about the routes of a deploy request: the syntax of paths, that the functions exist, and
// that no two routes claim the same requests. Invariant: all problems come back together. Called by deploy-project.ts.
//
//   /notes            literal segments, percent-encoded where need be
//   /notes/{id}       one segment
//   /files/{path+}    the rest of the path, at least one segment; only at the end
//
// Of two routes with one path the one with more conditions wins, then the one that names the method, so these do not conflict.
import { closestWord } from '../lib/closest-word.ts';
import { HTTP_METHODS } from '../protocol/http-methods.ts';
import { ROUTES_OF_PATH_MAX } from '../protocol/policies/conditions.ts';
import { unknownParameter } from '../protocol/policies/redirect.ts';
import { staticPathProblem } from '../protocol/policies/static.ts';
import { strangeParameter } from '../protocol/policies/validate.ts';
import { TARGET_KEYS } from '../protocol/policies/targets.ts';
import { conditionsText, targetText } from '../protocol/route-text.ts';
import type { DeployRequest, Route } from '../protocol/settings.ts';
import type { Problem } from './problems.ts';

const SEGMENTS_MAX = 32;
const PARAMETER = /^\{(?!__proto__)([A-Za-z_][A-Za-z0-9_]{0,63})(\+?)\}$/;

export function routeProblems(request: DeployRequest): Problem[] {
  const problems: Problem[] = [];
  const functions = Object.keys(request.functions);
  const claimed = new Map<string, number>();
  for (const key of ['serve', 'docs'] as const) {
    const path = request.gateway?.openapi?.[key];
    if (path === undefined) continue;
    const taken = request.routes.find((route) => shapeOf(route.path) === shapeOf(path) && claimsOf(route).has('GET'));
    if (taken !== undefined)
      problems.push({ path: `gateway.openapi.${key}`, message: `is the path of a route to ${targetText(taken)}`, value: path });
  }
  const ofPaths = new Map<string, number>();
  request.routes.forEach((route, index) => {
    const at = `routes.${index}`;
    const wrong = pathProblem(route.path);
    if (wrong !== undefined) problems.push({ path: `${at}.path`, message: wrong, value: route.path });
    if (route.function !== undefined && !Object.hasOwn(request.functions, route.function)) {
      const meant = closestWord(route.function, functions);
      const remedy = meant === undefined ? `it has ${listed(functions)}` : `did you mean '${meant}'?`;
      problems.push({ path: `${at}.function`, message: `names a function that is not in the request; ${remedy}`, value: route.function });
    }
    for (const [key, text] of [
      ['redirect.to', route.redirect?.to],
      ['policy.rewrite.path', route.policy?.rewrite?.path],
    ] as const) {
      const unknown = text === undefined ? undefined : unknownParameter(text, route.path);
      if (unknown !== undefined)
        problems.push({
          path: `${at}.${key}`,
          message: `names the parameter '${unknown}', which the path does not have`,
          value: route.path,
        });
    }
    const strange = strangeParameter(route.policy?.validate, route.path);
    if (strange !== undefined)
      problems.push({
        path: `${at}.policy.validate.params`,
        message: `names '${strange}', which is no parameter of the path`,
        value: route.path,
      });
    for (const kind of ['queue', 'topic'] as const) {
      const target = route[kind];
      if (target === undefined) continue;
      const named = typeof target === 'string' ? target : target.name;
      const known = Object.keys(request.events?.[`${kind}s`] ?? {});
      if (known.includes(named)) {
        const grouped = kind === 'queue' && typeof target === 'object' && target.group !== undefined;
        if (grouped && request.events?.queues?.[named]?.fifo !== true)
          problems.push({
            path: `${at}.queue.group`,
            message: `is for a queue with \`fifo: true\`, which '${named}' is not`,
            value: target.group!,
          });
        continue;
      }
      const meant = closestWord(named, known);
      const remedy = meant === undefined ? `it has ${listed(known)}` : `did you mean '${meant}'?`;
      problems.push({ path: `${at}.${kind}`, message: `names a ${kind} that is not in the request; ${remedy}`, value: named });
    }
    if (route.static !== undefined) {
      const wrongPath = staticPathProblem(route.path);
      if (wrongPath !== undefined) problems.push({ path: `${at}.path`, message: wrongPath, value: route.path });
      if (!Object.hasOwn(request.folders ?? {}, route.static.folder))
        problems.push({ path: `${at}.static.folder`, message: 'names a folder that is not in `folders`', value: route.static.folder });
    }
    if (route.methods !== null && new Set(route.methods).size !== route.methods.length) {
      problems.push({ path: `${at}.methods`, message: 'names a method twice', value: route.methods.join(', ') });
    }
    if (route.policy?.websocket !== undefined && route.methods !== null && !route.methods.includes('GET')) {
      problems.push({ path: `${at}.methods`, message: 'lacks GET, with which a WebSocket begins', value: route.methods.join(', ') });
    }
    if (route.policy?.websocket !== undefined && route.function === undefined)
      problems.push({ path: `${at}.policy.websocket`, message: 'needs a function that gets its events', value: route.path });
    const shape = shapeOf(route.path);
    const ofPath = (ofPaths.get(shape) ?? 0) + 1;
    ofPaths.set(shape, ofPath);
    if (ofPath === ROUTES_OF_PATH_MAX + 1)
      problems.push({ path: at, message: `is one of more than ${ROUTES_OF_PATH_MAX} routes of one path`, value: route.path });
    for (const method of claimsOf(route)) {
      const claim = `${method} ${shape} ${conditionsText(route.conditions)}`;
      const other = claimed.get(claim);
      if (other !== undefined && other !== index) {
        const first = request.routes[other]!;
        problems.push({
          path: at,
          message: `claims the same requests (${method}) as routes.${other}, '${first.path}' (${targetText(first)})`,
          value: route.path,
        });
        break;
      }
      claimed.set(claim, index);
    }
  });
  return problems;
}

function listed(names: string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown || 'none';
}

/** GET takes HEAD too. */
function claimsOf(route: Route): Set<string> {
  const claims = new Set<string>(route.methods ?? ['*']);
  if (claims.has('GET')) claims.add('HEAD');
  return claims;
}

/** What is wrong with a path; undefined when nothing is. */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return "must begin with '/'";
  if (path === '/') return undefined;
  if (path === '/.virga' || path.startsWith('/.virga/')) return "must not be below '/.virga', where Virga has routes of its own";
  const segments = path.slice(1).split('/');
  if (segments.length > SEGMENTS_MAX) return `must have at most ${SEGMENTS_MAX} segments`;
  const names = new Set<string>();
  for (const [index, segment] of segments.entries()) {
    if (segment === '') return index === segments.length - 1 ? "must not end with '/'" : "must not have an empty segment ('//')";
    if (/[\0-\x1f\x7f?#]/.test(segment)) return "must not contain '?', '#' or control characters";
    if (!/[{}]/.test(segment)) {
      const wrong = literalProblem(segment);
      if (wrong !== undefined) return wrong;
      continue;
    }
    const parameter = PARAMETER.exec(segment);
    if (parameter === null) return `has the segment '${segment}'; a parameter is a whole segment, {name} or, at the end, {name+}`;
    if (parameter[2] === '+' && index !== segments.length - 1) return `has '${segment}' before its end; {name+} takes the rest of the path`;
    if (names.has(parameter[1]!)) return `has the parameter '${parameter[1]}' twice`;
    names.add(parameter[1]!);
  }
  return undefined;
}

function literalProblem(segment: string): string | undefined {
  const literal = decoded(segment);
  if (literal === undefined || !segment.isWellFormed())
    return `has '${segment}', which is not valid percent-encoding; a percent sign itself is %25`;
  if (literal === '.' || literal === '..') return `must not have a segment '${segment}'`;
  if (/[\0-\x1f\x7f/\\]/.test(literal)) return `must not have a slash, a backslash or a control character encoded in '${segment}'`;
  return undefined;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** Routes in one order, their methods too, so that the order of the manifest changes nothing. */
export function sortedRoutes(routes: readonly Route[]): Route[] {
  const sorted = routes.map((route): Route => ({
    path: route.path,
    methods: route.methods === null ? null : HTTP_METHODS.filter((method) => route.methods!.includes(method)),
    ...(route.function === undefined ? {} : { function: route.function }),
    ...Object.fromEntries(TARGET_KEYS.flatMap((key) => (route[key] === undefined ? [] : [[key, route[key]]]))),
    ...(isEmpty(route.conditions) ? {} : { conditions: route.conditions }),
    ...(isEmpty(route.policy) ? {} : { policy: route.policy }),
  }));
  const names = new Map(sorted.map((route) => [route, routeName(route)]));
  return sorted.sort((a, b) => (names.get(a)! < names.get(b)! ? -1 : 1));
}

function isEmpty(rules: object | undefined): boolean {
  return rules === undefined || Object.keys(rules).length === 0;
}

/** e.g. `GET,PUT /notes/{id}`; `* /` for every method; `* / (header x-version: 2)`. */
export function routeName(route: Pick<Route, 'path' | 'methods' | 'conditions'>): string {
  const conditions = conditionsText(route.conditions);
  return `${route.methods === null ? '*' : route.methods.join(',')} ${route.path}${conditions === '' ? '' : ` (${conditions})`}`;
}

/** Paths that differ only in the names of their parameters, or in their encoding, match the same requests. */
function shapeOf(path: string): string {
  const segments = path
    .split('/')
    .map((segment) => (/[{}]/.test(segment) ? segment.replace(/\{[^/]*?(\+?)\}/, '{$1}') : (decoded(segment) ?? segment)));
  return segments.join('/');
}
