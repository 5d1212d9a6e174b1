// A guest for network.integration.test.ts: tries to reach what its argument lists, one after the other, and prints what came
// of each as a line of JSON: the first bytes that it got, or the error's code.

/** What a guest tries, in order; each answer is what came of it. */
export type Attempt =
  | { connect: string; port: number; say?: number }
  | { lookup: string; family?: number }
  | { fetch: string; bytes?: number }
  | { resolve: string; type: string }
  | { udp: string; port: number };

export const GUEST = `
const net = require('net'), dns = require('dns'), dgram = require('dgram');
const attempts = {
  connect: ({ connect, port, say }) => new Promise((resolve) => {
    const socket = net.connect({ host: connect, port, allowHalfOpen: true });
    let text = '';
    if (say) socket.end(Buffer.alloc(say));
    socket.on('data', (data) => { text += data; if (!say) { socket.destroy(); resolve(text); } });
    socket.on('end', () => { socket.destroy(); resolve(text || 'END'); });
    socket.on('error', (error) => resolve(error.code));
    setTimeout(() => resolve('TIMEOUT'), 5000).unref();
  }),
  lookup: ({ lookup, family }) => dns.promises.lookup(lookup, { all: true, family: family ?? 0 }).then((all) => all.map((one) => one.address).join(' '), (error) => error.code),
  fetch: async ({ fetch: url, bytes }) => {
    try {
      const answer = await fetch(url, bytes ? { method: 'POST', body: Buffer.alloc(bytes) } : {});
      const body = await answer.arrayBuffer();
      return body.byteLength < 100 ? answer.status + ' ' + Buffer.from(body) : answer.status + ' ' + body.byteLength;
    } catch (error) { return error.cause?.code ?? String(error); }
  },
  resolve: ({ resolve, type }) => new dns.promises.Resolver().resolve(resolve, type).then((all) => String(all.length), (error) => error.code),
  udp: ({ udp, port }) => new Promise((resolve) => {
    const socket = dgram.createSocket(udp.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', () => resolve('answered'));
    socket.on('error', (error) => resolve(error.code));
    socket.send('x', port, udp, (error) => error && resolve(error.code));
    setTimeout(() => resolve('TIMEOUT'), 3000).unref();
  }),
};
(async () => {
  for (const attempt of JSON.parse(process.argv[1])) console.log(JSON.stringify(await attempts[Object.keys(attempt)[0]](attempt)));
  process.exit(0);
})();`;
