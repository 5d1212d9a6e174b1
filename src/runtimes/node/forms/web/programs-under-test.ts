// Programs that serve HTTP, and the real, bundled guest that starts them, for the tests of this folder. Invariant: `stop` and
// the end of `setUp` leave neither program nor file behind.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import { FrameType, encodeFrame } from '../../../../protocol/frames.ts';
import { NODES, ScriptedHost } from '../../scripted-host.ts';

const SERVER = `
import http from 'node:http';
let connections = 0;
const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://x');
  if (pathname === '/hello') return response.end('hello');
  if (pathname === '/request') { let body = ''; for await (const chunk of request) body += chunk;
    return response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.rawHeaders, body })); }
  if (pathname === '/environment') return response.end(JSON.stringify({ ...process.env, cwd: process.cwd() }));
  if (pathname === '/connections') return response.end(String(connections));
  if (pathname === '/echo') return request.pipe(response);
  if (pathname === '/head') { response.writeHead(200, { 'content-length': 1234, 'x-own': 'a' }); return response.end(); }
  if (pathname === '/nothing') { response.writeHead(204, { 'x-own': 'b' }); return response.end(); }
  if (pathname === '/unmodified') { response.writeHead(304, { etag: '"1"' }); return response.end(); }
  if (pathname === '/hints') { response.writeEarlyHints({ link: '</a.css>; rel=preload' }); response.writeProcessing(); return response.end('after'); }
  if (pathname === '/headers') { response.writeHead(418, 'Teapot', [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['X-Latin', 'caf\\u00e9'], ['trailer', 'x-late']]); response.write('a'); response.addTrailers({ 'x-late': '1' }); return response.end('b'); }
  if (pathname === '/slow') { request.on('close', () => console.log('left')); response.write('begun'); return; }
  if (pathname === '/much') { const piece = Buffer.alloc(65536, 'x'); let n = 0; const more = () => { while (n < 512) { n++; if (!response.write(piece)) return response.once('drain', more); } response.end(); }; response.on('error', () => {}); globalThis.written = () => n; return more(); }
  if (pathname === '/written') return response.end(String(globalThis.written?.()));
  if (pathname === '/early') { response.end('enough'); return; }
  if (pathname === '/log') { console.log('to stdout'); console.error('to stderr'); process.stdout.write('half '); process.stdout.write('line\\n'); return response.end('logged'); }
  if (pathname === '/crash') { console.error('something broke'); process.exit(3); }
  if (pathname === '/killed') { process.kill(process.pid, 'SIGSEGV'); return; }
  if (request.method === 'POST' && pathname === '/') { let body = ''; for await (const chunk of request) body += chunk;
    const type = request.headers['ce-type'] ?? '';
    if (type.endsWith('.refused')) { response.writeHead(500); return response.end('no such thing'); }
    if (type.endsWith('.silent')) { response.writeHead(204); return response.end(); }
    response.setHeader('content-type', 'application/json'); return response.end(JSON.stringify({ headers: request.headers, body })); }
  response.writeHead(404); response.end();
});
server.on('connection', () => connections++);
server.listen(process.env.PORT);
process.on('SIGTERM', () => { console.log('told to stop'); server.close(() => { console.log('closed'); process.exit(0); }); server.closeAllConnections(); });
`;

