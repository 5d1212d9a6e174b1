// `connect()` of `cloudflare:sockets`, over Node's net and tls. Invariant: a socket's streams carry bytes under backpressure, and
// `opened` and `closed` settle whatever happens. What may be reached is the function's `egress`, as with every connection.
// Exported to user code by modules.ts.
import type { Socket as NodeSocket } from 'node:net';
import type { TLSSocket } from 'node:tls';

interface Address {
  hostname: string;
  port: number;
}

interface Options {
  secureTransport?: 'off' | 'on' | 'starttls';
  allowHalfOpen?: boolean;
}

interface SocketInfo {
  remoteAddress: string | null;
  localAddress: string | null;
}

export function connect(address: string | Address, options: Options = {}): Socket {
  const { hostname, port } = typeof address === 'string' ? parseAddress(address) : address;
  if (typeof hostname !== 'string' || hostname === '' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new TypeError(`connect(): ${JSON.stringify(address)} is no address; expected 'host:port' or { hostname, port }`);
  const { secureTransport = 'off', allowHalfOpen = false } = options;
  if (!['off', 'on', 'starttls'].includes(secureTransport))
    throw new TypeError(`connect(): secureTransport is '${secureTransport}'; expected off, on or starttls`);
  const secure = secureTransport === 'on';
  const node = secure
    ? process.getBuiltinModule('node:tls').connect({ host: hostname, port, servername: serverName(hostname) })
    : process.getBuiltinModule('node:net').connect({ host: hostname, port, allowHalfOpen });
  return new Socket(node, { hostname, secureTransport, ready: secure ? 'secureConnect' : 'connect' });
}

export class Socket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly opened: Promise<SocketInfo>;
  readonly closed: Promise<void>;
  readonly secureTransport: 'off' | 'on' | 'starttls';
  upgraded = false;
  readonly #node: NodeSocket;
  readonly #hostname: string;

  constructor(
    node: NodeSocket | TLSSocket,
    { hostname, secureTransport, ready }: { hostname: string; secureTransport: 'off' | 'on' | 'starttls'; ready: string },
  ) {
    this.#node = node;
    this.#hostname = hostname;
    this.secureTransport = secureTransport;
    const failed = (error: Error): Error => new Error(`the connection to ${hostname} failed: ${error.message}`, { cause: error });
    let failure: Error | undefined;
    this.opened = new Promise((resolve, reject) => {
      node.once(ready, () => resolve({ remoteAddress: node.remoteAddress ?? null, localAddress: node.localAddress ?? null }));
      node.once('error', (error: Error) => reject((failure = failed(error))));
      node.once('close', () => reject(new Error(`the connection to ${hostname} was closed before it was open`)));
    });
    this.closed = new Promise((resolve, reject) => {
      node.once('close', () => (failure === undefined ? resolve() : reject(failure)));
    });
    // Whoever does not look at them learns of a failure from the streams.
    this.opened.catch(() => {});
    this.closed.catch(() => {});
    const { Readable, Writable } = process.getBuiltinModule('node:stream');
    this.readable = Readable.toWeb(node);
    this.writable = Writable.toWeb(node);
  }

  async close(): Promise<void> {
    this.#node.destroy();
    await this.closed.catch(() => {});
  }

  startTls(options: { expectedServerHostname?: string } = {}): Socket {
    if (this.secureTransport !== 'starttls')
      throw new TypeError("startTls() needs a socket that was connected with secureTransport: 'starttls'");
    if (this.upgraded) throw new TypeError('startTls() was called before on this socket');
    this.upgraded = true;
    const servername = serverName(options.expectedServerHostname ?? this.#hostname);
    // The streams of before let go of it: TLS reads and writes it from here on.
    this.#node.removeAllListeners('data');
    this.#node.removeAllListeners('readable');
    const node = process.getBuiltinModule('node:tls').connect({ socket: this.#node, servername });
    return new Socket(node, { hostname: this.#hostname, secureTransport: 'on', ready: 'secureConnect' });
  }
}

function parseAddress(address: string): Address {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(address) ?? [];
  return { hostname: bracketed ?? plain ?? '', port: Number(port) };
}

/** TLS names no addresses. */
function serverName(hostname: string): string {
  return process.getBuiltinModule('node:net').isIP(hostname) === 0 ? hostname : '';
}
