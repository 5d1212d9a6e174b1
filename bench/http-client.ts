// A small HTTP/1.1 client over raw sockets with keep-alive: an answer costs it about 20 µs, where node:http takes five times
// that, so that what is measured is the server. One call at a time on a connection; the connection used last is
// taken first. Invariant: an answer is complete (by its length, its last chunk, or the end of the connection) or a failure with status 0.
// Callers: open-loop.ts, closed-loop.ts and the benchmarks that make single calls.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Answer {
  /** 0: there was none, and `error` says why. */
  status: number;
  /** Status line and headers, in lower case as far as names go. */
  head: string;
  body: string;
  error?: string;
}

/** Servers close connections that idle for 5 s: one that is nearly there is not used any more. */
const IDLE_MS_MAX = 3_500;
const HEAD_END = '\r\n\r\n';

interface Connection {
  socket: Socket;
  lastUsedMs: number;
  received: string;
  done: ((answer: Answer) => void) | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class HttpClient {
  readonly #port: number;
  #idle: Connection[] = [];
  #all = new Set<Connection>();

  constructor(port: number) {
    this.#port = port;
  }

  /** Opens connections ahead of need, so that no call of a burst waits for a handshake. */
  async open(count: number): Promise<void> {
    const opened = Array.from({ length: count }, async () => {
      const connection = this.#connect();
      await new Promise<void>((resolve, reject) => {
        connection.socket.once('connect', resolve);
        connection.socket.once('error', reject);
      });
      this.#idle.push(connection);
    });
    await Promise.all(opened);
  }

  get(path: string, timeoutMs = 30_000): Promise<Answer> {
    return this.send(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`, timeoutMs);
  }

  /** `request`: head and body, in latin1. */
  send(request: string, timeoutMs: number): Promise<Answer> {
    const connection = this.#take();
    return new Promise((resolve) => {
      connection.done = resolve;
      connection.received = '';
      connection.timer = setTimeout(() => this.#end(connection, `no answer within ${timeoutMs} ms`), timeoutMs);
      connection.socket.write(request, 'latin1');
    });
  }

  close(): void {
    for (const connection of this.#all) this.#end(connection, 'the client was closed');
  }

  #take(): Connection {
    for (let last = this.#idle.pop(); last !== undefined; last = this.#idle.pop()) {
      if (performance.now() - last.lastUsedMs < IDLE_MS_MAX) return last;
      this.#end(last, '');
    }
    return this.#connect();
  }

  #connect(): Connection {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const connection: Connection = { socket, lastUsedMs: performance.now(), received: '', done: undefined, timer: undefined };
    this.#all.add(connection);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      connection.received += chunk;
      this.#read(connection, false);
    });
    socket.on('error', (error) => this.#end(connection, error.message));
    socket.on('close', () => {
      this.#read(connection, true);
      this.#end(connection, 'the connection was closed before the answer was complete');
    });
    return connection;
  }

  #read(connection: Connection, closed: boolean): void {
    const { received, done } = connection;
    const headEnd = received.indexOf(HEAD_END);
    if (done === undefined || headEnd === -1) return;
    const head = received.slice(0, headEnd);
    const body = wholeBody(head, received.slice(headEnd + HEAD_END.length), closed);
    if (body === undefined) return;
    clearTimeout(connection.timer);
    connection.done = undefined;
    connection.received = '';
    connection.lastUsedMs = performance.now();
    if (closed || /^connection: close$/im.test(head)) this.#end(connection, '');
    else this.#idle.push(connection);
    done({ status: Number(head.slice(9, 12)), head, body });
  }

  #end(connection: Connection, error: string): void {
    if (!this.#all.delete(connection)) return;
    this.#idle = this.#idle.filter((idle) => idle !== connection);
    clearTimeout(connection.timer);
    connection.socket.destroy();
    connection.done?.({ status: 0, head: '', body: '', error });
    connection.done = undefined;
  }
}

/** Undefined while bytes are missing. */
function wholeBody(head: string, bytes: string, closed: boolean): string | undefined {
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (length !== undefined) return bytes.length >= Number(length) ? bytes : undefined;
  if (!/^transfer-encoding: *chunked/im.test(head)) return closed || head.startsWith('HTTP/1.1 204') ? bytes : undefined;
  if (bytes !== '0\r\n\r\n' && !bytes.endsWith('\r\n0\r\n\r\n')) return undefined;
  let body = '';
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.slice(at, lineEnd), 16);
    if (!(size > 0)) return body;
    body += bytes.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

export const header = (head: string, name: string): string | undefined => new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trimEnd();

/** What `Server-Timing` says of a call: where its time went (ms by phase), and whether it was the first of its instance. */
export function receiptOf(head: string): { cold: boolean; phases: Record<string, number> } {
  const timing = header(head, 'server-timing') ?? '';
  const phases = Object.fromEntries([...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map((found) => [found[1]!, Number(found[2])]));
  return { cold: /\bcold\b/.test(timing), phases };
}
