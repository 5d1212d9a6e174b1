// The stream that a handler given to awslambda.streamifyResponse() writes its answer to: each chunk goes to the client as it
// comes, no faster than the client reads. Until the first chunk the handler may say what the answer's head is, by
// HttpResponseStream.from() or, as Lambda's own runtime puts it on the wire, by bytes before the body (integration-response.ts).
// Invariant: `done` settles once: when the answer is complete, when the client has left, or with what went wrong.
// Made by streaming-call.ts, for each invocation.
import { Writable } from 'node:stream';
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import type { Answer } from '../../answer.ts';
import { show } from '../../api-gateway.ts';
import type { EventLoop } from './event-loop.ts';
import { INTEGRATION_RESPONSE, Prelude, STREAM_TYPE, headOf } from './integration-response.ts';

type Done = (error?: Error | null) => void;

export interface ResponseStreamParts {
  answer: Answer;
  loop: EventLoop;
  /** HEAD: the body is not wanted. */
  headOnly: boolean;
  highWaterMark: number | undefined;
}

export class ResponseStream extends Writable {
  readonly done: Promise<void>;
  readonly #answer: Answer;
  readonly #loop: EventLoop;
  readonly #headOnly: boolean;
  #head: ResponseMeta | undefined;
  #prelude: Prelude | undefined;
  #type = STREAM_TYPE;
  #began = false;

  /** `awslambda.HttpResponseStream.from`. */
  static from(stream: unknown, metadata: unknown): ResponseStream {
    if (!(stream instanceof ResponseStream))
      throw new TypeError(
        `awslambda.HttpResponseStream.from() takes the responseStream that the handler got; it was given ${show(stream)}`,
      );
    stream.#setMetadata(metadata);
    return stream;
  }

  constructor({ answer, loop, headOnly, highWaterMark }: ResponseStreamParts) {
    super({ decodeStrings: true, ...(highWaterMark === undefined ? {} : { highWaterMark }) });
    this.#answer = answer;
    this.#loop = loop;
    this.#headOnly = headOnly;
    this.done = new Promise((resolve, reject) => {
      this.on('close', () => {
        if (this.writableFinished || answer.closed) resolve();
        else reject(this.errored ?? new Error('Response stream is not finished.'));
      });
    });
    // What is wrong with it is the invocation's failure; it is no reason for the process to end.
    this.on('error', () => {});
    this.done.catch(() => {});
    answer.onCancel = () => this.destroy();
  }

  setContentType(type: string): void {
    if (this.#began) throw new Error('Cannot set content-type, too late.');
    this.#type = type;
    this.#prelude = type === INTEGRATION_RESPONSE ? new Prelude() : undefined;
  }

  #setMetadata(metadata: unknown): void {
    if (this.#began) throw new Error('HttpResponseStream.from() came after the first chunk: the head of the answer is sent already.');
    this.#head = headOf(metadata);
  }

  /** Whatever is neither text nor bytes is sent as JSON, as Lambda does. */
  override write(chunk: unknown, ...rest: unknown[]): boolean {
    const whole = typeof chunk === 'string' || ArrayBuffer.isView(chunk) ? chunk : JSON.stringify(chunk);
    return (super.write as (...args: unknown[]) => boolean).call(this, whole, ...rest);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    try {
      const wait = this.#send(chunk);
      if (wait === undefined) return done();
      this.#loop.hold();
      void this.#afterwards(wait, done);
    } catch (error) {
      done(error as Error);
    }
  }

  async #afterwards(wait: Promise<void>, done: Done): Promise<void> {
    let failure: unknown;
    try {
      await wait;
    } catch (error) {
      failure = error;
    }
    this.#loop.release();
    done(failure as Error | undefined);
  }

  override _final(done: Done): void {
    try {
      if (!this.#began) {
        if (this.#prelude !== undefined && this.#head === undefined) throw this.#prelude.missing();
        this.#begin();
      }
      if (!this.#bodiless) this.#answer.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #send(chunk: Buffer): Promise<void> | undefined {
    if (this.#began) return this.#bodiless ? undefined : this.#answer.write(chunk);
    let first = chunk;
    if (this.#prelude !== undefined && this.#head === undefined) {
      const read = this.#prelude.push(chunk);
      if (read === undefined) return undefined;
      this.#head = read.head;
      first = read.rest;
    }
    this.#begin();
    return this.#bodiless ? undefined : this.#answer.write(first);
  }

  get #bodiless(): boolean {
    const status = this.#head?.status;
    return this.#headOnly || status === 204 || status === 304;
  }

  #begin(): void {
    this.#began = true;
    this.#head ??= { status: 200, headers: ['content-type', this.#type] };
    if (this.#bodiless) this.#answer.empty(this.#head);
    else this.#answer.head(this.#head);
  }
}
