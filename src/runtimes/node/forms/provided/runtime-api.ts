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
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import type { GuestError } from '../../../../protocol/frames.ts';
import { BadResponse, toGuestError } from '../../failure.ts';
import type { Assignment, Assignments } from './assignments.ts';
import { HttpConnection } from './http-exchange.ts';
import type { Exchange } from './http-exchange.ts';
import { programError } from './program-error.ts';
import { StreamedAnswer } from './streamed-answer.ts';
import { wholeAnswer } from './whole-answer.ts';

/** 6 MiB and what AWS adds for the envelope. */
export const ANSWER_BYTES_MAX = 6 * 1024 * 1024 + 100;
const ERROR_BYTES_MAX = 1024 * 1024;
/** Where AWS has it; taken only outside of a sandbox with a network of its own. */
const PORT = 9001;
const RUNTIME = '/2018-06-01/runtime/';
const NEXT = `${RUNTIME}invocation/next`;
const INIT_ERROR = `${RUNTIME}init/error`;
const INVOCATION = `${RUNTIME}invocation/`;
const ERROR_TYPE = 'lambda-runtime-function-error-type';
const RESPONSE_MODE = 'lambda-runtime-function-response-mode';
const JSON_TYPE = 'Content-Type: application/json\r\n';
const PLAIN = 'Content-Type: text/plain\r\n';
const ACCEPTED = '{"status":"OK"}\n';
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
  /** 0: any. */
  port?: number;
}

export class RuntimeApi {
  /** Host and port. */
  readonly address: string;
  readonly #server: Server;
  readonly #assignments: Assignments;
  readonly #httpEvent: string | undefined;
  readonly #events: RuntimeApiEvents;
  #begun = false;

