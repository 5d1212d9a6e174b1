// Registers one operation of the control API: its description (for OpenAPI), its checks and its handler. Invariant: the
// handler runs only for a known token (unless the operation is open) and with input that its schemas accepted; all that is wrong
// with path, query and body is reported together. Called by every operation file.
import type { HttpBindings } from '@hono/node-server';
import { createRoute, z } from '@hono/zod-openapi';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { ERRORS } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { Principal } from './context.ts';
import { readJson } from './json-body.ts';
import { invalidRequest, problemsOf } from './problems.ts';
import type { Problem } from './problems.ts';
import { errorBody } from './schemas.ts';

export interface ControlEnv {
  Bindings: HttpBindings;
  Variables: { requestId: string; principal: Principal };
}
export type ControlRequest = Context<ControlEnv>;

export interface ControlApp {
  hono: OpenAPIHono<ControlEnv>;
  /** Fails with `unauthorized`. */
  authenticate: (c: ControlRequest) => Promise<Principal>;
  limits: { jsonBytesMax: number; bodyIdleMs: number };
  /** What exists, for 405. */
  registered: { method: string; path: string }[];
}

type Fields = z.ZodObject;
type Given<S extends z.ZodType | undefined> = S extends z.ZodType ? z.output<S> : Record<string, never>;

interface Answer {
  description: string;
  /** Without: no body. */
  schema?: z.ZodType;
  /** Default `application/json`. */
  contentType?: string;
}

export interface Operation<P extends Fields | undefined, Q extends Fields | undefined, B extends z.ZodType | undefined> {
  method: 'get' | 'put' | 'post' | 'delete';
  /** e.g. `/v1/projects/{project}`. */
  path: string;
  summary: string;
  description?: string;
  /** No token needed. */
  open?: true;
  params?: P;
  query?: Q;
  /** JSON body. */
  body?: B;
  /** The body is read by the handler: its media type, for the document. */
  rawBody?: string;
  answers: Record<number, Answer>;
  errors: ErrorCode[];
}

export interface Input<P extends Fields | undefined, Q extends Fields | undefined, B extends z.ZodType | undefined> {
  params: Given<P>;
  query: Given<Q>;
  body: Given<B>;
  principal: Principal;
  requestId: string;
}

export function operation<
  P extends Fields | undefined = undefined,
  Q extends Fields | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(app: ControlApp, spec: Operation<P, Q, B>, handle: (input: Input<P, Q, B>, c: ControlRequest) => Promise<Response> | Response): void {
  app.hono.openAPIRegistry.registerPath(describe(spec));
  app.registered.push({ method: spec.method.toUpperCase(), path: spec.path });
  app.hono.on(spec.method.toUpperCase(), spec.path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) => {
    const principal = spec.open ? { tokenId: '', tokenName: '' } : await app.authenticate(c);
    c.set('principal', principal);
    const problems: Problem[] = [];
    const params = checked(spec.params, c.req.param(), { prefix: '', problems });
    const query = checked(spec.query ?? NO_FIELDS, singles(c.req.queries(), problems), { prefix: '?', problems });
    const body = spec.body === undefined ? {} : checked(spec.body, await readJson(c.env.incoming, app.limits), { prefix: '', problems });
    if (problems.length > 0) throw invalidRequest(problems);
    const input = { params, query, body, principal, requestId: c.get('requestId') };
    return await handle(input as Input<P, Q, B>, c);
  });
}

const NO_FIELDS = z.strictObject({});

function checked(schema: z.ZodType | undefined, input: unknown, into: { prefix: string; problems: Problem[] }): unknown {
  if (schema === undefined) return {};
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  into.problems.push(...problemsOf(result.error, input, schema, into.prefix));
  return undefined;
}

function singles(queries: Record<string, string[]>, problems: Problem[]): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [key, values] of Object.entries(queries)) {
    if (values.length > 1) problems.push({ path: `?${key}`, message: `is given ${values.length} times; give it once` });
    query[key] = values[0]!;
  }
  return query;
}

function describe(spec: Operation<Fields | undefined, Fields | undefined, z.ZodType | undefined>): ReturnType<typeof createRoute> {
  const request: Record<string, unknown> = {};
  if (spec.params !== undefined) request['params'] = spec.params;
  if (spec.query !== undefined) request['query'] = spec.query;
  if (spec.body !== undefined) request['body'] = { required: true, content: { 'application/json': { schema: spec.body } } };
  if (spec.rawBody !== undefined) request['body'] = { content: { [spec.rawBody]: { schema: { type: 'string', format: 'binary' } } } };
  const responses: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(spec.answers)) {
    const content = answer.schema && { content: { [answer.contentType ?? 'application/json']: { schema: answer.schema } } };
    responses[status] = { description: answer.description, ...content };
  }
  const always: ErrorCode[] = spec.open ? ['internal'] : ['unauthorized', 'internal', 'unavailable'];
  const takesInput = spec.params ?? spec.query ?? spec.body;
  const codes = [...new Set([...(takesInput === undefined ? [] : (['invalid_request'] as const)), ...spec.errors, ...always])];
  for (const [status, group] of Object.entries(Object.groupBy(codes, (code) => ERRORS[code].status))) {
    const description = (group ?? []).map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join('\n\n');
    responses[status] ??= { description, content: { 'application/json': { schema: errorBody } } };
  }
  return createRoute({
    method: spec.method,
    path: spec.path,
    summary: spec.summary,
    ...(spec.description === undefined ? {} : { description: spec.description }),
    ...(spec.open ? {} : { security: [{ token: [] }] }),
    request,
    responses: responses as Parameters<typeof createRoute>[0]['responses'],
  });
}
