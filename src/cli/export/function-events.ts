// Routes of a function as events of AWS::Serverless::Function, or as a function URL. Invariants: whatever a route of Virga answers is
// answered at AWS, HEAD beside GET included; what the path looks like there is reported where it differs. Used by export-lambda.ts.
import type { Route } from '../../protocol/settings.ts';
import type { HttpMethod } from '../../protocol/http-methods.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { routeText, shapeOf } from '../manifest/routes.ts';
import type { FunctionReport } from './export-report.ts';

export interface FunctionEvents {
  properties: Record<string, unknown>;
  kind: 'HttpApi' | 'Api' | 'url' | undefined;
  /** Routes at AWS. */
  count: number;
}

export function eventProperties(
  fn: ManifestFunction,
  { routes: all, functions }: Pick<Manifest, 'routes' | 'functions'>,
  { report, streams }: { report: FunctionReport; streams: boolean },
): FunctionEvents {
  const routes = all.filter((route) => route.function === fn.name);
  if (routes.length === 0) return { properties: {}, kind: undefined, count: 0 };
  const { httpEvent } = fn.settings;
  if (httpEvent === 'function-url') return urlOf(routes, { report, streams });
  const type = httpEvent === '1.0' ? 'Api' : 'HttpApi';
  const events: Record<string, unknown> = {};
  let number = 0;
  for (const route of routes) {
    report.carried('http', `route ${routeText(route)}`);
    for (const method of methodsOf(route)) events[`Route${++number}`] = { Type: type, Properties: { Path: route.path, Method: method } };
  }
  if (type === 'Api') {
    report.changed('http', 'REST API', 'its paths are below /Prod, the stage; bodies that are not text need BinaryMediaTypes');
    const rest = new Set(functions.filter(({ settings }) => settings.httpEvent === '1.0').map(({ name }) => name));
    reportNeighbours(
      routes,
      all.filter((route) => route.function !== undefined && rest.has(route.function)),
      report,
    );
  }
  if (streams) report.changed('http', 'a streamed answer', 'API Gateway has no streaming for this: use httpEvent: function-url');
  return { properties: { Events: events }, kind: type, count: number };
}

/** API Gateway answers HEAD only where it is told to; GET comes first, as what HEAD belongs to. */
function methodsOf({ methods }: Route): (HttpMethod | 'ANY')[] {
  if (methods === null) return ['ANY'];
  return methods.includes('GET') ? ['GET', 'HEAD', ...methods.filter((method) => method !== 'GET' && method !== 'HEAD')] : methods;
}

function urlOf(routes: readonly Route[], { report, streams }: { report: FunctionReport; streams: boolean }): FunctionEvents {
  const everything = routes.some(({ path, methods }) => methods === null && /^\/\{\w+\+\}$/.test(path));
  const written = routes.map(routeText).join(', ');
  if (everything) report.carried('http', `route ${written}, as a function URL`);
  else report.changed('http', `route ${written}`, 'is a function URL, a host of its own, where every path and method calls the function');
  const properties = { FunctionUrlConfig: { AuthType: 'NONE', ...(streams ? { InvokeMode: 'RESPONSE_STREAM' } : {}) } };
  return { properties, kind: 'url', count: 0 };
}

/** A REST API wants parameters at one place to have one name. */
function reportNeighbours(routes: readonly Route[], all: readonly Route[], report: FunctionReport): void {
  const names = new Map<string, string>();
  for (const { path } of all)
    for (const [index, segment] of path.split('/').entries()) {
      if (!segment.startsWith('{')) continue;
      const place = shapeOf(path.split('/').slice(0, index).join('/'));
      const first = names.get(place) ?? segment;
      names.set(place, first);
      if (first !== segment && routes.some((route) => route.path === path))
        report.left(
          'http',
          `route ${path}`,
          `a REST API takes one name for a parameter at this place, and another route says ${first}; rename it in the route and in the code`,
        );
    }
}