  static async listen(options: RuntimeApiOptions): Promise<RuntimeApi> {
    // No call has a limit of time here: the engine has one for the invocation.
    const server = createServer({ noDelay: true, pauseOnConnect: true });
    await listenOn(server, options.port ?? PORT).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      return listenOn(server, 0);
    });
    return new RuntimeApi(server, options);
  }

  private constructor(server: Server, options: RuntimeApiOptions) {
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#assignments = options.assignments;
    this.#httpEvent = options.httpEvent;
    this.#events = options;
    server.on('connection', (socket) => new HttpConnection(socket, (exchange) => this.#onExchange(exchange)));
  }

  /** Takes no more connections; those that are there end with their clients. */
  close(): void {
    this.#server.close();
  }

  #onExchange(exchange: Exchange): void {
    const { method, path } = exchange;
    if (method === 'GET' && path === NEXT) return this.#next(exchange);
    if (method === 'POST') {
      if (path.startsWith(INVOCATION)) {
        const end = path.indexOf('/', INVOCATION.length);
        const kind = path.slice(end + 1);
        if (kind === 'response' || kind === 'error') return this.#answer(exchange, decoded(path.slice(INVOCATION.length, end)), kind);
      }
      if (path === INIT_ERROR) return this.#initError(exchange);
    } else if (method === 'GET' && path === '/ping') return exchange.answer(200, PLAIN, 'pong');
    this.#events.unknown(`${method} ${path}`.slice(0, 200));
    refuse(exchange, 404, 'NotFound', `Virga has no ${method} ${path}: it serves AWS Lambda's Runtime API 2018-06-01`);
  }

  #next(exchange: Exchange): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#events.begun();
    }
    this.#assignments.take(exchange);
  }

  #answer(exchange: Exchange, id: string, kind: 'response' | 'error'): void {
    const assignment = this.#assignments.get(id);
    if (assignment?.state === 'answering' || (assignment === undefined && this.#assignments.wasAnswered(id))) {
      const message = `State transition failed for runtime: the invocation ${id} has its answer already`;
      return refuse(exchange, 403, 'InvalidStateTransition', message);
    }
    if (assignment?.state !== 'taken') return refuse(exchange, 400, 'InvalidRequestID', 'Invalid request ID');
    assignment.state = 'answering';
    if (kind === 'error') return this.#error(assignment, exchange);
    const mode = exchange.headers[RESPONSE_MODE];
    if (mode === undefined) return this.#whole(assignment, exchange);
    if (mode.toLowerCase() === 'streaming') return this.#streamed(assignment, exchange);
    this.#fail(assignment, {
      name: 'Runtime.InvalidResponseModeHeader',
      message: `the program answered with the response mode '${mode.slice(0, 80)}'; there is 'streaming', or none`,
      stack: '',
    });
    refuse(exchange, 400, 'InvalidFunctionResponseMode', 'Invalid function response mode');
  }

  #whole(assignment: Assignment, exchange: Exchange): void {
    read(exchange, ANSWER_BYTES_MAX, {
      onBody: (body) => {
        this.#end(assignment, () => wholeAnswer(assignment, body, this.#httpEvent), exchange);
      },
      onTooLarge: (bytes) => {
        const message = `it has ${bytes} bytes or more, and a whole answer may have ${ANSWER_BYTES_MAX}; stream it (Lambda-Runtime-Function-Response-Mode: streaming)`;
        this.#fail(assignment, toGuestError(new BadResponse(message)));
        refuse(exchange, 413, 'RequestEntityTooLarge', TOO_LARGE);
      },
      onBroken: () => this.#broken(assignment),
    });
  }

  #streamed(assignment: Assignment, exchange: Exchange): void {
    exchange.reader = new StreamedAnswer(assignment.invocation, exchange.headers['content-type'], {
      ended: (finish) => {
        this.#end(assignment, finish, exchange);
      },
      broken: () => this.#broken(assignment),
    });
  }

  #error(assignment: Assignment, exchange: Exchange): void {
    const type = exchange.headers[ERROR_TYPE];
    read(exchange, ERROR_BYTES_MAX, {
      onBody: (body) => {
        this.#fail(assignment, programError(body, type));
        accept(exchange);
      },
      onTooLarge: () => {
        this.#fail(assignment, programError(Buffer.alloc(0), type));
        refuse(exchange, 413, 'RequestEntityTooLarge', `An error may have ${ERROR_BYTES_MAX} bytes.`);
      },
      onBroken: () => this.#broken(assignment),
    });
  }

  #initError(exchange: Exchange): void {
    const type = exchange.headers[ERROR_TYPE];
    read(exchange, ERROR_BYTES_MAX, {
      onBody: (body) => {
        if (this.#begun) return refuse(exchange, 403, 'InvalidStateTransition', 'State transition failed for runtime: it has begun');
        accept(exchange);
        // What it wrote before is read first: see `#end`.
        setImmediate(() => this.#events.initFailed(programError(body, type)));
      },
      onTooLarge: () => refuse(exchange, 413, 'RequestEntityTooLarge', `An error may have ${ERROR_BYTES_MAX} bytes.`),
      // It goes on, or ends.
      onBroken: () => {},
    });
  }

  #broken(assignment: Assignment): void {
    const message = 'the program closed its connection in the middle of its answer';
    this.#fail(assignment, { name: 'Runtime.TruncatedResponse', message, stack: '' });
  }

  #fail(assignment: Assignment, error: GuestError): void {
    this.#end(assignment, async () => assignment.invocation.answer.fail(error));
  }

  /**
   * Once the event loop has turned: what the program wrote to its standard streams before it answered is readable together with
   * the answer, and is logged before the answer ends the invocation. The program hears that it was taken (`accepted`) once the
   * answer is on its way: what waits for that is the caller.
   */
  #end(assignment: Assignment, answer: () => Promise<void>, accepted?: Exchange): void {
    setImmediate(() => {
      this.#events.answered(assignment);
      answer()
        .catch((error: unknown) => assignment.invocation.answer.fail(toGuestError(error)))
        .finally(() => this.#assignments.done(assignment));
      if (accepted !== undefined) process.nextTick(accept, accepted);
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
  onBroken: () => void;
}

function read(exchange: Exchange, bytesMax: number, { onBody, onTooLarge, onBroken }: Reading): void {
  const announced = Number(exchange.headers['content-length'] ?? 0);
  if (announced > bytesMax) return onTooLarge(announced);
  const chunks: Buffer[] = [];
  let bytes = 0;
  exchange.reader = {
    chunk(chunk) {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      else onTooLarge(bytes);
      return undefined;
    },
    end: () => onBody(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)),
    broken: onBroken,
  };
}

function accept(exchange: Exchange): void {
  exchange.answer(202, JSON_TYPE, ACCEPTED);
}

/** What is left of the request is read all the same: many programs write all of theirs before they look at the answer. */
function refuse(exchange: Exchange, status: number, errorType: string, errorMessage: string): void {
  exchange.reader = undefined;
  exchange.answer(status, JSON_TYPE, `${JSON.stringify({ errorMessage, errorType })}\n`);
}

function decoded(id: string): string {
  if (!id.includes('%')) return id;
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
