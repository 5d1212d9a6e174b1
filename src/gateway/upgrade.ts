// A connection that asks for another protocol (WebSocket, RFC 6455, or any other: RFC 9110, section 7.8), as the sink of one
// call: its handshake goes to the program as it is, and with the answer 101 the bytes of both sides are the two bodies of the
// call, under the credit of any body.
//
//   asked ──101──▶ carrying ──either side ends, time-out, drain──▶ over
//     └─any other answer, error──▶ answered as a request is (exchange.ts), the connection ends with it
//
// Invariant: at most CREDIT_WINDOW bytes are held in this process in either direction; nothing is written to the client before
// the answer's head has been checked by node:http. Made by accept.ts.
import { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Call, CallSink } from '../functions/call.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { FunctionRuntime } from '../protocol/settings.ts';
import { Exchange } from './exchange.ts';
import { respondError, upgradeHeaders } from './respond.ts';
import type { RouteResult, Routed } from './route.ts';

/** Bytes that a client may send before the connection carries them. It has no business to: the answer may be another one. */
const EARLY_BYTES_MAX = 64 * 1024;
/** A connection that was ended here is cut when the client does not end it as well. */
const CLOSE_WITHIN_MS = 2_000;
/** Whose programs speak for themselves on a connection. */
const RUNTIMES: readonly FunctionRuntime[] = ['web', 'bun', 'deno'];
/** What asks for it without meaning it: clients that would speak HTTP/2, or TLS, if this were the place. Answered as if they did not ask. */
const IGNORED = /^(?:h2c|tls\/.*|http\/.*)$/i;

/** The protocol that a request asks for, if it is one that a function could speak. */
export function protocolOf(request: IncomingMessage): string | undefined {
  const { upgrade, 'content-length': length, 'transfer-encoding': coding } = request.headers;
  const bodied = coding !== undefined || (length !== undefined && length !== '0');
  return upgrade === undefined || IGNORED.test(upgrade) || bodied ? undefined : upgrade;
}

export function takesUpgrades(runtime: FunctionRuntime): boolean {
  return RUNTIMES.includes(runtime);
}

/** Where such a request goes, or why it goes nowhere. */
export function upgradeTarget(routed: RouteResult, protocol: string): Routed | VirgaError {
  if (routed.kind === 'failed') return routed.error;
  const what = `connections of the protocol '${protocol.slice(0, 50)}'`;
  if (routed.kind !== 'found') return new VirgaError('upgrade_not_supported', `OPTIONS begins no ${what}`);
  if (routed.to.version === undefined)
    return new VirgaError('upgrade_not_supported', `the route ${routed.route} leads to no function, and takes no ${what}`);
  const { function: fn, settings } = routed.to.version;
  const taken = routed.stages?.upgrade !== undefined && protocol.toLowerCase() === 'websocket';
  if (taken || takesUpgrades(settings.runtime)) return routed;
  return new VirgaError(
    'upgrade_not_supported',
    `function '${fn}' cannot take ${what}: its runtime is ${settings.runtime}, and only functions of ${RUNTIMES.join(', ')} can; a route with \`websocket\` in virga.yaml takes WebSockets for any function`,
  );
}

export class UpgradeExchange implements CallSink {
  readonly request: IncomingMessage;
  #response: ServerResponse;
  readonly requestId: string;
  readonly sink: CallSink = this;
  readonly heldBytes = 0;
  readonly #socket: Duplex;
  call: Call | undefined;
  #state: 'asked' | 'answered' | 'carrying' | 'over' = 'asked';
  #plain: Exchange | undefined;
  /** What came before it could be passed on. */
  #early: Buffer[];
  #earlyBytes: number;
  #wanted = false;
  #ended = false;
  /** Written to the client's socket, and not taken by it yet. */
  #held = 0;

