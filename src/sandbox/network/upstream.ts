// Asks the node's own resolvers (those of /etc/resolv.conf) a DNS query, as it stands, over UDP or TCP.
// Invariant: each query over UDP has a port and an id of its own, and an answer counts only with both and the question
// back (RFC 5452), so that nobody beside the path can make one up. Bounded: SERVER_MS for each of at most SERVERS_MAX servers.
// Caller: resolver.ts.
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync, statSync } from 'node:fs';
import { connect, isIP } from 'node:net';

const SERVER_MS = 2_500;
const SERVERS_MAX = 3;
const RESOLV_CONF = '/etc/resolv.conf';
const ANSWER_BYTES_MAX = 65_535;

interface Server {
  address: string;
  port: number;
}

export class Upstream {
  readonly #given: Server[] | null;
  #read: { atMs: number; changedMs: number; servers: Server[] } = { atMs: -Infinity, changedMs: -1, servers: [] };

  /** `resolvers` null: as /etc/resolv.conf says, at any time. */
  constructor(resolvers: string[] | null) {
    this.#given = resolvers?.map(serverOf) ?? null;
  }

  /** undefined: none of them answered. */
  async ask(query: Buffer, transport: 'tcp' | 'udp'): Promise<Buffer | undefined> {
    const id = randomInt(65_536);
    const asked = Buffer.from(query);
    asked.writeUInt16BE(id, 0);
    for (const server of this.#servers().slice(0, SERVERS_MAX)) {
      const answer = await (transport === 'tcp' ? overTcp : overUdp)(asked, server).catch(() => undefined);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  #servers(): Server[] {
    if (this.#given !== null) return this.#given;
    const nowMs = performance.now();
    if (nowMs - this.#read.atMs < 1_000) return this.#read.servers;
    const changedMs = statSync(RESOLV_CONF, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const servers = changedMs === this.#read.changedMs ? this.#read.servers : serversOf(RESOLV_CONF);
    this.#read = { atMs: nowMs, changedMs, servers };
    return servers;
  }
}

function serversOf(file: string): Server[] {
  let text = '';
  try {
    text = readFileSync(file, 'latin1');
  } catch {
    // Then there is no resolver but the default of resolv.conf(5).
  }
  const named = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address]) => address!).filter((address) => isIP(address) !== 0);
  return (named.length > 0 ? named : ['127.0.0.1']).map((address) => ({ address, port: 53 }));
}

function serverOf(text: string): Server {
  const [, address = text, port = '53'] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(isIP(text) === 6 ? `[${text}]` : text) ?? [];
  return { address, port: Number(port) };
}

function overUdp(query: Buffer, { address, port }: Server): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
  const late = setTimeout(() => reject(new Error('it does not answer')), SERVER_MS);
  socket.on('error', reject);
  socket.on('message', (answer) => {
    if (belongs(answer, query)) resolve(answer);
  });
  socket.connect(port, address, () => socket.send(query));
  return promise.finally(() => {
    clearTimeout(late);
    socket.close();
  });
}

function overTcp(query: Buffer, { address, port }: Server): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ host: address, port, timeout: SERVER_MS });
  let received: Buffer = Buffer.alloc(0);
  socket.on('connect', () => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const end = received.length < 2 ? ANSWER_BYTES_MAX + 2 : received.readUInt16BE(0) + 2;
    if (received.length < end) return;
    const answer = received.subarray(2, end);
    if (belongs(answer, query)) resolve(answer);
    else reject(new Error('it answers something else'));
  });
  socket.on('timeout', () => reject(new Error('it does not answer')));
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('it closed')));
  return promise.finally(() => socket.destroy());
}

/** Same id, an answer, and the same question (whose end the query's own length bounds). */
function belongs(answer: Buffer, query: Buffer): boolean {
  if (answer.length < 12 || answer.readUInt16BE(0) !== query.readUInt16BE(0) || (answer[2]! & 0x80) === 0) return false;
  const end = questionEnd(query);
  return answer.subarray(12, end).toString('latin1').toLowerCase() === query.subarray(12, end).toString('latin1').toLowerCase();
}

/** Where the one question of a query ends. */
function questionEnd(query: Buffer): number {
  let at = 12;
  while (at < query.length && query[at] !== 0) at += query[at]! + 1;
  return at + 5;
}
