// Routes of API Gateway, function URLs and load balancers as routes of Virga. Invariants: a route that was behind an authorizer or a key
// is not opened: it stands in a comment until its owner has looked; a route that Virga cannot have is reported. Used by serverless/
// and cloudformation/.
import type { HttpEvent } from '../../protocol/settings.ts';
import { parseMethods, pathProblem, shapeOf } from '../manifest/routes.ts';
import type { ImportedFunction, ImportedRoute } from './project.ts';
import type { Report } from './report.ts';
import type { Place } from './tree.ts';

export const EVERYTHING = ['/', '/{proxy+}'];

export interface GatewayRoute {
  at: Place;
  /** The function's name in virga.yaml. */
  subject: string;
  /** `GET`, `ANY`, `*`; several between commas. */
  method: string;
  /** As API Gateway writes it; `$default` and `*` are everything. */
  path: string;
  /** The payload that the code gets. */
  event: HttpEvent;
  /** What stood before it: an authorizer, an API key. */
  guard?: string | undefined;
}

/** The routes of one function, and the payload that its code gets. */
export class GatewayRoutes {
  readonly routes: ImportedRoute[] = [];
  readonly #report: Report;
  #event: HttpEvent | undefined;

  constructor(report: Report) {
    this.#report = report;
  }

  /** 2.0 is what Virga sends without being told. */
  get httpEvent(): HttpEvent | undefined {
    return this.#event === '2.0' ? undefined : this.#event;
  }

  add({ at, subject, method, path, event, guard }: GatewayRoute): void {
    const written = `${/^(?:any|\*)$/i.test(method) ? '' : `${method.toUpperCase()} `}${path}`;
    if (this.#event !== undefined && this.#event !== event) {
      const remedy = `the function has routes with payload ${this.#event} already, and Virga gives a function one kind; make it two functions`;
      return this.#report.left(at, subject, `route ${written}`, remedy);
    }
    const methods = /^(?:any|\*)$/i.test(method)
      ? null
      : parseMethods(
          method
            .toUpperCase()
            .split(',')
            .map((one) => one.trim()),
        );
    if (typeof methods === 'string') return this.#report.left(at, subject, `route ${written}`, `${methods}; write the route by hand`);
    const paths = /^\$default$|^\*$|^\/\*$/.test(path) ? EVERYTHING : [`/${path.replace(/^\/+/, '').replace(/\/+$/, '')}`];
    const problem = paths.map(pathProblem).find((one) => one !== undefined);
    if (problem !== undefined) return this.#report.left(at, subject, `route ${written}`, `${problem}; write the route by hand`);
    this.#event = event;
    for (const one of paths) this.routes.push({ at, path: one, methods, ...(guard === undefined ? {} : { closed: closedBy(guard) }) });
    if (guard !== undefined)
      return this.#report.left(
        at,
        subject,
        `route ${written}`,
        `it was behind ${guard}, which Virga does not have: check who calls in the function, then take the # before the route away`,
      );
    if (paths.length > 1) this.#report.changed(at, subject, `route ${written}`, 'is / and /{proxy+}');
    else if (paths[0] !== path && `/${path}` !== paths[0])
      this.#report.changed(at, subject, `route ${written}`, `is ${paths[0]}: a path has no / at its end`);
    else this.#report.carried(at, subject, `route ${written}`);
  }
}

function closedBy(guard: string): string {
  return `was behind ${guard}; check who calls, then open it`;
}

/** A route belongs to one function, and GET answers HEAD: methods that are taken are left out and reported. */
export function withoutConflicts(functions: readonly ImportedFunction[], report: Report): void {
  const taken = new Map<string, string>();
  for (const fn of functions) {
    const gets = new Set(
      fn.routes.filter(({ methods, closed }) => closed === undefined && methods?.includes('GET')).map(({ path }) => shapeOf(path)),
    );
    fn.routes = fn.routes.flatMap((route): ImportedRoute[] => {
      if (route.closed !== undefined) return [route];
      const shape = shapeOf(route.path);
      const free = (route.methods ?? ['*']).filter((method) => {
        // Its own GET answers it, wherever that stands.
        if (method === 'HEAD' && gets.has(shape)) return false;
        const keys = (method === 'GET' ? ['GET', 'HEAD'] : [method]).map((one) => `${one} ${shape}`);
        const owner = keys.map((key) => taken.get(key)).find((one) => one !== undefined);
        if (owner === undefined) for (const key of keys) taken.set(key, fn.name);
        else if (owner !== fn.name) {
          const written = `${method === '*' ? '' : `${method} `}${route.path}`;
          report.left(route.at, fn.name, `route ${written}`, `it is taken by ${owner}; Virga gives a route to one function`);
        }
        return owner === undefined;
      });
      return free.length === 0 ? [] : [{ ...route, methods: route.methods === null ? null : free }];
    });
  }
}

/** A function URL is a host of its own at AWS; here the functions of a project share one. */
export function functionUrlPaths(name: string, alone: boolean): string[] {
  return alone ? EVERYTHING : [`/${name}`, `/${name}/{proxy+}`];
}
