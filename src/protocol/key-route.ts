// Which routes an API key may call, as people write it: `GET /notes/{id}`, `GET,PUT /notes`, `/notes` (every method), `/admin/*`
// (every route that begins so). The path is a route as it is declared, not a path of a request. Pure. Used by the control API,
// which checks it, and by the edge, which reads it.
import { HTTP_METHODS } from './http-methods.ts';

export interface KeyRoute {
  /** undefined: every method. */
  methods: ReadonlySet<string> | undefined;
  path: string;
  /** `path` is what such a route begins with. */
  prefix: boolean;
}

export const KEY_ROUTE_RULE = "a route as it is declared, such as 'GET /notes/{id}', '/notes' or '/admin/*'";

/** undefined: it is none. */
export function parseKeyRoute(text: string): KeyRoute | undefined {
  const words = text.trim().split(/\s+/);
  const path = words.at(-1)!;
  if (words.length > 2 || !path.startsWith('/') || path.length > 1_024) return undefined;
  const prefix = path.endsWith('/*');
  const route = { path: prefix ? path.slice(0, -1) : path, prefix };
  if (route.path.includes('*')) return undefined;
  if (words.length === 1) return { ...route, methods: undefined };
  const methods = words[0]!.split(',');
  if (!methods.every((method) => (HTTP_METHODS as readonly string[]).includes(method))) return undefined;
  return { ...route, methods: new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods) };
}