/** Answers each request for /<name> with the pieces of that name, one write each. */
const RAW = `
import net from 'node:net';
const answers = {
  split: ['HTTP/1.1 20', '0 OK\\r\\nContent-Le', 'ngth: 5\\r\\n\\r', '\\nhel', 'lo'],
  chunks: ['HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3', '\\r\\nabc\\r', '\\n2;ext=1\\r\\nde\\r\\n0\\r\\nx-trailer: 1\\r', '\\n\\r\\n'],
  close: ['HTTP/1.1 200 OK\\r\\n\\r\\nuntil', ' the end', null],
  old: ['HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nold', null],
  folded: ['HTTP/1.1 200 OK\\r\\nx-long: a\\r\\n b\\r\\ncontent-length: 0\\r\\n\\r\\n'],
  both: ['HTTP/1.1 200 OK\\r\\ncontent-length: 99\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n1\\r\\nx\\r\\n0\\r\\n\\r\\n'],
  short: ['HTTP/1.1 200 OK\\r\\ncontent-length: 10\\r\\n\\r\\nhalf', null],
  silent: [null],
  junk: ['220 mail.example.com ESMTP\\r\\n\\r\\n'],
  lengths: ['HTTP/1.1 200 OK\\r\\ncontent-length: 1\\r\\ncontent-length: 2\\r\\n\\r\\nxx'],
  switches: ['HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: x\\r\\n\\r\\n'],
  beyond: ['HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nokHTTP/1.1 200 OK\\r\\n\\r\\n'],
};
const seen = new Map();
net.createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', async (chunk) => {
    text += chunk.toString('latin1');
    if (!text.includes('\\r\\n\\r\\n')) return;
    const [, method, name] = /^(\\w+) \\/(\\w*)/.exec(text) ?? [];
    const head = text.slice(0, text.indexOf('\\r\\n\\r\\n'));
    text = '';
    const used = socket.used === true;
    socket.used = true;
    // Once, on a connection that was used before: closed as the request comes.
    if (name === 'stale' && used && !seen.has(method)) { seen.set(method, true); return socket.destroy(); }
    if (name === 'stale' || name === 'first') return socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok');
    if (name === 'upgrade') {
      if (!/upgrade: echo/i.test(head)) return socket.end('HTTP/1.1 426 Upgrade Required\\r\\ncontent-length: 0\\r\\n\\r\\n');
      socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\nready');
      socket.removeAllListeners('data');
      socket.on('data', (bytes) => socket.write(bytes));
      return;
    }
    for (const piece of answers[name]) { if (piece === null) socket.end(); else socket.write(piece); await new Promise((resolve) => setTimeout(resolve, 5)); }
  });
}).listen(process.env.PORT, '127.0.0.1');
`;

const FILES: Record<string, string> = {
  'server.mjs': SERVER,
  'raw.mjs': RAW,
  'ends.mjs': "console.log('on stdout'); console.error('cannot find the settings'); process.exit(7);",
  'elsewhere.mjs': "import http from 'node:http'; http.createServer().listen(0, '127.0.0.1', () => console.log('listening somewhere'));",
  'six.mjs': "import http from 'node:http'; http.createServer((_, r) => r.end('six')).listen(process.env.PORT, '::1');",
  'plain.txt': 'no program',
  '.packages/carried.py': "WORD = 'carried'",
  'packaged.py': `
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from carried import WORD

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked for", self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(WORD.encode())

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`,
};

export const NODE = NODES[0]!;

export interface Programs extends AsyncDisposable {
  /** Where their files are. */
  code: string;
  /** Fails as the guest does that cannot load it. */
  boot(file: string, overrides?: Parameters<ScriptedHost['init']>[2]): Promise<ScriptedHost>;
}

export async function programs(): Promise<Programs> {
  const folder = await mkdtemp(join(tmpdir(), 'virga-guest-program-'));
  const guest = join(folder, 'guest.cjs');
  const code = join(folder, 'code');
  const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
  await bundle.write({ file: guest, format: 'cjs', codeSplitting: false });
  await bundle.close();
  for (const [name, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(code, name)), { recursive: true });
    await writeFile(join(code, name), text);
  }
  return {
    code,
    boot: async (file, overrides = {}) => {
      const host = new ScriptedHost(NODE.binary, guest, { env: { PATH: `${dirname(NODE.binary)}:/usr/bin:/bin` } });
      await host.hello();
      try {
        const ready = await host.init(code, file, { form: 'web', runtime: 'web', ...overrides });
        assert.deepEqual(ready.exports, ['serve']);
      } catch (error) {
        await host.close();
        throw error;
      }
      return host;
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

/** Lets the program end as a host does, so that none is left. */
export async function stop(host: ScriptedHost): Promise<void> {
  host.write(encodeFrame(FrameType.STOP, {}));
  await host.exited;
}
