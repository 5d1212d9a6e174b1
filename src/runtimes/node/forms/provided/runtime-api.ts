// AWS Lambda's Runtime API, version 2018-06-01, as a program in the sandbox calls it over loopback:
//
//   GET  /2018-06-01/runtime/invocation/next            the next invocation; waits for one
//   POST /2018-06-01/runtime/invocation/{id}/response   its answer, whole or streamed
//   POST /2018-06-01/runtime/invocation/{id}/error      it failed
//   POST /2018-06-01/runtime/init/error                 the program cannot begin
//
// Invariant: what is wrong with a call is answered with the status, errorType and errorMessage that AWS gives it (400, 403, 413),
// and an accepted answer (202) is the invocation's only one. A whole answer has at most ANSWER_BYTES_MAX, as at AWS; a streamed
// one is read as fast as the host takes it. Made by provided.ts.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GuestError } from '../../../../protocol/frames.ts';
import { BadResponse, toGuestError } from '../../failure.ts';
import type { Assignment, Assignments } from './assignments.ts';
import { programError } from './program-error.ts';
import { streamAnswer } from './streamed-answer.ts';
import { wholeAnswer } from './whole-answer.ts';

/** 6 MiB and what AWS adds for the envelope. */
export const ANSWER_BYTES_MAX = 6 * 1024 * 1024 + 100;
const ERROR_BYTES_MAX = 1024 * 1024;
/** The causes of an error may come as a header of up to 1 MiB (Lambda-Runtime-Function-XRay-Error-Cause). */
const HEADER_BYTES_MAX = 2 * 1024 * 1024;
/** Where AWS has it; taken only outside of a sandbox with a network of its own. */
const PORT = 9001;
const RUNTIME = '/2018-06-01/runtime/';
const NEXT = `${RUNTIME}invocation/next`;
const INIT_ERROR = `${RUNTIME}init/error`;
const ANSWER = new RegExp(`^${RUNTIME}invocation/([^/]+)/(response|error)$`);
const ERROR_TYPE = 'lambda-runtime-function-error-type';
const RESPONSE_MODE = 'lambda-runtime-function-response-mode';
const ACCEPTED = Buffer.from('{"status":"OK"}\n');
const TOO_LARGE = `Exceeded maximum allowed payload size (${ANSWER_BYTES_MAX} bytes).`;

export interface RuntimeApiEvents {
  /** `next` was called for the first time. */
  begun(): void;
  /** It was not, and will not be. */
  initFailed(error: GuestError): void;
  /** Before the answer of an invocation ends; what the program wrote before has been read. */
  answered(assignment: Assignment): void;
  /** It asked for something that is not there. */
  unknown(call: string): void;
}

export interface RuntimeApiOptions extends RuntimeApiEvents {
  assignments: Assignments;
  /** As in VersionSettings. */
  httpEvent: string | undefined;
}

export class RuntimeApi {
  /** Host and port. */
  readonly address: string;
  readonly #assignments: Assignments;
  readonly #httpEvent: string | undefined;
  readonly #events: RuntimeApiEvents;
  #begun = false;

