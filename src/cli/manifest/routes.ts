// Routes as virga.yaml writes them: `/notes/{id}`, `GET /notes/{id}`, `GET,PUT /notes/{id}`, or {path, methods}.
// Pure; the rules are those of control/routes.ts, said earlier. Used by the schema (one route) and the manifest (one route twice).
import { HTTP_METHODS } from '../../protocol/http-methods.ts';
import type { Route } from '../../protocol/settings.ts';
import type { HttpMethod } from '../../protocol/http-methods.ts';
import { conditionsText } from '../../protocol/route-text.ts';
import { suggestion } from '../suggest.ts';

export const PATH_LENGTH_MAX = 1_024;
const SEGMENTS_MAX = 32;
const PARAMETER = /^\{(?!__proto__)([A-Za-z_][A-Za-z0-9_]{0,63})(\+?)\}$/;

/** What is wrong with the path of a route; undefined: nothing. */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return 'a path begins with /';
  if (path.length > PATH_LENGTH_MAX) return `a path has at most ${PATH_LENGTH_MAX} characters`;
  const illegal = /[\s?#\\\0-\x1f\x7f]/.exec(path);
  if (illegal) return `a path has no ${/[?#\\]/.test(illegal[0]) ? illegal[0] : 'white space'} in it`;
  const segments = path.slice(1).split('/');
  if (segments.length > SEGMENTS_MAX) return `a path has at most ${SEGMENTS_MAX} segments`;
  const names = new Set<string>();
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '' && !(last && index === 0)) return last ? 'a path does not end with /' : 'a path has no empty segment (//)';
    if (segment === '.' || segment === '..') return `a path has no segment ${segment}`;
    if (segment.startsWith(':')) return `write the parameter ${segment} as {${segment.slice(1)}}`;
    if (segment === '*' || segment === '**') return `write the rest of the path as {path+} instead of ${segment}`;
    if (!/[{}]/.test(segment)) {
      const literal = decoded(segment);
      if (literal === undefined) return `'${segment}' is not percent-encoded correctly (a percent sign itself is %25)`;
      if (/[/\\\0-\x1f\x7f]/.test(literal)) return `'${segment}' has a slash or a control character encoded in it`;
      continue;
    }
    const [, name, rest] = PARAMETER.exec(segment) ?? [];
    if (name === undefined) return `'${segment}' is not a parameter: a whole segment in braces, {id}, or {path+} for the rest of the path`;
    if (rest === '+' && !last) return `{${name}+} takes the rest of the path, so nothing can follow it`;
    if (names.has(name)) return `the parameter {${name}} is there twice`;
    names.add(name);
  }
  return undefined;
}

/** The methods before the path of a short form; the problem as a string. */
export function parseMethods(words: readonly string[]): HttpMethod[] | string {
  const methods: HttpMethod[] = [];
  for (const word of words) {
    const method = HTTP_METHODS.find((known) => known === word);
    if (method === undefined) return `'${word}' is not a method${suggestion(word, HTTP_METHODS) || ` (${HTTP_METHODS.join(', ')})`}`;
    if (methods.includes(method)) return `${method} is there twice`;
    methods.push(method);
  }
  return methods;
}

/** `GET,PUT /notes/{id}` or `/notes`; the problem as a string. */
export function parseShortRoute(text: string): { path: string; methods: HttpMethod[] | null } | string {
  const words = text.trim().split(/\s+/);
  if (words.length > 2) return 'a route is a path, or methods and a path: "GET /notes/{id}"';
  const path = words.at(-1)!;
  const problem = pathProblem(path);
  if (problem !== undefined) return problem;
  if (words.length === 1) return { path, methods: null };
  const methods = parseMethods(words[0]!.split(','));
  return typeof methods === 'string' ? methods : { path, methods };
}

/** Two routes with one shape answer the same requests: names of parameters and the encoding do not matter. */
export function shapeOf(path: string): string {
  const segments = path
    .split('/')
    .map((segment) => (/[{}]/.test(segment) ? segment.replace(/\{[^}+]*(\+?)\}/, '{$1}') : (decoded(segment) ?? segment)));
  return segments.join('/');
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

export function routeText(route: Pick<Route, 'path' | 'methods' | 'conditions'>): string {
  const conditions = conditionsText(route.conditions);
  const text = route.methods === null ? route.path : `${route.methods.join(',')} ${route.path}`;
  return conditions === '' ? text : `${text} (${conditions})`;
}
