// The hello of forms.ts, as it is written for each cloud and runtime. Each answers `hello` as text to any GET.
// Invariant: the code is what its cloud's documentation shows, and nothing of it knows Virga. Callers: forms.ts.

export interface FormKind {
  id: string;
  name: string;
  note: string;
  /** Files by name, all at the root of the project; of a source that is a folder (`settings`), in it. */
  files: Record<string, string | Buffer>;
  /** Its file `bootstrap` comes from a compiler: compiled-bootstrap.ts. */
  compiled?: boolean;
  /** Of the function in virga.yaml, inside braces. */
  settings: string;
  /** `id` of what it is compared with. */
  beside: string;
  /** A process of its own is started in the sandbox. */
  program: boolean;
}

const HEADERS = `{ 'content-type': 'text/plain' }`;

const SERVER = `import { createServer } from 'node:http';
createServer((request, response) => response.writeHead(200, ${HEADERS}).end('hello')).listen(Number(process.env.PORT));
`;

/** The loop of a runtime in Node over one connection, with as little between it and the socket as a Node program needs. */
const BOOTSTRAP = `#!/usr/bin/env node
const { connect } = require('node:net');
const handler = async (event) => ({ statusCode: 200, headers: ${HEADERS}, body: 'hello' });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const socket = connect({ host, port, noDelay: true });
const invocation = '/2018-06-01/runtime/invocation/';
const next = () => socket.write(\`GET \${invocation}next HTTP/1.1\\r\\nHost: \${host}\\r\\n\\r\\n\`);
let bytes = Buffer.alloc(0);
socket.on('data', (chunk) => {
  bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
  const end = bytes.indexOf('\\r\\n\\r\\n');
  if (end === -1) return;
  const head = bytes.latin1Slice(0, end);
  const length = Number(/^content-length: *(\\d+)/im.exec(head)?.[1] ?? 0);
  if (bytes.length < end + 4 + length) return;
  const body = bytes.utf8Slice(end + 4, end + 4 + length);
  bytes = bytes.subarray(end + 4 + length);
  const id = /^lambda-runtime-aws-request-id: *(.+)/im.exec(head)?.[1];
  if (id === undefined) return next();
  handler(JSON.parse(body)).then((result) => {
    const answer = JSON.stringify(result);
    socket.write(\`POST \${invocation}\${id}/response HTTP/1.1\\r\\nHost: \${host}\\r\\nContent-Length: \${Buffer.byteLength(answer)}\\r\\n\\r\\n\${answer}\`);
  });
});
next();
`;

/** The same over node:http, as a first draft has it. */
const HTTP_BOOTSTRAP = `#!/usr/bin/env node
const http = require('node:http');
const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const call = (method, path, body) => new Promise((resolve, reject) => {
  const request = http.request({ hostname, port, agent, method, path: '/2018-06-01/runtime/invocation/' + path }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => (text += chunk)).on('end', () => resolve({ headers: response.headers, text }));
  });
  request.on('error', reject).end(body);
});
(async () => {
  for (;;) {
    const { headers, text } = await call('GET', 'next');
    JSON.parse(text);
    await call('POST', headers['lambda-runtime-aws-request-id'] + '/response', JSON.stringify({ statusCode: 200, headers: ${HEADERS}, body: 'hello' }));
  }
})();
`;

const LAMBDA = `exports.handler = async (event) => ({ statusCode: 200, headers: ${HEADERS}, body: 'hello' });\n`;
const FETCH = `export default {
  async fetch(request) {
    return new Response('hello', { headers: ${HEADERS} });
  },
};
`;
const PYTHON = `def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "hello"}
`;

/** What the module writes to its standard output. */
const WASM_OUTPUT = 'Content-Type: text/plain\n\nhello';

/** Assembled here, so that no tool is needed: `_start` is one fd_write. */
function helloWasm(): Buffer {
  const bytes = (text: string): number[] => [...Buffer.from(text)];
  const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
  const named = (text: string): number[] => [...leb(text.length), ...bytes(text)];
  const section = (id: number, body: number[]): number[] => [id, ...leb(body.length), ...body];
  const [I32, FUNC] = [0x7f, 0x60];
  const types = [2, FUNC, 4, I32, I32, I32, I32, 1, I32, FUNC, 0, 0];
  const imports = [1, ...named('wasi_snapshot_preview1'), ...named('fd_write'), 0, 0];
  const memory = [1, 0, 1];
  const exports = [2, ...named('memory'), 2, 0, ...named('_start'), 0, 1];
  // fd_write(1, iovs at 0, 1 of them, written at 8); drop
  const body = [0, 0x41, 1, 0x41, 0, 0x41, 1, 0x41, 8, 0x10, 0, 0x1a, 0x0b];
  const code = [1, ...leb(body.length), ...body];
  const data = (at: number, content: number[]): number[] => [0, 0x41, at, 0x0b, ...leb(content.length), ...content];
  const all = [2, ...data(0, [16, 0, 0, 0, WASM_OUTPUT.length, 0, 0, 0]), ...data(16, bytes(WASM_OUTPUT))];
  return Buffer.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(2, imports),
    ...section(3, [1, 1]),
    ...section(5, memory),
    ...section(7, exports),
    ...section(10, code),
    ...section(11, all),
  ]);
}

