// HTTP/1.1 as far as a program in the same sandbox needs it to talk with the guest: requests one after the other on a connection,
// bodies of a known length or in chunks with trailers, answers of a known length. Invariants: a body is read only as fast as its
// reader takes it; the next request of a connection is looked at once this one is answered and read; what is no HTTP is answered
// 400 and ends the connection. Used by runtime-api.ts.
//
// Why not node:http: a call of a function costs two requests here, each of which takes node:http 28 µs of CPU, and this 8.
// `provided` was then 2.5 to 4 times as slow as a handler in the guest itself.
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** The causes of an error may come as a header of up to 1 MiB (Lambda-Runtime-Function-XRay-Error-Cause). */
const HEAD_BYTES_MAX = 2 * 1024 * 1024;
/** Bytes of further requests that wait in memory while one is being answered. */
const AHEAD_BYTES_MAX = 64 * 1024;
const READ_BYTES = 64 * 1024;
const LINE_BYTES_MAX = 64 * 1024;
/** Of the headers of one request, kept to be compared with the next. */
const KEPT_LENGTH_MAX = 4 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const REASONS: Record<number, string> = { 200: 'OK', 202: 'Accepted', 400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found' };

export type Headers = Record<string, string>;

export interface BodyReader {
  /** A promise: no more before it is settled. */
  chunk(chunk: Buffer): Promise<void> | undefined;
  end(trailers: Headers): void;
  /** The connection ended in the middle of it. */
  broken(): void;
}

/** `length`: bytes of the body. */
type Send = (exchange: Exchange, answer: { head: string; body: string | Buffer; length: number }) => void;

/** One request and its answer. */
export class Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Headers>;
  /** Without one, the body is read and thrown away. */
  reader: BodyReader | undefined;
  /** The connection ended before the answer was out. */
  onGone: ((exchange: Exchange) => void) | undefined;
  answered = false;
  readonly #send: Send;

  constructor(method: string, path: string, headers: Readonly<Headers>, send: Send) {
    this.method = method;
    this.path = path;
    this.headers = headers;
    this.#send = send;
  }

  /** `headers`: whole lines, each with its CRLF; the length of the body is added. */
  answer(status: number, headers: string, body: string | Buffer): void {
    if (this.answered) return;
    this.answered = true;
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const head = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n${headers}Content-Length: ${length}\r\n`;
    this.#send(this, { head, body, length });
  }
}

type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers';

export class HttpConnection {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #onExchange: (exchange: Exchange) => void;
  #bytes: Buffer | undefined;
  #state: State = 'head';
  /** Of the body, or of this chunk of it. */
  #left = 0;
  #trailers: Headers = {};
  /** Of the last GET, and of the last POST. */
  readonly #before: ({ lines: string; headers: Readonly<Headers> } | undefined)[] = [undefined, undefined];
  #exchange: Exchange | undefined;
  #bodyEnded = true;
  /** The reader is not ready for more. */
  #held = false;
  #last = false;

  constructor(socket: Socket, onExchange: (exchange: Exchange) => void) {
    this.#onExchange = onExchange;
    this.#socket = reading(socket, (chunk) => {
      this.#bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#advance();
    });
    this.#fd = (Reflect.get(this.#socket, '_handle') as { fd?: number } | null)?.fd ?? -1;
    // 'close' follows.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#onClose());
    this.#socket.resume();
  }

  /** Takes what there is, as far as it goes. */
  #advance(): void {
    try {
      while (this.#bytes !== undefined && !this.#held && this.#step());
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.#refuse(error.message);
    }
    if (this.#bytes !== undefined && this.#bytes.length > AHEAD_BYTES_MAX && this.#exchange !== undefined && this.#state === 'head')
      this.#socket.pause();
  }

  /** False: more bytes are needed, or the end of this exchange. */
  #step(): boolean {
    switch (this.#state) {
      case 'head':
        return this.#exchange === undefined && this.#takeHead();
      case 'length':
      case 'chunk':
        return this.#takeBody();
      case 'chunk-size':
        return this.#takeLine((line) => {
          this.#left = lengthOf(line.split(';', 1)[0]!.trim(), 16);
          this.#state = this.#left === 0 ? 'trailers' : 'chunk';
        });
      case 'chunk-end':
        return this.#takeLine((line) => {
          if (line !== '') throw new BadRequest('a chunk is longer than its size');
          this.#state = 'chunk-size';
        });
      case 'trailers':
        return this.#takeLine((line) => {
          if (line === '') this.#endBody();
          else addHeader(this.#trailers, line);
        });
    }
  }

  #takeHead(): boolean {
    const bytes = this.#bytes!;
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) {
      if (bytes.length > HEAD_BYTES_MAX) throw new BadRequest(`its head has more than ${HEAD_BYTES_MAX} bytes`);
      return false;
    }
    const head = bytes.toString('latin1', 0, end);
    this.#drop(end + HEAD_END.length);
    const firstEnd = head.indexOf('\r\n');
    const first = firstEnd === -1 ? head : head.slice(0, firstEnd);
    const [method = '', target = '', version = ''] = first.split(' ');
    if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') throw new BadRequest(`it begins with '${first.slice(0, 80)}'`);
    const headers = this.#headersOf(method, firstEnd === -1 ? '' : head.slice(firstEnd + 2));
    const { connection } = headers;
    this.#last = version === 'HTTP/1.0' || (connection !== undefined && /\bclose\b/i.test(connection));
    this.#beginBody(headers);
    const path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/]*/i, '');
    this.#exchange = new Exchange(method, path, headers, this.#send);
    this.#onExchange(this.#exchange);
    if (this.#state === 'length' && this.#left === 0) this.#endBody();
    else if (headers['expect'] !== undefined && this.#bytes === undefined && !this.#exchange?.answered) this.#socket.write(CONTINUE);
    return true;
  }

  /** What a program asks for and how it answers differ by the first line alone: headers that were read before are not read again. */
  #headersOf(method: string, lines: string): Readonly<Headers> {
    const at = method === 'POST' ? 1 : 0;
    const before = this.#before[at];
    if (before?.lines === lines) return before.headers;
    const headers: Headers = {};
    if (lines !== '') for (const line of lines.split('\r\n')) addHeader(headers, line);
    if (lines.length <= KEPT_LENGTH_MAX) this.#before[at] = { lines, headers };
    return headers;
  }

  #beginBody(headers: Readonly<Headers>): void {
    const { 'transfer-encoding': encoding, 'content-length': length } = headers;
    this.#bodyEnded = false;
    this.#trailers = {};
    if (encoding !== undefined) {
      if (encoding.toLowerCase() !== 'chunked') throw new BadRequest(`its transfer-encoding is '${encoding}'; there is chunked`);
      this.#state = 'chunk-size';
    } else {
      this.#state = 'length';
      this.#left = length === undefined ? 0 : lengthOf(length, 10);
    }
  }

  #takeBody(): boolean {
    const taken = Math.min(this.#left, this.#bytes!.length);
    const chunk = this.#bytes!.subarray(0, taken);
    this.#drop(taken);
    this.#left -= taken;
    const wait = this.#exchange!.reader?.chunk(chunk);
    if (this.#left === 0) {
      if (this.#state === 'chunk') this.#state = 'chunk-end';
      else if (wait === undefined) this.#endBody();
    }
    if (wait !== undefined) this.#holdUntil(wait);
    return true;
  }

  #holdUntil(wait: Promise<void>): void {
    this.#held = true;
    this.#socket.pause();
    void wait.finally(() => {
      this.#held = false;
      if (this.#state === 'length' && this.#left === 0 && !this.#bodyEnded) this.#endBody();
      this.#advance();
      if (!this.#held) this.#socket.resume();
    });
  }

  #takeLine(take: (line: string) => void): boolean {
    const bytes = this.#bytes!;
    const end = bytes.indexOf('\r\n');
    if (end === -1) {
      if (bytes.length > LINE_BYTES_MAX) throw new BadRequest(`a line of its body has more than ${LINE_BYTES_MAX} bytes`);
      return false;
    }
    this.#drop(end + 2);
    take(bytes.toString('latin1', 0, end));
    return true;
  }

  #drop(count: number): void {
    this.#bytes = count === this.#bytes!.length ? undefined : this.#bytes!.subarray(count);
  }

  #endBody(): void {
    this.#bodyEnded = true;
    this.#state = 'head';
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.reader?.end(this.#trailers);
    this.#settle(exchange);
  }

  readonly #send: Send = (exchange, { head, body, length }) => {
    const start = this.#last ? `${head}Connection: close\r\n\r\n` : `${head}\r\n`;
    // As a text it needs no memory of its own on the way to the kernel; its head is ASCII then.
    const whole = typeof body === 'string' ? start + body : Buffer.concat([Buffer.from(start, 'latin1'), body]);
    const written = this.#socket.writableLength === 0 ? this.#writeNow(whole) : 0;
    if (written === start.length + length) exchange.onGone = undefined;
    else this.#sendLater(exchange, (typeof whole === 'string' ? Buffer.from(whole) : whole).subarray(written));
    this.#settle(exchange);
  };

  #sendLater(exchange: Exchange, bytes: Buffer): void {
    this.#socket.write(bytes, (error) => {
      if (error !== undefined && error !== null) exchange.onGone?.(exchange);
      exchange.onGone = undefined;
    });
  }

  /** What the kernel takes at once; answers how many bytes that were. */
  #writeNow(whole: string | Buffer): number {
    if (this.#fd < 0 || this.#socket.destroyed) return 0;
    try {
      return typeof whole === 'string' ? writeSync(this.#fd, whole) : writeSync(this.#fd, whole);
    } catch {
      // It takes nothing now, or never again: the socket finds out.
      return 0;
    }
  }

  /** Answered and read: on to the next. */
  #settle(exchange: Exchange): void {
    if (!exchange.answered || !this.#bodyEnded || this.#exchange !== exchange) return;
    this.#exchange = undefined;
    if (this.#last) return void this.#socket.end();
    this.#socket.resume();
    // What came ahead is looked at once this one's caller is done.
    if (this.#bytes !== undefined) queueMicrotask(() => this.#advance());
  }

  #refuse(message: string): void {
    const body = Buffer.from(`${JSON.stringify({ errorMessage: `This is no HTTP request: ${message}`, errorType: 'BadRequest' })}\n`);
    this.#bytes = undefined;
    this.#socket.end(
      `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body.toString('latin1')}`,
    );
  }

  #onClose(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#bytes = undefined;
    if (exchange === undefined) return;
    if (!this.#bodyEnded) exchange.reader?.broken();
    exchange.onGone?.(exchange);
    exchange.onGone = undefined;
  }
}

/**
 * Reads into one buffer, as the channel does: Node's way, a new one of 64 KiB for each read, is 18 µs of garbage collection for
 * each call of a function. Only the constructor of a socket takes such a buffer, so the connection moves to a socket of our own.
 */
function reading(accepted: Socket, onBytes: (chunk: Buffer) => void): Socket {
  const handle: unknown = Reflect.get(accepted, '_handle');
  Reflect.set(accepted, '_handle', null);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (bytes: number): boolean => {
    onBytes(Buffer.from(buffer.subarray(0, bytes)));
    return true;
  };
  return new Socket({ handle, readable: true, writable: true, onread: { buffer, callback } } as ConstructorParameters<typeof Socket>[0]);
}

class BadRequest extends Error {}

function addHeader(headers: Headers, line: string): void {
  const colon = line.indexOf(':');
  if (colon < 1) throw new BadRequest(`it has a header '${line.slice(0, 80)}'`);
  const name = line.slice(0, colon).toLowerCase();
  const value = line.slice(colon + 1).trim();
  headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
}

function lengthOf(text: string, base: 10 | 16): number {
  const valid = base === 10 ? /^\d{1,15}$/ : /^[0-9a-f]{1,12}$/i;
  if (!valid.test(text)) throw new BadRequest(`it has a length '${text.slice(0, 40)}'`);
  return Number.parseInt(text, base);
}
