// A small internet for network.integration.test.ts: a network namespace beside the host's, joined to it by a pair of
// virtual cables, in which this same file runs as servers (HTTP on 80, a greeting on other ports, DNS on 53). Its addresses
// are those that are reserved for examples, so nothing real is ever met. Needs root; everything of it goes with close().
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { decode, encode, TRUNCATED_RESPONSE, type Answer } from 'dns-packet';

/** Of the host, and of the servers. The last is in a private network. */
export const HOST = '203.0.113.1';
export const FIRST = '203.0.113.7';
export const SECOND = '203.0.113.8';
export const FIRST_V6 = '2001:db8:71::7';
export const PRIVATE = '10.98.76.5';
const GREETING_PORTS = [443, 5432, 8443];

const ADDRESSES: Record<string, string[]> = {
  'good.test': [FIRST, FIRST_V6],
  'api.wild.test': [SECOND],
  'deep.api.wild.test': [SECOND],
  'private.test': [PRIVATE],
  'metadata.test': ['169.254.169.254'],
  'mapped.test': ['::ffff:127.0.0.1'],
  'mixed.test': [FIRST, '127.0.0.1'],
  'host.test': [HOST],
};

export class TestInternet implements AsyncDisposable {
  readonly #name = `virga-test-${process.pid}`;
  #servers: ChildProcess | undefined;

  static async open(): Promise<TestInternet> {
    const internet = new TestInternet();
    try {
      await internet.#open();
      return internet;
    } catch (error) {
      await internet[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const [near, far] = [`vt${process.pid}a`, `vt${process.pid}b`];
    ip(`netns add ${this.#name}`);
    ip(`link add ${near} type veth peer name ${far} netns ${this.#name}`);
    for (const address of [`${HOST}/24`, '10.98.76.1/24', '2001:db8:71::1/64 nodad']) ip(`address add ${address} dev ${near}`);
    ip(`link set ${near} up`);
    for (const address of [`${FIRST}/24`, `${SECOND}/24`, '203.0.113.53/24', `${PRIVATE}/24`, `${FIRST_V6}/64 nodad`]) {
      ip(`-n ${this.#name} address add ${address} dev ${far}`);
    }
    for (const link of ['lo', far]) ip(`-n ${this.#name} link set ${link} up`);
    const argv = ['netns', 'exec', this.#name, process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename, 'serve'];
    this.#servers = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(this.#servers.stdout!, 'data');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const servers = this.#servers;
    if (servers !== undefined && servers.exitCode === null) {
      servers.kill('SIGKILL');
      await once(servers, 'exit');
    }
    // The cable goes with the namespace that holds its end.
    ip(`netns delete ${this.#name}`);
  }
}

function ip(line: string): void {
  execFileSync('ip', line.split(' '), { stdio: ['ignore', 'ignore', 'inherit'] });
}

async function serve(): Promise<void> {
  const http = createHttpServer((request, response) => {
    if (request.url === '/to-private') response.writeHead(302, { location: `http://${PRIVATE}/` }).end();
    else if (request.url === '/echo') request.pipe(response);
    else if (request.url?.startsWith('/bytes/') === true) response.end(Buffer.alloc(Number(request.url.slice(7)), 'x'));
    else response.end(`page of ${request.socket.localAddress}`);
  });
  const greeter = (socket: Socket): void => {
    socket.on('error', () => {});
    socket.write(`hello from ${socket.localAddress?.replace('::ffff:', '')}`);
    // Whoever says something gets its end, with all that was said: half-closed connections are carried too.
    const said: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => said.push(chunk));
    socket.on('end', () => socket.end(` and ${Buffer.concat(said).length} bytes`));
  };
  const servers = [
    http.listen(80, '::'),
    ...GREETING_PORTS.map((port) => createServer({ allowHalfOpen: true }, greeter).listen(port, '::')),
  ];
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => udp.send(answerTo(query, 512), from.port, from.address));
  const tcp = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data: Buffer) => {
      const answer = answerTo(data.subarray(2), 65_535);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.end(Buffer.concat([length, answer]));
    });
  });
  servers.push(tcp.listen(53, '203.0.113.53'));
  udp.bind(53, '203.0.113.53');
  await Promise.all([...servers.map((server) => once(server, 'listening')), once(udp, 'listening')]);
  process.stdout.write('ready\n');
}

let rebound = 0;

function answerTo(query: Buffer, bytesMax: number): Buffer {
  const { id, questions } = decode(query);
  const { name, type } = questions![0]!;
  const answers: Answer[] = [];
  const add = (address: string): void => {
    const kind = address.includes(':') ? 'AAAA' : 'A';
    const owner = name === 'alias.test' ? 'good.test' : name;
    if (kind === type) answers.push({ type: kind, name: owner, data: address, ttl: 0, class: 'IN' });
  };
  if (name === 'rebind.test' && type === 'A') add(rebound++ === 0 ? SECOND : '127.0.0.1');
  if (name === 'alias.test') answers.push({ type: 'CNAME', name, data: 'good.test', ttl: 0 });
  if (name === 'long.test' && type === 'TXT')
    for (let n = 0; n < 10; n++) answers.push({ type: 'TXT', name, data: String(n).repeat(100), ttl: 0 });
  for (const address of ADDRESSES[name === 'alias.test' ? 'good.test' : name] ?? []) add(address);
  const known = name in ADDRESSES || ['rebind.test', 'alias.test', 'long.test'].includes(name);
  const packet = { type: 'response' as const, id: id!, flags: known ? 0 : 3, questions: questions!, answers };
  const whole = encode(packet);
  return whole.length <= bytesMax ? whole : encode({ ...packet, flags: TRUNCATED_RESPONSE, answers: [] });
}

if (process.argv[2] === 'serve') await serve();