  static async listen(options: RuntimeApiOptions): Promise<RuntimeApi> {
    // No call has a limit of time here: the engine has one for the invocation.
    const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
    await listenOn(server, PORT).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      return listenOn(server, 0);
    });
    return new RuntimeApi(server, options);
  }

  private constructor(server: Server, options: RuntimeApiOptions) {
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#assignments = options.assignments;
    this.#httpEvent = options.httpEvent;
    this.#events = options;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    response.sendDate = false;
    const { method, url = '' } = request;
    // A program that is gone needs no answer.
    request.on('error', () => {});
    if (method === 'GET' && url === NEXT) return this.#next(response);
    if (method === 'POST') {
      const [, id, kind] = ANSWER.exec(url) ?? [];
      if (id !== undefined) return this.#answer(request, response, { id: decoded(id), kind: kind as 'response' | 'error' });
      if (url === INIT_ERROR) return this.#initError(request, response);
    } else if (method === 'GET' && url === '/ping') return void response.writeHead(200, ['content-type', 'text/plain']).end('pong');
    this.#events.unknown(`${method} ${url}`);
    refuse(request, response, 404, 'NotFound', `Virga has no ${method} ${url}: it serves AWS Lambda's Runtime API 2018-06-01`);
  }

  #next(response: ServerResponse): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#events.begun();
    }
    let taken: Assignment | undefined;
    const leave = this.#assignments.take((assignment) => {
      taken = assignment;
      response.writeHead(200, assignment.headers).end(assignment.body);
    });
    response.on('close', () => {
      leave();
      if (taken !== undefined && !response.writableFinished) this.#assignments.giveBack(taken);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse, { id, kind }: { id: string; kind: 'response' | 'error' }): void {
    const assignment = this.#assignments.get(id);
    if (assignment?.state === 'answering' || (assignment === undefined && this.#assignments.wasAnswered(id))) {
      const message = `State transition failed for runtime: the invocation ${id} has its ${kind} already`;
      return refuse(request, response, 403, 'InvalidStateTransition', message);
    }
    if (assignment?.state !== 'taken') return refuse(request, response, 400, 'InvalidRequestID', 'Invalid request ID');
    assignment.state = 'answering';
    if (kind === 'error') return this.#error(assignment, request, response);
    const mode = request.headers[RESPONSE_MODE];
    if (mode === 'streaming') return void this.#streamed(assignment, request, response);
    if (mode === undefined) return this.#whole(assignment, request, response);
    this.#fail(assignment, {
      name: 'Runtime.InvalidResponseModeHeader',
      message: `the program answered with the response mode '${String(mode).slice(0, 80)}'; there is 'streaming', or none`,
      stack: '',
    });
    refuse(request, response, 400, 'InvalidFunctionResponseMode', 'Invalid function response mode');
  }

  #whole(assignment: Assignment, request: IncomingMessage, response: ServerResponse): void {
    read(request, ANSWER_BYTES_MAX, {
      onBody: (body) => {
        this.#end(assignment, () => wholeAnswer(assignment, body, this.#httpEvent));
        accept(response);
      },
      onTooLarge: (bytes) => {
        const message = `it has ${bytes}${bytes > ANSWER_BYTES_MAX ? '' : ' or more'} bytes, and a whole answer may have ${ANSWER_BYTES_MAX}; stream it (Lambda-Runtime-Function-Response-Mode: streaming)`;
        this.#fail(assignment, toGuestError(new BadResponse(message)));
        refuse(request, response, 413, 'RequestEntityTooLarge', TOO_LARGE);
      },
      onTruncated: () => this.#truncated(assignment),
    });
  }

  async #streamed(assignment: Assignment, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const outcome = await streamAnswer(assignment.invocation, request);
    if (outcome === 'truncated') return this.#truncated(assignment);
    this.#end(assignment, outcome);
    accept(response);
  }

  #error(assignment: Assignment, request: IncomingMessage, response: ServerResponse): void {
    const type = headerOf(request, ERROR_TYPE);
    read(request, ERROR_BYTES_MAX, {
      onBody: (body) => {
        this.#fail(assignment, programError(body, type));
        accept(response);
      },
      onTooLarge: () => {
        this.#fail(assignment, programError(Buffer.alloc(0), type));
        refuse(request, response, 413, 'RequestEntityTooLarge', `An error may have ${ERROR_BYTES_MAX} bytes.`);
      },
      onTruncated: () => this.#truncated(assignment),
    });
  }

  #initError(request: IncomingMessage, response: ServerResponse): void {
    const type = headerOf(request, ERROR_TYPE);
    read(request, ERROR_BYTES_MAX, {
      onBody: (body) => {
        if (this.#begun)
          return refuse(request, response, 403, 'InvalidStateTransition', 'State transition failed for runtime: it has begun');
        // The answer first: the guest ends with this error.
        response.on('close', () => this.#events.initFailed(programError(body, type)));
        accept(response);
      },
      onTooLarge: () => refuse(request, response, 413, 'RequestEntityTooLarge', `An error may have ${ERROR_BYTES_MAX} bytes.`),
      onTruncated: () => {},
    });
  }

  #truncated(assignment: Assignment): void {
    const message = 'the program closed its connection in the middle of its answer';
    this.#fail(assignment, { name: 'Runtime.TruncatedResponse', message, stack: '' });
  }

  #fail(assignment: Assignment, error: GuestError): void {
    this.#end(assignment, async () => assignment.invocation.answer.fail(error));
  }

  /**
   * Once the event loop has turned: what the program wrote to its standard streams before it answered is readable together with
   * the answer, and is logged before the answer ends the invocation.
   */
  #end(assignment: Assignment, answer: () => Promise<void>): void {
    setImmediate(() => {
      this.#events.answered(assignment);
      answer()
        .catch((error: unknown) => assignment.invocation.answer.fail(toGuestError(error)))
        .finally(() => assignment.done());
    });
  }
}

function listenOn(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

interface Reading {
  onBody: (body: Buffer) => void;
  /** The bytes that were announced, or have come. */
  onTooLarge: (bytes: number) => void;
  onTruncated: () => void;
}

function read(request: IncomingMessage, bytesMax: number, { onBody, onTooLarge, onTruncated }: Reading): void {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) return onTooLarge(announced);
  const chunks: Buffer[] = [];
  let bytes = 0;
  let over = false;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bytesMax) return void chunks.push(chunk);
    chunks.length = 0;
    if (over) return;
    over = true;
    onTooLarge(bytes);
  });
  request.on('end', () => {
    if (!over) onBody(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
  });
  request.on('close', () => {
    if (!over && !request.complete) onTruncated();
  });
}

function accept(response: ServerResponse): void {
  response.writeHead(202, ['content-type', 'application/json', 'content-length', String(ACCEPTED.length)]).end(ACCEPTED);
}

/** Reads what is left of the request: many programs write all of theirs before they look at the answer. */
function refuse(request: IncomingMessage, response: ServerResponse, status: number, errorType: string, errorMessage: string): void {
  const body = Buffer.from(`${JSON.stringify({ errorMessage, errorType })}\n`);
  response.writeHead(status, ['content-type', 'application/json', 'content-length', String(body.length)]).end(body);
  request.resume();
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
