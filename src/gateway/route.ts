// From a request's host and target to what its route leads to: by a domain of the project, `<project>.localhost`, or `/@<project>/…`.
// Invariant: asks only the read model in memory. Called by accept.ts once per request.
import type { IncomingHttpHeaders } from 'node:http';
import { VirgaError } from '../protocol/errors.ts';
import type { Asked } from './conditions.ts';
import { hostName } from './host-name.ts';
import type { ReadModel } from './read-model.ts';
import { isHost, pathSegments } from './request-target.ts';
import type { CompiledTarget, Stages } from './stage.ts';

export interface Routed {
  kind: 'found';
  project: string;
  to: CompiledTarget;
  /** What stands between the route and its target; undefined: nothing. */
  stages: Stages | undefined;
  route: string;
  params: Record<string, string>;
  /** `/@<project>` where the path named the project, else empty. */
  prefix: string;
  /** Path and query as the function sees them: without the `/@<project>` prefix. */
  target: string;
}

/** A preflight of a browser: `routed` is where the request to come would go. */
export interface Preflight {
  kind: 'preflight';
  routed: Routed;
  allow: string[];
}

export type RouteResult =
  | Routed
  | Preflight
  | { kind: 'options'; allow: string[] }
  | { kind: 'failed'; error: VirgaError; allow?: string[] };

/** Methods that the Fetch standard forbids: no function could see such a request. */
const REFUSED_METHODS = new Set(['CONNECT', 'TRACE', 'TRACK']);
const PROJECT_HOST = /^([a-z0-9-]+)\.localhost$/;

export function route(
  model: ReadModel,
  request: { method: string; target: string; host: string; headers: IncomingHttpHeaders },
): RouteResult {
  if (REFUSED_METHODS.has(request.method)) return failed('method_not_allowed', `${request.method} is not served here`);
  // What would not survive as the authority of a URL.
  if (!isHost(request.host)) return failed('invalid_request', `the Host header '${request.host.slice(0, 200)}' is not a host`);
  let target = request.target;
  // A fragment is never sent, and a URL ends where it begins.
  if (target.includes('#')) return failed('invalid_request', `the request target '${target.slice(0, 200)}' has a '#' in it`);
  if (!target.startsWith('/')) {
    // absolute-form (RFC 9112, section 3.2.2); anything else is not for us.
    const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
    if (absolute === null) return failed('invalid_request', `the request target '${target.slice(0, 200)}' is not a path`);
    const [, authority = '', path = ''] = absolute;
    // What is in front of us may have looked at the other one.
    if (authority.toLowerCase() !== request.host.toLowerCase())
      return failed(
        'invalid_request',
        `the request target is for '${authority.slice(0, 200)}', its Host header says '${request.host.slice(0, 200)}'`,
      );
    target = path.startsWith('/') ? path : `/${path}`;
  }
  // At a domain the whole path is its project's: no other project is reached there, since pages would share its origin.
  let projectName = model.servesDomains ? model.projectAt(hostName(request.host)) : undefined;
  let prefix = '';
  if (projectName !== undefined) {
    // Found.
  } else if (target.startsWith('/@')) {
    const end = indexOfAny(target, 2);
    projectName = target.slice(2, end);
    prefix = target.slice(0, end);
    target = target.slice(end);
    if (!target.startsWith('/')) target = `/${target}`;
  } else {
    projectName = projectOfHost(request.host);
    if (projectName === undefined) {
      return failed(
        'project_not_found',
        `the host '${request.host.slice(0, 200)}' names no project; call http://<project>.localhost:<port>/ or /@<project>/, or give a project this domain (\`virga domains\`)`,
      );
    }
  }
  const project = model.project(projectName);
  if (project === undefined)
    return failed('project_not_found', `there is no project '${projectName.slice(0, 100)}' here; \`virga projects\` lists them`);
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const segments = pathSegments(path);
  if (typeof segments === 'string') return failed('invalid_request', segments);
  const asked: Asked = { host: request.host, target, headers: request.headers };
  const toCome = request.method === 'OPTIONS' ? request.headers['access-control-request-method'] : undefined;
  if (toCome !== undefined) {
    asked.announced = request.headers['access-control-request-headers'];
    const found = project.routes.match(toCome, segments, asked);
    if (found.kind === 'found' && found.stages?.preflight !== undefined) {
      const routed: Routed = { ...found, project: project.name, prefix, target };
      return { kind: 'preflight', routed, allow: project.routes.allowed(segments, asked) };
    }
  }
  const match = project.routes.match(request.method, segments, asked);
  switch (match.kind) {
    case 'found':
      return { ...match, project: project.name, prefix, target };
    case 'options':
      return match;
    case 'method_not_allowed':
      return {
        kind: 'failed',
        allow: match.allow,
        error: new VirgaError(
          'method_not_allowed',
          `${request.method} is not allowed on ${path.slice(0, 200)}; allowed: ${match.allow.join(', ')}`,
        ),
      };
    case 'none':
      return failed(
        'route_not_found',
        `no route of project '${projectName}' matches ${path.slice(0, 200)}; \`virga routes\` lists its routes`,
      );
  }
}

function projectOfHost(host: string): string | undefined {
  return PROJECT_HOST.exec(hostName(host))?.[1];
}

function indexOfAny(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 47 /* / */ || char === 63 /* ? */) return i;
  }
  return text.length;
}

function failed(code: 'invalid_request' | 'method_not_allowed' | 'project_not_found' | 'route_not_found', message: string): RouteResult {
  return { kind: 'failed', error: new VirgaError(code, message) };
}
