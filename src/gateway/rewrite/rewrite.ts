// Changes what the function sees of a request, and what the client sees of its answer, by the rules of the route. The last of the
// features: all others look at what the client sent. Invariant: a rewritten path stays below what stands before its first
// parameter, since a parameter that would climb out of it (`..`) is refused.
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { ResponseRules, RewriteRules } from '../../protocol/policies/rewrite.ts';
import { dropHeaders } from '../flat-headers.ts';
import { compileTemplate } from '../path-template.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Verdict } from '../stage.ts';

const CLIMBS = /(?:^|\/)\.\.?(?:\/|$)/;

export class RewriteFeature implements Feature {
  compile({ policy: { rewrite, response } }: RouteSource): Stage | undefined {
    if (rewrite === undefined && response === undefined) return undefined;
    return {
      ...(rewrite === undefined ? {} : { onHead: compileRequest(rewrite) }),
      ...(response === undefined ? {} : { onAnswer: compileAnswer(response) }),
    };
  }
}

function compileRequest(rules: RewriteRules): (request: GatewayRequest) => Verdict {
  const path = rules.path === undefined ? undefined : compileTemplate(rules.path);
  const query = compileQuery(rules);
  const headers = compileHeaders(rules);
  return (request) => {
    if (path !== undefined) {
      for (const name in request.params) {
        if (!CLIMBS.test(request.params[name]!)) continue;
        const message = `the parameter '${name}' has a segment '.' or '..', which the route ${request.route} does not take`;
        return { error: new VirgaError('invalid_request', message) };
      }
    }
    if (path !== undefined || query !== undefined) {
      const mark = request.target.indexOf('?');
      const before = mark < 0 ? request.target : request.target.slice(0, mark);
      const after = mark < 0 ? '' : request.target.slice(mark + 1);
      const changed = query === undefined ? after : query(after);
      request.target = `${path === undefined ? before : path(request.params).replace(/^\/{2,}/, '/')}${changed === '' ? '' : `?${changed}`}`;
    }
    headers?.(request.headers);
    return undefined;
  };
}

function compileQuery({ setQuery = {}, removeQuery = [] }: RewriteRules): ((query: string) => string) | undefined {
  const dropped = new Set([...Object.keys(setQuery), ...removeQuery]);
  if (dropped.size === 0) return undefined;
  const added = Object.entries(setQuery).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  // What stays, stays as it was written.
  return (query) => [...query.split('&').filter((part) => part !== '' && !dropped.has(nameOf(part))), ...added].join('&');
}

function nameOf(part: string): string {
  const [name] = new URLSearchParams(part).keys();
  return name ?? '';
}

function compileHeaders({
  setHeaders = {},
  removeHeaders = [],
}: Pick<ResponseRules, 'setHeaders' | 'removeHeaders'>): ((headers: FlatHeaders) => void) | undefined {
  const added = Object.entries(setHeaders).flatMap(([name, value]) => [name.toLowerCase(), value]);
  const dropped = new Set([...Object.keys(setHeaders), ...removeHeaders].map((name) => name.toLowerCase()));
  if (dropped.size === 0) return undefined;
  return (headers) => {
    dropHeaders(headers, dropped);
    headers.push(...added);
  };
}

function compileAnswer(rules: ResponseRules): (request: GatewayRequest, status: number, headers: FlatHeaders) => void {
  const change = compileHeaders(rules);
  return (_request, _status, headers) => change?.(headers);
}
