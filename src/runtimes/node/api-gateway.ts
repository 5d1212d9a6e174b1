// AWS API Gateway's HTTP API, payload format 2.0: the event that a handler gets for an HTTP request, and the response that
// its result stands for. Invariant: an event and a result mean here what they mean at AWS
// (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html); a result that cannot
// be a response is a BadResponse that names the part. Called by handler-call.ts; forms/lambda shares its parts.
import { isUtf8 } from 'node:buffer';
import type { HttpRequestMeta } from '../../protocol/frames.ts';
import { authorizerOf, principalOf } from './authorizer-context.ts';
import { BadResponse } from './failure.ts';

export interface GatewayResponse {
  status: number;
  headers: string[];
  body: Buffer;
}

const TEXT_TYPE =
  /^(?:text\/|application\/(?:[\w.+-]+\+)?(?:json|xml)\b|application\/(?:javascript|graphql|x-www-form-urlencoded|x-ndjson)\b)/i;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What HTTP allows in a value: no control characters but the tab, nothing outside Latin-1. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export interface EventFacts {
  accountId: string;
  /** Undefined: the first label of the host. */
  apiId?: string;
  requestId: string;
  /** Undefined: method and route. */
  routeKey?: string;
}

export function toEvent(
  meta: HttpRequestMeta,
  body: Buffer,
  facts: EventFacts = { accountId: 'anonymous', requestId: meta.id },
): Record<string, unknown> {
  const url = new URL(meta.url);
  const { headers, cookies } = splitHeaders(meta.headers);
  const routeKey = facts.routeKey ?? `${meta.method} ${meta.route}`;
  const domainPrefix = url.hostname.split('.', 1)[0]!;
  const now = new Date();
  const authorizer = authorizerOf(principalOf(meta));
  const event: Record<string, unknown> = {
    version: '2.0',
    routeKey,
    rawPath: url.pathname,
    rawQueryString: url.search.slice(1),
    headers,
    requestContext: {
      accountId: facts.accountId,
      apiId: facts.apiId ?? domainPrefix,
      ...(authorizer === undefined ? {} : { authorizer }),
      domainName: url.hostname,
      domainPrefix,
      http: {
        method: meta.method,
        path: url.pathname,
        protocol: 'HTTP/1.1',
        sourceIp: meta.client,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: facts.requestId,
      routeKey,
      stage: '$default',
      time: logTime(now),
      timeEpoch: now.getTime(),
    },
    isBase64Encoded: false,
  };
  if (cookies.length > 0) event['cookies'] = cookies;
  if (url.search.length > 1) event['queryStringParameters'] = queryOf(url.searchParams);
  if (Object.keys(meta.params).length > 0) event['pathParameters'] = meta.params;
  if (body.length > 0) Object.assign(event, bodyOf(body, headers));
  return event;
}

/** Text as it is, anything else in base64. */
export function bodyOf(body: Buffer, headers: Record<string, string>): { body: string; isBase64Encoded: boolean } {
  const text = isText(headers) && isUtf8(body);
  return { body: body.toString(text ? 'utf8' : 'base64'), isBase64Encoded: !text };
}

export function fromResult(result: unknown, toJson: (value: unknown) => string): GatewayResponse {
  if (typeof result !== 'object' || result === null || !('statusCode' in result)) {
    // Without a statusCode the result is the body; a string is it as it stands.
    const text = typeof result === 'string' ? result : toJson(result);
    return { status: 200, headers: ['content-type', 'application/json'], body: Buffer.from(text) };
  }
  const { statusCode, headers, cookies } = result as Record<string, unknown>;
  const status = statusOf(statusCode);
  const flat: string[] = [];
  addHeaders(flat, 'headers', headers);
  addCookies(flat, cookies);
  return withBody(result, status, flat, 'text/plain;charset=UTF-8');
}

export function statusOf(statusCode: unknown): number {
  const status = Number(statusCode);
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new BadResponse(`its statusCode is ${show(statusCode)}; it must be a whole number from 200 to 599`);
  return status;
}

export function addHeaders(flat: string[], key: string, headers: unknown): void {
  if (headers === undefined || headers === null) return;
  if (typeof headers !== 'object' || Array.isArray(headers))
    throw new BadResponse(`its ${key} are ${show(headers)}; they must be an object of strings`);
  for (const [name, value] of Object.entries(headers)) addHeader(flat, name, value);
}

export function addCookies(flat: string[], cookies: unknown): void {
  if (cookies === undefined || cookies === null) return;
  if (!Array.isArray(cookies)) throw new BadResponse(`its cookies are ${show(cookies)}; they must be an array of strings`);
  for (const cookie of cookies) addHeader(flat, 'set-cookie', cookie);
}

/** `type`: of a body whose type the headers do not say. */
export function withBody(result: object, status: number, flat: string[], type: string): GatewayResponse {
  const { body, isBase64Encoded } = result as Record<string, unknown>;
  if (body !== undefined && body !== null && typeof body !== 'string') {
    throw new BadResponse(`its body is ${show(body)}; it must be a string: use JSON.stringify(…), or base64 with isBase64Encoded: true`);
  }
  const bytes = Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8');
  if (bytes.length > 0 && !flat.some((text, i) => i % 2 === 0 && text.toLowerCase() === 'content-type')) flat.push('content-type', type);
  return { status, headers: flat, body: bytes };
}

function addHeader(flat: string[], name: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (!TOKEN.test(name)) throw new BadResponse(`it has a header with the name ${show(name)}, which HTTP does not allow`);
  for (const one of Array.isArray(value) ? value : [value]) {
    const text = typeof one === 'object' ? undefined : String(one);
    if (text === undefined || !VALUE.test(text)) throw new BadResponse(`its header '${name}' is ${show(one)}, which HTTP does not allow`);
    flat.push(name, text);
  }
}

/** Lower-case names, several values joined by a comma; cookies are a list of their own and no header. */
function splitHeaders(flat: string[]): { headers: Record<string, string>; cookies: string[] } {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  const cookies: string[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    const value = flat[i + 1]!;
    if (name === 'cookie') cookies.push(...value.split(/;\s*/).filter((cookie) => cookie !== ''));
    else headers[name] = name in headers ? `${headers[name]},${value}` : value;
  }
  return { headers: { ...headers }, cookies };
}

function queryOf(search: URLSearchParams): Record<string, string> {
  const query = new Map<string, string>();
  for (const [name, value] of search) query.set(name, query.has(name) ? `${query.get(name)},${value}` : value);
  return Object.fromEntries(query);
}

function isText(headers: Record<string, string>): boolean {
  const type = headers['content-type'];
  return (type === undefined || TEXT_TYPE.test(type)) && headers['content-encoding'] === undefined;
}

/** e.g. `12/Mar/2026:19:03:58 +0000`. */
export function logTime(at: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  return `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}:${time} +0000`;
}

export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`;
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
