// An HTTP exchange of Node's own making without a network: a real IncomingMessage and ServerResponse for an invocation, given
// to a listener as `http.Server` would give them. What the ServerResponse writes (a head, then the bytes of the body) is read
// back here and becomes the invocation's answer. Invariant: all rules of HTTP stay Node's (lengths, HEAD, 204, streams,
// backpressure); the answer's bytes move only as fast as the host takes them. Used by the forms whose code expects Node's objects.
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { HttpRequestMeta, ResponseMeta } from '../../../protocol/frames.ts';
import type { Answer } from '../answer.ts';
import { BadResponse } from '../failure.ts';
import type { RequestBody } from '../request-body.ts';

export type RequestListener = (request: IncomingMessage, response: ServerResponse) => void;

/** Where an answer goes: the invocation's, or somewhere that looks at it first. */
export type Sink = Pick<Answer, 'closed' | 'onCancel' | 'head' | 'empty' | 'write' | 'end'>;

export interface Incoming {
  meta: Pick<HttpRequestMeta, 'method' | 'url' | 'headers' | 'client'>;
  body: Pick<RequestBody, 'whole' | 'toStream'>;
}

const HEAD_END = '\r\n\r\n';
/** Between a server and its peer alone (RFC 9110, section 7.6.1); the edge has its own. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']);

/** A body that is there already. */
export function wholeBody(whole: Buffer): Pick<RequestBody, 'whole' | 'toStream' | 'readAll'> {
  return { whole, readAll: () => Promise.resolve(whole), toStream: () => ReadableStream.from([new Uint8Array(whole)]) };
}

/** Resolves when the response is complete. Rejects when it breaks off. */
export function exchange(listener: RequestListener, { incoming, answer }: { incoming: Incoming; answer: Sink }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = new AnswerSocket(answer, incoming.meta);
  const request = makeRequest(socket, incoming);
  const response = makeResponse(request);
  response.assignSocket(socket as unknown as Socket);
  // What `http.Server` does for the responses of its connections.
  socket.on('drain', () => {
    if (!response.writableNeedDrain) return;
    Object.assign(response, { [needDrainOf(response)]: false });
    response.emit('drain');
  });
  response.once('finish', () => {
    answer.onCancel = undefined;
    try {
      socket.finish();
      resolve();
    } catch (error) {
      reject(error);
    }
    response.detachSocket(socket as unknown as Socket);
    process.nextTick(closed, response);
  });
  response.once('close', () => {
    if (response.writableFinished) return;
    answer.onCancel = undefined;
    reject(socket.errored ?? new BadResponse('its response was destroyed before it was complete'));
  });
  answer.onCancel = () => {
    reject(new DOMException('the client left', 'AbortError'));
    request.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
    socket.destroy();
  };
  if (answer.closed) answer.onCancel();
  else listener(request, response);
  return promise;
}

function closed(response: ServerResponse): void {
  response.destroyed = true;
  response.emit('close');
}

/** How Node's own parser fills a request: `headers`, `headersDistinct` and `rawHeaders` follow from it. */
const ADD_HEADERS = '_addHeaderLines';
interface HeaderLines {
  [ADD_HEADERS](flat: string[], count: number): void;
}

/**
 * The request as a property of its own tells how it is read: Express gives requests and responses another prototype, and with
 * it goes what a subclass would override.
 */
function makeRequest(socket: AnswerSocket, { meta, body }: Incoming): IncomingMessage {
  const request = new IncomingMessage(socket as unknown as Socket);
  request.httpVersion = '1.1';
  request.httpVersionMajor = 1;
  request.httpVersionMinor = 1;
  request.method = meta.method;
  request.url = meta.url.slice(meta.url.indexOf('/', meta.url.indexOf('://') + 3));
  // A body without a length is what `transfer-encoding` tells; the edge took that off, as every hop does.
  const headers = saysLength(meta.headers) || body.whole?.length === 0 ? meta.headers : [...meta.headers, 'transfer-encoding', 'chunked'];
  (request as unknown as HeaderLines)[ADD_HEADERS](headers, headers.length);

  const end = (): void => {
    request.complete = true;
    request.push(null);
  };
  const begin: (size: number) => void = Reflect.get(IncomingMessage.prototype, '_read');
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const read = (size: number): void => {
    // Node's own marks the beginning of the flow; its socket has nothing to flow.
    begin.call(request, size);
    if (reader === undefined) {
      const { whole } = body;
      if (whole !== undefined) {
        if (whole.length > 0) request.push(whole);
        return end();
      }
      reader = body.toStream().getReader();
    }
    reader.read().then(
      ({ done, value }) => {
        if (done) end();
        else request.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      },
      (error: unknown) => request.destroy(error as Error),
    );
  };
  return Object.assign(request, { _read: read });
}