const native = (id: string, name: string, note: string, file: string, source: string): FormKind => ({
  id,
  name,
  note,
  files: { [file]: source },
  settings: `source: ${file}`,
  beside: id,
  program: false,
});

export const FORM_KINDS: FormKind[] = [
  native('handler', 'Virga, Node handler', 'handler(event, context) of our own form', 'handler.cjs', LAMBDA),
  native('fetch', 'Virga, Node fetch', 'fetch(request) of our own form', 'fetch.mjs', FETCH),
  native('python', 'Virga, Python handler', 'handler(event, context) of our own form', 'own.py', PYTHON),
  {
    id: 'lambda',
    name: 'AWS Lambda, Node',
    note: 'form lambda: the same handler, with Lambda’s environment, context and events',
    files: { 'lambda.cjs': LAMBDA },
    settings: 'source: lambda.cjs, form: lambda, handler: handler',
    beside: 'handler',
    program: false,
  },
  {
    id: 'lambda-python',
    name: 'AWS Lambda, Python',
    note: 'form lambda in Python',
    files: { 'lambda_function.py': PYTHON },
    settings: 'source: lambda_function.py, form: lambda, handler: handler',
    beside: 'python',
    program: false,
  },
  {
    id: 'provided',
    name: 'AWS Lambda, provided, compiled bootstrap',
    note: 'a bootstrap in C (bench/bootstrap.c), built here, which asks the runtime API for each call over one connection and does not look into the event',
    files: {},
    compiled: true,
    settings: 'source: provided, runtime: provided',
    beside: 'handler',
    program: true,
  },
  {
    id: 'provided-node',
    name: 'AWS Lambda, provided, Node bootstrap',
    note: 'the same loop in Node over node:net, which parses the event',
    files: { bootstrap: BOOTSTRAP },
    settings: 'source: provided-node, runtime: provided',
    beside: 'handler',
    program: true,
  },
  {
    id: 'provided-node-http',
    name: 'AWS Lambda, provided, Node bootstrap over node:http',
    note: 'the same with http.request and an Agent that keeps its connection',
    files: { bootstrap: HTTP_BOOTSTRAP },
    settings: 'source: provided-node-http, runtime: provided',
    beside: 'handler',
    program: true,
  },
  {
    id: 'web',
    name: 'a server on $PORT',
    note: 'a node:http server, a process of its own; 80 calls at once by default, the others one',
    files: { 'server.mjs': SERVER },
    settings: 'source: server.mjs, runtime: web',
    beside: 'handler',
    program: true,
  },
  {
    id: 'workers',
    name: 'Cloudflare Workers',
    note: 'a module worker',
    files: { 'worker.mjs': FETCH },
    settings: 'source: worker.mjs, form: workers',
    beside: 'fetch',
    program: false,
  },
  {
    id: 'azure',
    name: 'Azure Functions v4',
    note: 'app.http of the unmodified @azure/functions',
    files: {
      'azure.mjs': `import { app } from '@azure/functions';\napp.http('hello', { methods: ['GET'], authLevel: 'anonymous', route: '{*path}', handler: async () => ({ body: 'hello', headers: ${HEADERS} }) });\n`,
      'host.json': `{ "version": "2.0", "extensions": { "http": { "routePrefix": "" } } }`,
    },
    settings: 'source: azure.mjs, form: azure, include: [host.json]',
    beside: 'fetch',
    program: false,
  },
  {
    id: 'google',
    name: 'Google Cloud Functions',
    note: 'functions.http of the unmodified @google-cloud/functions-framework, with its Express',
    files: {
      'google.cjs': `const functions = require('@google-cloud/functions-framework');\nfunctions.http('hello', (request, response) => response.type('text/plain').send('hello'));\n`,
    },
    settings: 'source: google.cjs, form: google, handler: hello',
    beside: 'handler',
    program: false,
  },
  {
    id: 'wasm',
    name: 'WebAssembly',
    note: 'a WASI module, an instance of it for each call',
    files: { 'hello.wasm': helloWasm() },
    settings: 'source: hello.wasm',
    beside: 'handler',
    program: false,
  },
  {
    id: 'bun',
    name: 'Bun',
    note: 'fetch, served by Bun',
    files: { 'bun.js': FETCH },
    settings: 'source: bun.js, runtime: bun',
    beside: 'fetch',
    program: true,
  },
  {
    id: 'deno',
    name: 'Deno',
    note: 'fetch, served by deno serve',
    files: { 'deno.js': FETCH },
    settings: 'source: deno.js, runtime: deno',
    beside: 'fetch',
    program: true,
  },
];
