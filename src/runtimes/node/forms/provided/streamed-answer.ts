// The streamed answer of a program: the body of its POST …/response as it comes. With the content type
// application/vnd.awslambda.http-integration-response it begins with a prelude: JSON with statusCode, headers and cookies, then
// eight NUL bytes. Its trailers may say that it failed after all. Invariant: it is read as fast as the host takes it; when nobody
// wants it any more it is read to its end and thrown away, since the program goes on as on AWS. Called by runtime-api.ts.
import type { IncomingMessage } from 'node:http';
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import { addCookies, addHeaders, statusOf } from '../../api-gateway.ts';
import { BadResponse, toGuestError } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { programError } from './program-error.ts';

const WITH_PRELUDE = 'application/vnd.awslambda.http-integration-response';
const OCTETS = 'application/octet-stream';
const DELIMITER = Buffer.alloc(8);
const PRELUDE_BYTES_MAX = 1024 * 1024;
const ERROR_TYPE = 'lambda-runtime-function-error-type';
const ERROR_BODY = 'lambda-runtime-function-error-body';

/** Sends the body; what is left to do is the end, or the failure. */
export async function streamAnswer(invocation: Invocation, request: IncomingMessage): Promise<(() => Promise<void>) | 'truncated'> {
  const { meta, answer } = invocation;
  const type = request.headers['content-type'] ?? OCTETS;
  const prelude = meta.kind === 'http' && type.split(';', 1)[0]!.trim().toLowerCase() === WITH_PRELUDE ? new Prelude() : undefined;
  let begun = false;
  let bodiless = false;
  const begin = (head: ResponseMeta): void => {
    begun = true;
    bodiless = meta.kind === 'http' && (meta.method === 'HEAD' || head.status === 204 || head.status === 304);
    if (bodiless) answer.empty(head);
    else answer.head(head);
  };
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      let content = chunk;
      if (!begun) {
        if (prelude === undefined) begin({ status: 200, headers: ['content-type', type] });
        else {
          const rest = prelude.push(chunk);
          if (rest === undefined) continue;
          begin(prelude.head());
          content = rest;
        }
      }
      if (bodiless || answer.closed) continue;
      const wait = answer.write(content);
      if (wait !== undefined) await wait;
    }
  } catch (error) {
    if (!request.complete && !(error instanceof BadResponse)) return 'truncated';
    request.resume();
    return async () => answer.fail(toGuestError(error));
  }
  const { [ERROR_TYPE]: errorType, [ERROR_BODY]: errorBody } = request.trailers;
  if (errorType !== undefined || errorBody !== undefined)
    return async () => answer.fail(programError(Buffer.from(errorBody ?? '', 'base64'), errorType));
  return async () => {
    if (bodiless) return;
    if (!begun) {
      if (prelude !== undefined) throw new BadResponse(`its stream ended before the eight NUL bytes that follow its prelude`);
      begin({ status: 200, headers: ['content-type', type] });
    }
    answer.end();
  };
}

class Prelude {
  #bytes = Buffer.alloc(0);
  #end = -1;

  /** What follows it; undefined: it is not complete. */
  push(chunk: Buffer): Buffer | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#end = this.#bytes.indexOf(DELIMITER);
    if (this.#end !== -1) return this.#bytes.subarray(this.#end + DELIMITER.length);
    if (this.#bytes.length > PRELUDE_BYTES_MAX)
      throw new BadResponse(`the first ${PRELUDE_BYTES_MAX} bytes of its stream hold no eight NUL bytes, which end its prelude`);
    return undefined;
  }

  head(): ResponseMeta {
    const text = this.#bytes.toString('utf8', 0, this.#end);
    let value: unknown;
    try {
      value = JSON.parse(text === '' ? '{}' : text);
    } catch (error) {
      throw new BadResponse(`the prelude of its stream is not JSON: ${(error as Error).message}`);
    }
    const { statusCode = 200, headers, cookies } = (value ?? {}) as Record<string, unknown>;
    const flat: string[] = [];
    addHeaders(flat, 'headers', headers);
    addCookies(flat, cookies);
    if (!flat.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type')) flat.push('content-type', OCTETS);
    return { status: statusOf(statusCode), headers: flat };
  }
}
