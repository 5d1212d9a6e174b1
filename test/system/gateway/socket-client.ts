// A client of WebSockets for the tests of this folder: `ws`, with what came kept until it is asked for.
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { ClientOptions } from 'ws';

type Options = ClientOptions & { subprotocols?: string[] };

export class Client {
  readonly socket: WebSocket;
  /** Resolves with what the close said; 1006 for a connection that was lost. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #came: (string | Buffer)[] = [];
  #waiting: ((message: string | Buffer) => void)[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('error', () => {}); // 'close' follows.
    socket.on('message', (data, isBinary) => {
      const message = isBinary ? (data as Buffer) : (data as Buffer).toString();
      const waits = this.#waiting.shift();
      if (waits === undefined) this.#came.push(message);
      else waits(message);
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** `url`: of http. */
  static async open(url: string, { subprotocols = [], ...options }: Options = {}): Promise<Client> {
    const client = new Client(new WebSocket(url.replace('http', 'ws'), subprotocols, options));
    await Promise.race([once(client.socket, 'open'), client.closed]);
    if (client.socket.readyState !== WebSocket.OPEN) throw new Error(`no connection to ${url}`);
    return client;
  }

  send(message: string | Buffer): void {
    this.socket.send(message);
  }

  /** The next message, waiting for it if need be. */
  next(): Promise<string | Buffer> {
    const message = this.#came.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  async json(): Promise<unknown> {
    return JSON.parse((await this.next()).toString()) as unknown;
  }

  close(code?: number, reason?: string): void {
    this.socket.close(code, reason);
  }
}

/** The answer to a handshake that has to be refused. */
export async function refusal(url: string, { subprotocols = [], ...options }: Options = {}) {
  const socket = new WebSocket(url.replace('http', 'ws'), subprotocols, options);
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, headers: response.headers, body };
}