  constructor(request: IncomingMessage, socket: Duplex, first: Buffer, requestId: string) {
    this.request = request;
    this.requestId = requestId;
    this.#socket = socket;
    this.#early = first.length === 0 ? [] : [first];
    this.#earlyBytes = first.length;
    this.#response = responseOn(request, socket);
    socket.on('error', () => {}); // 'close' follows.
    socket.on('close', () => this.#clientLeft());
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    socket.on('end', () => this.#onEnd());
  }

  /** What it was answered with, 101 if it carries; 499: the client left before. */
  get status(): number {
    return this.#response.headersSent ? this.#response.statusCode : 499;
  }

  /** Nothing more of it: the node stops. */
  drain(error: VirgaError): void {
    if (this.#state !== 'carrying' && this.#state !== 'asked') return;
    const { call } = this;
    if (call !== undefined) {
      call.outcome = error.code;
      call.errorMessage = error.message;
    }
    if (this.#state === 'asked') this.failed(error, false);
    else this.#close();
    call?.abandon();
  }

  close(): void {
    this.#socket.destroy();
  }

  bodyWanted(call: Call): void {
    this.call = call;
    this.#wanted = true;
    if (this.#state === 'carrying') this.#passOn();
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    if (this.#state !== 'asked') return;
    const call = this.call!;
    if (status !== 101) {
      this.#state = 'answered';
      this.#socket.resume();
      this.#plain = new Exchange(this.request, this.#response, this.requestId, 0);
      this.#plain.call = call;
      this.#plain.head(status, headers, body, end);
      return;
    }
    const response = this.#response;
    try {
      response.sendDate = false;
      response.writeHead(101, upgradeHeaders(headers, call, this.requestId));
    } catch (error) {
      const message = `function '${call.request.version.function}' answered with a header that cannot be sent: ${(error as Error).message}`;
      const failure = new VirgaError('function_bad_response', message.slice(0, 500));
      call.outcome = failure.code;
      call.errorMessage = failure.message;
      call.status = failure.status;
      // One that has begun to say 101 says nothing else.
      response.detachSocket(this.#socket as never);
      this.#response = responseOn(this.request, this.#socket);
      this.failed(failure, false);
      if (!end) call.abandon();
      return;
    }
    response.flushHeaders();
    response.detachSocket(this.#socket as never);
    this.#state = 'carrying';
    this.body(body, end);
    if (this.#wanted) this.#passOn();
  }

  body(chunk: Buffer, end: boolean): void {
    if (this.#plain !== undefined) return this.#plain.body(chunk, end);
    if (this.#state !== 'carrying') return;
    if (chunk.length > 0) this.#write(chunk);
    if (end) this.#close();
  }

  failed(error: VirgaError, headSent: boolean): void {
    if (this.#plain !== undefined) return this.#plain.failed(error, headSent);
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#early = [];
    this.#socket.resume();
    if (headSent) this.#socket.destroy();
    else
      respondError(this.#response, error, {
        requestId: this.requestId,
        close: true,
        ...(this.call === undefined ? {} : { call: this.call }),
      });
  }

  /** The client is to close as well: what it still sends is read and dropped, so that it can read what was sent. */
  #close(): void {
    this.#state = 'over';
    const socket = this.#socket;
    socket.end();
    socket.resume();
    setTimeout(() => socket.destroy(), CLOSE_WITHIN_MS).unref();
  }

  #write(chunk: Buffer): void {
    if (this.#socket.write(chunk)) {
      this.call?.consumed(chunk.length);
      return;
    }
    if (this.#held === 0) {
      this.#socket.once('drain', () => {
        const bytes = this.#held;
        this.#held = 0;
        this.call?.consumed(bytes);
      });
    }
    this.#held += chunk.length;
  }

  #onBytes(chunk: Buffer): void {
    if (this.#state === 'over' || this.#state === 'answered') return;
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#state === 'carrying' && this.#wanted) this.#passOn();
    else if (this.#earlyBytes >= EARLY_BYTES_MAX) this.#socket.pause();
  }

  #passOn(): void {
    const chunks = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    if (chunks.length > 0) this.#wanted = this.call!.writeBody(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks), false);
    if (!this.#wanted) this.#socket.pause();
    else if (this.#ended) {
      this.#ended = false;
      this.call!.writeBody(Buffer.alloc(0), true);
    } else this.#socket.resume();
  }

  #onEnd(): void {
    if (this.#state === 'asked') return this.#clientLeft();
    this.#ended = true;
    if (this.#state === 'carrying' && this.#wanted) this.#passOn();
  }

  #clientLeft(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#early = [];
    this.#socket.destroy();
    this.call?.abandon();
  }
}

/** node:http has let go of the connection: a response of its own on it, after which it ends. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as never);
  // What node:http does for connections that it serves itself.
  socket.on('drain', () => response.emit('drain'));
  response.on('finish', () => {
    if (response.statusCode !== 101) socket.end();
  });
  return response;
}