function saysLength(headers: readonly string[]): boolean {
  return headers.some((text, index) => index % 2 === 0 && text.toLowerCase() === 'content-length');
}

function makeResponse(request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  // The end of the body is told by the end of the stream; the edge frames it for the client.
  response.shouldKeepAlive = false;
  response.useChunkedEncodingByDefault = false;
  response.sendDate = false;
  // A function that sets `transfer-encoding: chunked` itself does not make Node frame the bytes either.
  Object.defineProperty(response, 'chunkedEncoding', { get: () => false, set: () => {} });
  return response;
}

let needDrain: symbol | undefined;

/** Node's own name for `writableNeedDrain`, which only it can set. */
function needDrainOf(response: ServerResponse): symbol {
  needDrain ??= Object.getOwnPropertySymbols(response).find(({ description }) => description === 'kNeedDrain');
  return needDrain ?? Symbol('none');
}

/** What the response takes for the client's connection. */
class AnswerSocket extends Writable {
  readonly remoteAddress: string;
  readonly remoteFamily: string;
  readonly remotePort = 0;
  readonly localAddress = '127.0.0.1';
  readonly localPort = 0;
  readonly encrypted: boolean;
  readonly connecting = false;
  /** There is more to read as long as it is there: what asks it means the request. */
  readonly readable = true;
  readonly #answer: Sink;
  readonly #method: string;
  #head = '';
  #state: 'head' | 'body' | 'bodiless' = 'head';

  constructor(answer: Sink, meta: Incoming['meta']) {
    super();
    this.#answer = answer;
    this.#method = meta.method;
    this.remoteAddress = meta.client;
    this.remoteFamily = meta.client.includes(':') ? 'IPv6' : 'IPv4';
    this.encrypted = meta.url.startsWith('https:');
    // It is destroyed with the exchange; whoever waits for the response hears of it there.
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    try {
      const rest = this.#state === 'head' ? this.#readHead(chunk) : chunk;
      const wait = rest === undefined || this.#state !== 'body' ? undefined : this.#answer.write(rest);
      if (wait === undefined) done();
      // oxlint-disable-next-line promise/no-callback-in-promise -- that is how a Writable learns of it
      else wait.then(() => done(), done);
    } catch (error) {
      done(error as Error);
    }
  }

  finish(): void {
    if (this.#state === 'body') this.#answer.end();
  }

  /** The head comes in one piece or several; what follows it is the body's. */
  #readHead(chunk: Buffer): Buffer | undefined {
    const before = this.#head.length;
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1) return undefined;
    const meta = headOf(this.#head.slice(0, end));
    const rest = chunk.subarray(end + HEAD_END.length - before);
    this.#head = '';
    // 100 Continue, 103 Early Hints: the edge sends its own.
    if (meta.status < 200) return rest.length === 0 ? undefined : this.#readHead(rest);
    const bodiless = this.#method === 'HEAD' || meta.status === 204 || meta.status === 304;
    this.#state = bodiless ? 'bodiless' : 'body';
    if (bodiless) this.#answer.empty(meta);
    else this.#answer.head(meta);
    return rest;
  }

  // What code asks of a connection; there is none to tune, and nothing to be read from it.
  resume(): this {
    return this;
  }
  pause(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  address(): object {
    return {};
  }
  destroySoon(): void {
    this.destroy();
  }
}

function headOf(text: string): ResponseMeta {
  const [status = '', ...lines] = text.split('\r\n');
  const headers: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (!OF_THE_CONNECTION.has(name.toLowerCase())) headers.push(name, line.slice(colon + 1).trim());
  }
  return { status: Number(status.slice(9, 12)), headers };
}
