// A route that sends the client elsewhere: Location from the rule, the parameters of the path and the query of the request.
// Invariants: the host of the destination is the rule's, never the request's (a destination cannot come to begin with `//`);
// no byte of a request reaches the header unencoded. Made by targets.ts.
import type { RedirectRules } from '../../protocol/policies/redirect.ts';
import { compileTemplate } from '../path-template.ts';
import type { GatewayRequest, LocalAnswer, LocalTarget } from '../stage.ts';

export function compileRedirect({ to, status = 302 }: RedirectRules): LocalTarget {
  const hash = to.indexOf('#');
  const [before, fragment] = hash < 0 ? [to, ''] : [to.slice(0, hash), to.slice(hash)];
  const joint = before.includes('?') ? '&' : '?';
  const location = compileTemplate(before);
  const ofThisHost = to.startsWith('/');
  return {
    answer(request: GatewayRequest): LocalAnswer {
      let path = location(request.params);
      // A rest of the path may begin with a slash, and `//name` is another host.
      if (ofThisHost) path = `${request.prefix}${path.replace(/^\/{2,}/, '/')}`;
      const mark = request.target.indexOf('?');
      const query = mark < 0 || mark === request.target.length - 1 ? '' : `${joint}${printable(request.target.slice(mark + 1))}`;
      return { status, headers: ['location', `${path}${query}${fragment}`] };
    },
  };
}

/** What HTTP lets through in a query but no header should carry. */
function printable(query: string): string {
  return query.replace(/[^\x21-\x7e]/g, (char) => encodeURIComponent(char.toWellFormed()));
}
