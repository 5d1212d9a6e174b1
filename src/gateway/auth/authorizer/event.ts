// The event that an authorizer function gets: what is asked, and by whom it claims to be. It has the names of Virga and, beside
// them, those of AWS Lambda authorizers (payload format 2.0, with methodArn and authorizationToken of 1.0), so that a function
// written for those runs unchanged. Invariant: of the headers only those that the manifest names. Pure. Used by authorizer.ts.
import type { GatewayRequest } from '../../stage.ts';

export interface Identity {
  /** As in the manifest, e.g. `header:authorization`. */
  place: string;
  value: string;
}

export function eventOf(request: GatewayRequest, identity: readonly Identity[], headerNames: readonly string[]): Record<string, unknown> {
  const { method, route, params, project, client, host } = request;
  const [path, query] = splitTarget(request.target);
  const headers: Record<string, string> = {};
  for (const name of headerNames) {
    const value = request.header(name);
    if (value !== undefined) headers[name] = value;
  }
  const cookies = identity.filter(({ place }) => place.startsWith('cookie:')).map(({ place, value }) => `${place.slice(7)}=${value}`);
  const arn = arnOf(request);
  return {
    version: '2.0',
    type: 'REQUEST',
    project,
    method,
    path,
    route,
    params,
    client,
    identity: Object.fromEntries(identity.map(({ place, value }) => [place, value])),
    headers,
    routeArn: arn,
    methodArn: arn,
    authorizationToken: identity[0]?.value ?? '',
    identitySource: identity.map(({ value }) => value),
    routeKey: `${method} ${route}`,
    rawPath: path,
    rawQueryString: query,
    queryStringParameters: Object.fromEntries(new URLSearchParams(query)),
    pathParameters: params,
    cookies,
    requestContext: {
      accountId: 'anonymous',
      apiId: project,
      domainName: host,
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: client, userAgent: request.header('user-agent') ?? '' },
      requestId: request.id,
      routeKey: `${method} ${route}`,
      stage: '$default',
    },
  };
}

/** e.g. `arn:aws:execute-api:local:000000000000:shop/$default/GET/notes/7`. */
export function arnOf(request: GatewayRequest): string {
  const [path] = splitTarget(request.target);
  return `arn:aws:execute-api:local:000000000000:${request.project}/$default/${request.method}${path}`;
}

function splitTarget(target: string): [path: string, query: string] {
  const question = target.indexOf('?');
  return question < 0 ? [target, ''] : [target.slice(0, question), target.slice(question + 1)];
}
