// The streamed answer of a program: the body of its POST …/response as it comes. With the content type
// application/vnd.awslambda.http-integration-response it begins with a prelude: JSON with statusCode, headers and cookies, then
// eight NUL bytes. Its trailers may say that it failed after all. Invariant: it is read as fast as the host takes it; when nobody
// wants it any more it is read to its end and thrown away, since the program goes on as on AWS. Made by runtime-api.ts.
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import type { Invocation } from '../../invocation.ts';
import { INTEGRATION_RESPONSE, Prelude, STREAM_TYPE } from '../lambda/integration-response.ts';
import type { BodyReader, Headers } from './http-exchange.ts';
import { programError } from './program-error.ts';

const ERROR_TYPE = 'lambda-runtime-function-error-type';
const ERROR_BODY = 'lambda-runtime-function-error-body';

export interface StreamEvents {
  /** All of it is there: what is left to do is this. */
  ended(finish: () => Promise<void>): void;
  broken(): void;
}

export class StreamedAnswer implements BodyReader {
  readonly #invocation: Invocation;
  readonly #events: StreamEvents;
  readonly #type: string;
  /** Until its end is found. */
  #prelude: Prelude | undefined;
  #begun = false;
  #bodiless = false;
  #failure: unknown;

  constructor(invocation: Invocation, type: string | undefined, events: StreamEvents) {
    this.#invocation = invocation;
    this.#events = events;
    this.#type = type ?? STREAM_TYPE;
    const media = this.#type.split(';', 1)[0]!.trim().toLowerCase();
    if (invocation.meta.kind === 'http' && media === INTEGRATION_RESPONSE) this.#prelude = new Prelude();
  }

  chunk(chunk: Buffer): Promise<void> | undefined {
    const { answer } = this.#invocation;
    if (this.#failure !== undefined || answer.closed) return undefined;
    try {
      const content = this.#begun ? chunk : this.#beginWith(chunk);
      return content === undefined || this.#bodiless ? undefined : answer.write(content);
    } catch (error) {
      this.#failure = error;
      return undefined;
    }
  }

  end(trailers: Headers): void {
    const { [ERROR_TYPE]: errorType, [ERROR_BODY]: errorBody } = trailers;
    this.#events.ended(async () => {
      const { answer } = this.#invocation;
      if (this.#failure !== undefined) throw this.#failure;
      if (errorType !== undefined || errorBody !== undefined)
        return answer.fail(programError(Buffer.from(errorBody ?? '', 'base64'), errorType));
      if (this.#prelude !== undefined) throw this.#prelude.missing();
      if (!this.#begun) this.#begin(this.#plainHead());
      if (!this.#bodiless) answer.end();
    });
  }

  broken(): void {
    this.#events.broken();
  }

  /** What of the chunk is body; undefined: nothing yet. */
  #beginWith(chunk: Buffer): Buffer | undefined {
    if (this.#prelude === undefined) {
      this.#begin(this.#plainHead());
      return chunk;
    }
    const complete = this.#prelude.push(chunk);
    if (complete === undefined) return undefined;
    this.#prelude = undefined;
    this.#begin(complete.head);
    return complete.rest;
  }

  #plainHead(): ResponseMeta {
    return { status: 200, headers: ['content-type', this.#type] };
  }

  #begin(head: ResponseMeta): void {
    const { meta, answer } = this.#invocation;
    this.#begun = true;
    this.#bodiless = meta.kind === 'http' && (meta.method === 'HEAD' || head.status === 204 || head.status === 304);
    if (this.#bodiless) answer.empty(head);
    else answer.head(head);
  }
}
