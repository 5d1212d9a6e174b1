// An answer that lists what is wrong with a request: application/problem+json (RFC 9457), with the error body that every other answer
// of ours has as one more member, so that clients of both find what they look for. Called by validate.ts.
import { errorBody } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { ERRORS } from '../../protocol/errors.ts';
import type { GatewayRequest, LocalAnswer } from '../stage.ts';
import type { RequestProblem } from './parameters.ts';

const TITLES: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'The request is not what this route takes',
  unsupported_media_type: 'The route does not take bodies of this type',
};

export function problemAnswer(request: GatewayRequest, code: ErrorCode, problems: readonly RequestProblem[]): LocalAnswer {
  const { status } = ERRORS[code];
  const [first] = problems;
  const more = problems.length === 1 ? '' : `, and ${problems.length - 1} more`;
  const message = `${first!.in}${first!.pointer === '#' ? '' : ` ${first!.pointer}`} ${first!.message}${more}`;
  const body = {
    type: `urn:virga:error:${code}`,
    title: TITLES[code],
    status,
    detail: message,
    instance: `urn:virga:request:${request.requestId}`,
    errors: problems,
    ...errorBody({ code, message }, request.requestId),
  };
  return {
    status,
    headers: ['content-type', 'application/problem+json', 'cache-control', 'no-store'],
    body: Buffer.from(JSON.stringify(body)),
  };
}
