// The head of a streamed answer, as AWS Lambda's HTTP integrations take it: an object with statusCode, headers and cookies, which a
// function hands to awslambda.HttpResponseStream.from(), or which comes as JSON before the body, with eight NUL bytes after it
// (media type application/vnd.awslambda.http-integration-response). Invariant: a head that cannot be sent is a BadResponse that
// names the part. Called by response-stream.ts, and by the form `provided` for what runtimes stream.
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import { addCookies, addHeaders, show, statusOf } from '../../api-gateway.ts';
import { BadResponse } from '../../failure.ts';

export const INTEGRATION_RESPONSE = 'application/vnd.awslambda.http-integration-response';
export const STREAM_TYPE = 'application/octet-stream';
const DELIMITER = Buffer.alloc(8);
const PRELUDE_BYTES_MAX = 1024 * 1024;

export function headOf(metadata: unknown): ResponseMeta {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new BadResponse(`the metadata of its stream is ${show(metadata)}; it must be an object with statusCode, headers and cookies`);
  }
  const { statusCode = 200, headers, multiValueHeaders, cookies } = metadata as Record<string, unknown>;
  const flat: string[] = [];
  addHeaders(flat, 'headers', headers);
  addHeaders(flat, 'multiValueHeaders', multiValueHeaders);
  addCookies(flat, cookies);
  if (!flat.some((text, i) => i % 2 === 0 && text.toLowerCase() === 'content-type')) flat.push('content-type', STREAM_TYPE);
  return { status: statusOf(statusCode), headers: flat };
}

/** Takes the bytes of a stream until the head is complete. */
export class Prelude {
  #bytes = Buffer.alloc(0);

  /** undefined: more is needed. `rest` is what came of the body. */
  push(chunk: Uint8Array): { head: ResponseMeta; rest: Buffer } | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const end = this.#bytes.indexOf(DELIMITER);
    if (end === -1) {
      if (this.#bytes.length > PRELUDE_BYTES_MAX) throw this.missing();
      return undefined;
    }
    const rest = this.#bytes.subarray(end + DELIMITER.length);
    const text = this.#bytes.toString('utf8', 0, end);
    try {
      return { head: headOf(JSON.parse(text)), rest };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new BadResponse(`its stream begins with ${show(text)}, which is not the JSON of its status and headers: ${error.message}`);
    }
  }

  missing(): BadResponse {
    return new BadResponse(
      `its stream has the media type ${INTEGRATION_RESPONSE} but does not begin with JSON and eight NUL bytes within ${PRELUDE_BYTES_MAX} bytes`,
    );
  }
}
