// HTTP for the functions of an Azure app: the app's own routes, the request as the library takes it, and its response as an answer.
// Invariant: a response means what Azure's host makes of it (github.com/Azure/azure-functions-host): without one 204, cookies
// as headers; the bodies of both ways are whole unless the app has asked for streams (http-stream.ts). Called by azure.ts.
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import { BadResponse } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import type { App, AppFunction } from './app.ts';
import { callFunction } from './call.ts';
import type { Cookie, HttpData, InvocationResponse, TypedData } from './core-types.ts';
import { headersOf } from './header-fields.ts';
import type { HttpCall, HttpStream } from './http-stream.ts';
import type { Match, Routes } from './routes.ts';

const TEXT = ['content-type', 'text/plain;charset=UTF-8'];
const SAME_SITE: Record<string, string> = { lax: 'Lax', strict: 'Strict', explicitNone: 'None' };

export interface HttpParts {
  app: App;
  routes: Routes;
  stream: HttpStream | undefined;
}

export async function serveHttp(parts: HttpParts, invocation: Invocation, meta: HttpRequestMeta): Promise<void> {
  const pathname = pathOf(meta.url);
  const match = parts.routes.match(meta.method, pathname);
  if (match.kind === 'found') return callHttp(parts, { ...match, meta, body: invocation.body }, invocation);
  return invocation.answer.whole(...refusal(match, `${meta.method} ${pathname}`));
}

/** `URL` takes 2 µs for it. */
function pathOf(url: string): string {
  const from = url.indexOf('/', url.indexOf('://') + 3);
  const query = url.indexOf('?', from);
  return query === -1 ? url.slice(from) : url.slice(from, query);
}

function refusal(match: Exclude<Match, { kind: 'found' }>, what: string): [{ status: number; headers: string[] }, Buffer] {
  if (match.kind === 'none') return [{ status: 404, headers: TEXT }, Buffer.from(`no function of this app has a route for ${what}\n`)];
  const allow = match.allow.join(', ');
  return [{ status: 405, headers: [...TEXT, 'allow', allow] }, Buffer.from(`no function of this app takes ${what}; allowed: ${allow}\n`)];
}

export async function callHttp({ app, stream }: HttpParts, call: HttpCall, invocation: Invocation): Promise<void> {
  if (stream !== undefined) return stream.call(app, call, invocation);
  const { fn, params, meta } = call;
  const bytes = await call.body.readAll();
  const http: HttpData = { method: meta.method, url: meta.url, headers: headersOf(meta.headers), params, body: { bytes } };
  const response = await callFunction(app, fn, { data: { http }, triggerMetadata: {} }, invocation);
  return respond(invocation, meta.method, httpOf(fn, response));
}

/** The output of type http, which need not be the return value. */
function httpOf({ metadata }: AppFunction, { returnValue, outputData = [] }: InvocationResponse): HttpData | undefined {
  for (const [name, { type, direction }] of Object.entries(metadata.bindings)) {
    if (direction !== 'out' || type.toLowerCase() !== 'http') continue;
    const data = name === '$return' ? returnValue : outputData.find((output) => output.name === name)?.data;
    if (data?.http !== undefined) return data.http;
  }
  return undefined;
}

function respond({ answer }: Invocation, method: string, http: HttpData | undefined): Promise<void> | void {
  if (http === undefined) return answer.empty({ status: 204, headers: [] });
  const status = Number(http.statusCode);
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new BadResponse(`its response has the status ${http.statusCode}; it must be from 200 to 599`);
  const headers = Object.entries(http.headers ?? {}).flat();
  for (const cookie of http.cookies ?? []) headers.push('set-cookie', cookieText(cookie));
  const head = { status, headers };
  if (method === 'HEAD' || status === 204 || status === 205 || status === 304) return answer.empty(head);
  return answer.whole(head, bytesOf(http.body));
}

export function bytesOf(data: TypedData | null | undefined): Buffer {
  if (data === undefined || data === null) return Buffer.alloc(0);
  if (data.bytes !== undefined) return Buffer.from(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength);
  return Buffer.from(data.string ?? data.json ?? String(data.int ?? data.double ?? ''));
}

/** RFC 6265, section 4.1; values are escaped as ASP.NET Core does it. */
function cookieText({ name, value, domain, path, expires, secure, httpOnly, sameSite = 'none', maxAge }: Cookie): string {
  let text = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  if (expires !== undefined) text += `; expires=${new Date(expires.value.seconds * 1000).toUTCString()}`;
  if (maxAge !== undefined) text += `; max-age=${Math.trunc(maxAge.value)}`;
  if (domain !== undefined) text += `; domain=${domain.value}`;
  text += `; path=${path?.value ?? '/'}`;
  if (secure?.value === true) text += '; secure';
  if (SAME_SITE[sameSite] !== undefined) text += `; samesite=${SAME_SITE[sameSite].toLowerCase()}`;
  if (httpOnly?.value === true) text += '; httponly';
  return text;
}
