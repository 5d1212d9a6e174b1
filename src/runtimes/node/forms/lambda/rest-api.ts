// AWS API Gateway's REST APIs, payload format 1.0: the event of an HTTP request, and the response that a result stands for
// (docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html). Invariant: a result that cannot
// be a response is a BadResponse that names the part, as API Gateway answers 502. Called by events.ts.
//
// Header names come in lower case from the gateway; a REST API gives those of HTTP as its clients and CloudFront spell them
// (`Content-Type`). Both are there: as HTTP spells them, and in lower case where JSON, loops and copies do not see it.
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import { addHeaders, bodyOf, logTime, show, statusOf, withBody } from '../../api-gateway.ts';
import type { GatewayResponse } from '../../api-gateway.ts';
import { principalOf, restAuthorizerOf } from '../../authorizer-context.ts';
import { BadResponse } from '../../failure.ts';

type Values = Record<string, string[]>;

/** Of the headers whose names are HTTP's, or that API Gateway adds. All others stay as they came. */
const SPELLED = new Map(
  [
    ...['Accept', 'Accept-Encoding', 'Accept-Language', 'Authorization', 'Cache-Control', 'Content-Encoding', 'Content-Language'],
    ...[
      'Content-Length',
      'Content-Type',
      'Cookie',
      'DNT',
      'Date',
      'ETag',
      'From',
      'Host',
      'If-Match',
      'If-Modified-Since',
      'If-None-Match',
    ],
    ...['If-Range', 'If-Unmodified-Since', 'Origin', 'Pragma', 'Range', 'Referer', 'Upgrade-Insecure-Requests', 'User-Agent', 'Via'],
    ...['Warning', 'X-Amzn-Trace-Id', 'X-Forwarded-For', 'X-Forwarded-Port', 'X-Forwarded-Proto'],
  ].map((name) => [name.toLowerCase(), name]),
);
/** What an identity has when nobody proved one; every field is there. */
const NOBODY = {
  accessKey: null,
  accountId: null,
  apiKey: null,
  apiKeyId: null,
  caller: null,
  clientCert: null,
  cognitoAuthenticationProvider: null,
  cognitoAuthenticationType: null,
  cognitoIdentityId: null,
  cognitoIdentityPoolId: null,
  principalOrgId: null,
};

export interface RestFacts {
  accountId: string;
  apiId: string;
  requestId: string;
}

export function toRestEvent(meta: HttpRequestMeta, body: Buffer, facts: RestFacts): Record<string, unknown> {
  const url = new URL(meta.url);
  const headerValues = headersOf(meta.headers);
  const lower = lastValues(headerValues);
  const query = queryOf(url.searchParams);
  const now = new Date();
  const path = url.pathname;
  const principal = principalOf(meta);
  const apiKeyId = principal?.kind === 'key' ? principal.id : null;
  return {
    version: '1.0',
    resource: meta.route,
    path,
    httpMethod: meta.method,
    headers: spelled(lower),
    multiValueHeaders: spelled(headerValues),
    queryStringParameters: query === null ? null : lastValues(query),
    multiValueQueryStringParameters: query,
    requestContext: {
      accountId: facts.accountId,
      apiId: facts.apiId,
      authorizer: restAuthorizerOf(principal),
      domainName: url.hostname,
      domainPrefix: url.hostname.split('.', 1)[0]!,
      extendedRequestId: meta.id,
      httpMethod: meta.method,
      identity: { ...NOBODY, apiKeyId, sourceIp: meta.client, user: null, userAgent: lower['user-agent'] ?? null, userArn: null },
      path,
      protocol: 'HTTP/1.1',
      requestId: facts.requestId,
      requestTime: logTime(now),
      requestTimeEpoch: now.getTime(),
      resourceId: `${meta.method} ${meta.route}`,
      resourcePath: meta.route,
      stage: '$default',
    },
    pathParameters: isEmpty(meta.params) ? null : meta.params,
    stageVariables: null,
    ...(body.length === 0 ? { body: null, isBase64Encoded: false } : bodyOf(body, lower)),
  };
}

export function fromRestResult(result: unknown): GatewayResponse {
  if (typeof result !== 'object' || result === null || Array.isArray(result) || !('statusCode' in result)) {
    throw new BadResponse(
      `its result is ${what(result)}; with httpEvent: '1.0' it must be an object with statusCode, and a body that is a string (2.0 takes any value)`,
    );
  }
  const { statusCode, headers, multiValueHeaders } = result as unknown as Record<string, unknown>;
  const status = statusOf(statusCode);
  const flat: string[] = [];
  addHeaders(flat, 'multiValueHeaders', multiValueHeaders);
  if (flat.length === 0) addHeaders(flat, 'headers', headers);
  else {
    // Both are merged; a pair that both have counts once.
    const single: string[] = [];
    addHeaders(single, 'headers', headers);
    const there = new Set(flat.map((text, i) => (i % 2 === 0 ? `${text.toLowerCase()}\0${flat[i + 1]!}` : '')));
    for (let i = 0; i < single.length; i += 2) {
      if (!there.has(`${single[i]!.toLowerCase()}\0${single[i + 1]!}`)) flat.push(single[i]!, single[i + 1]!);
    }
  }
  return withBody(result, status, flat, 'application/json');
}

function what(result: unknown): string {
  return typeof result === 'object' && result !== null && !Array.isArray(result) ? 'an object without statusCode' : show(result);
}

function headersOf(flat: string[]): Values {
  const values: Values = Object.create(null) as Values;
  for (let i = 0; i + 1 < flat.length; i += 2) (values[flat[i]!.toLowerCase()] ??= []).push(flat[i + 1]!);
  return values;
}

/** null: there is none. */
function queryOf(search: URLSearchParams): Values | null {
  const values: Values = Object.create(null) as Values;
  for (const [name, value] of search) (values[name] ??= []).push(value);
  return isEmpty(values) ? null : { ...values };
}

function lastValues(values: Values): Record<string, string> {
  const last: Record<string, string> = {};
  for (const name in values) last[name] = values[name]!.at(-1)!;
  return last;
}

/** As HTTP spells them; those in lower case are there too, but are not enumerated. */
function spelled<V>(lower: Record<string, V>): Record<string, V> {
  const result: Record<string, V> = {};
  for (const [name, value] of Object.entries(lower)) {
    const spelling = SPELLED.get(name);
    result[spelling ?? name] = value;
    if (spelling !== undefined) Object.defineProperty(result, name, { value, enumerable: false, writable: true, configurable: true });
  }
  return result;
}

function isEmpty(record: Record<string, unknown>): boolean {
  for (const _ in record) return false;
  return true;
}
