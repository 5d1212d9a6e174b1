// POST /v1/projects/{project}/functions/{function}/invoke-async: an invocation that nobody waits for. Invariant: when it answers, the
// invocation is durable; of one Idempotency-Key there is one. Any function can be called like that by who has a token.
import { z } from '@hono/zod-openapi';
import { idempotencyKeyOf } from '../events/async/accept.ts';
import { closestWord } from '../lib/closest-word.ts';
import type { AsyncAccepted } from '../protocol/async-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { asyncState } from './async-invocations.ts';
import { readBody } from './body.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { name, wholeNumber } from './schemas.ts';

const accepted = z
  .object({ id: z.string(), state: asyncState, again: z.boolean() })
  .openapi('AsyncAccepted') satisfies z.ZodType<AsyncAccepted>;

export function invokeAsync(app: ControlApp, { records, async, limits }: Pick<ControlContext, 'records' | 'async' | 'limits'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/functions/{function}/invoke-async',
      summary: 'Call a function and do not wait for it',
      description:
        'The body is the payload, at most VIRGA_LIMIT_ASYNC_REQUEST_BYTES. The answer is given when the invocation is durable; it runs soon, and is tried again as `async` of the function says. With the header `Idempotency-Key` the same request may be sent any number of times: there is one invocation of one key, as long as it is kept.',
      params: z.strictObject({ project: name, function: name }),
      query: z.strictObject({
        version: wholeNumber.optional().openapi({ type: 'integer', description: 'Default: the one that is served when it runs.' }),
      }),
      rawBody: '*/*',
      answers: { 202: { description: 'It will run.', schema: accepted } },
      errors: ['project_not_found', 'function_not_found', 'version_not_found', 'request_too_large', 'idempotency_key_reused', 'queue_full'],
    },
    async ({ params, query: { version } }, c) => {
      const { incoming } = c.env;
      const body = await readBody(incoming, {
        maxBytes: limits.asyncRequestBytesMax,
        idleMs: limits.bodyIdleMs,
        code: 'request_too_large',
        what: 'the payload',
        limit: 'VIRGA_LIMIT_ASYNC_REQUEST_BYTES',
      });
      const key = idempotencyKeyOf(incoming.headers['idempotency-key']?.toString());
      const { state } = await requireProject(records, params.project);
      if (!Object.hasOwn(state.functions, params.function)) throw unknownFunction(params, Object.keys(state.functions));
      if (state.events?.workflows?.[params.function] !== undefined)
        throw new VirgaError(
          'invalid_request',
          `function '${params.function}' is a workflow, each call of which is a run: \`virga workflows start ${params.function}\` starts one`,
        );
      if (version !== undefined) await requireVersion(records, { ...params, version });
      const traceparent = incoming.headers['traceparent']?.toString();
      const taken = await async.acceptor.accept({
        project: params.project,
        function: params.function,
        rules: state.events?.async?.[params.function] ?? {},
        request: {
          contentType: incoming.headers['content-type'] ?? 'application/json',
          ...(version === undefined ? {} : { version }),
          ...(traceparent === undefined ? {} : { traceparent }),
          body,
        },
        source: 'control',
        ...(key === undefined ? {} : { idempotency: { scope: 'control', key } }),
      });
      return c.json(taken satisfies AsyncAccepted, 202);
    },
  );
}

function unknownFunction(asked: { project: string; function: string }, known: string[]): VirgaError {
  const meant = closestWord(asked.function, known);
  const remedy = meant === undefined ? '`virga functions` lists them' : `did you mean '${meant}'?`;
  return new VirgaError('function_not_found', `project '${asked.project}' has no function '${asked.function}'; ${remedy}`);
}

async function requireVersion(
  records: ControlContext['records'],
  { project, function: fn, version }: { project: string; function: string; version: number },
): Promise<void> {
  const { rows } = await records.query('select 1 from versions where project = $1 and function = $2 and number = $3', [
    project,
    fn,
    version,
  ]);
  if (rows.length === 0)
    throw new VirgaError('version_not_found', `function '${fn}' has no version ${version}; \`virga versions ${fn}\` lists them`);
}
