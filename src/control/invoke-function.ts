// POST /v1/projects/{project}/functions/{function}/invoke: a direct invocation, handed to the edge as it is. Invariant:
// the payload streams through, counted; a client that leaves aborts the invocation; whether the function or the
// project exists is the edge's to say, from what it serves.
import { z } from '@hono/zod-openapi';
import type { InvokeAnswer } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { bodyChunks, checkBodyHeaders } from './body.ts';
import type { BodyLimit } from './body.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { errorBody, invocationRecord, logLine, name, wholeNumber } from './schemas.ts';

/** Clients give up after minutes of silence (undici: five); functions may take fifteen. An interim answer resets that. */
const INTERIM_MS = 60_000;
/** As AWS Lambda has it. */
const CLIENT_CONTEXT_BYTES_MAX = 3_583;

const answer = z
  .object({
    invocation: invocationRecord,
    logs: z.array(logLine),
    result: z
      .union([z.object({ contentType: z.string(), text: z.string() }), z.object({ contentType: z.string(), base64: z.string() })])
      .nullable(),
    error: errorBody.shape.error.pick({ code: true, message: true, detail: true }).nullable(),
  })
  .openapi('InvokeAnswer') satisfies z.ZodType<InvokeAnswer>;

export function invokeFunction(app: ControlApp, { edge, limits }: Pick<ControlContext, 'edge' | 'limits'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/functions/{function}/invoke',
      summary: 'Call a function and wait for it',
      description:
        'The body is the payload. The header `x-amz-client-context` (JSON in base64, at most 3583 bytes) is what functions of AWS Lambda find as the client context. The answer is 200 whenever there was an invocation: if the function failed, `error` says how.',
      params: z.strictObject({ project: name, function: name }),
      query: z.strictObject({
        version: wholeNumber.optional().openapi({ type: 'integer', description: 'Default: the one that is served.' }),
      }),
      rawBody: '*/*',
      answers: { 200: { description: 'It ran.', schema: answer } },
      errors: ['project_not_found', 'function_not_found', 'version_not_found', 'request_too_large', 'function_overloaded'],
    },
    async ({ params, query, requestId }, c) => {
      const { incoming, outgoing } = c.env;
      const limit: BodyLimit = {
        maxBytes: limits.invokeBytesMax,
        idleMs: limits.bodyIdleMs,
        code: 'request_too_large',
        what: 'the payload',
        limit: 'VIRGA_LIMIT_INVOKE_BYTES',
      };
      checkBodyHeaders(incoming, limit);
      const left = new AbortController();
      const leave = (): void => left.abort(new Error('the client left'));
      outgoing.once('close', leave);
      const interim = setInterval(() => outgoing.writeProcessing(), INTERIM_MS);
      try {
        const answered = await edge.invoke({
          project: params.project,
          function: params.function,
          version: query.version,
          contentType: incoming.headers['content-type'] ?? 'application/json',
          requestId,
          traceparent: incoming.headers['traceparent']?.toString(),
          clientContext: clientContextOf(incoming.headers['x-amz-client-context']?.toString()),
          body: bodyChunks(incoming, limit),
          signal: left.signal,
        });
        const headers: Record<string, string> = { 'content-type': answered.contentType };
        if (answered.retryAfter !== undefined) headers['retry-after'] = answered.retryAfter;
        return new Response(new Uint8Array(answered.body), { status: answered.status, headers });
      } finally {
        clearInterval(interim);
        outgoing.off('close', leave);
      }
    },
  );
}

/** As AWS's clients send it; so that it may travel in a header again, as JSON in ASCII alone. */
function clientContextOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const bytes = Buffer.byteLength(header);
  if (bytes > CLIENT_CONTEXT_BYTES_MAX)
    throw new VirgaError('invalid_request', `x-amz-client-context has ${bytes} bytes; at most ${CLIENT_CONTEXT_BYTES_MAX} are taken`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new VirgaError('invalid_request', 'x-amz-client-context is not a JSON object in base64, such as eyJjdXN0b20iOnt9fQ==');
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
