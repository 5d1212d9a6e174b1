// What only a browser decides: which answers a page of another origin may read, server-sent events as pages get them, WebSockets with
// the origin that a browser says, and the page of the OpenAPI document under its own policy.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Browser, CHROMIUM } from './browser.ts';

const skip = CHROMIUM === undefined ? 'there is no Chromium here (apt-get install chromium-headless-shell)' : false;

let virga: Virga;
let browser: Browser;
let port: string;
before(async () => {
  if (CHROMIUM === undefined) return;
  virga = await startVirga();
  ({ port } = new URL(virga.edgeUrl));
  const page = await virga.deploy({
    'virga.yaml': 'project: page\nfunctions:\n  page: {source: page.mjs, http: "/{any+}"}\n',
    'page.mjs': `export default { fetch: () => new Response('<!doctype html><title>page</title>', { headers: { 'content-type': 'text/html' } }) };`,
  });
  assert.equal(page.code, 0, page.stderr);
  const api = await virga.deploy({
    'virga.yaml': `
project: api
gateway:
  openapi: {serve: /openapi.json, docs: /docs, title: Notes}
functions:
  notes:
    source: notes.mjs
    concurrency: 10
    http:
      - path: /notes
        methods: [GET, PUT]
        cors: {origins: ["http://page.localhost:${port}"], credentials: true, expose: [x-count]}
        validate: {query: {limit: {type: integer}}}
      - path: /own
        methods: [GET, PUT]
        cors: {origins: ["https://other.example.com"]}
      - path: /events
        cors: {origins: ["*"]}
  chat:
    source: chat.mjs
    http:
      - {path: /chat, websocket: {origins: ["http://page.localhost:${port}"]}}
      - {path: /closed, websocket: {}}
`,
    'notes.mjs': `
const encoder = new TextEncoder();
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname !== '/events') return Response.json({ method: request.method, cookie: request.headers.get('cookie') }, { headers: { 'x-count': '7', 'x-hidden': 'yes', 'set-cookie': 'seen=1; SameSite=None; Secure' } });
    const from = Number(request.headers.get('last-event-id') ?? 0);
    const body = new ReadableStream({
      start(controller) {
        for (let id = from + 1; id <= from + 2; id++) controller.enqueue(encoder.encode(\`id: \${id}\\nretry: 10\\ndata: event \${id}\\n\\n\`));
        controller.close();
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  },
};
`,
    'chat.mjs': `export const handler = ({ type, data }) => (type === 'virga.websocket.message' ? \`you said \${data.text}\` : undefined);`,
  });
  assert.equal(api.code, 0, api.stderr);
  browser = await Browser.start(CHROMIUM);
  await browser.open(`http://page.localhost:${port}/index.html`);
});
after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await virga?.[Symbol.asyncDispose]();
});

const api = (path: string) => `http://api.localhost:${port}${path}`;

test('a page of an allowed origin calls with a preflight and with cookies, and reads what is exposed', { skip }, async () => {
  const seen = await browser.run<unknown[]>(`async () => {
    const first = await fetch('${api('/notes')}', { credentials: 'include' });
    const put = await fetch('${api('/notes?limit=5')}', { method: 'PUT', credentials: 'include', headers: { 'x-asked': 'yes' }, body: '{}' });
    const { method, cookie } = await put.json();
    return [first.status, method, cookie, put.headers.get('x-count'), put.headers.get('x-hidden')];
  }`);
  assert.deepEqual(seen, [200, 'PUT', 'seen=1', '7', null]);
});

test('an answer that the gateway gives itself, an error, can be read by the page', { skip }, async () => {
  const seen = await browser.run<unknown[]>(`async () => {
    const refused = await fetch('${api('/notes?limit=many')}');
    return [refused.status, (await refused.json()).error.code];
  }`);
  assert.deepEqual(seen, [400, 'invalid_request']);
});

test('a page of another origin reads nothing, and its preflight fails', { skip }, async () => {
  const seen = await browser.run<string[]>(`async () => Promise.all([
    fetch('${api('/own')}').then(() => 'read', (error) => error.name),
    fetch('${api('/own')}', { method: 'PUT' }).then(() => 'read', (error) => error.name),
    fetch('${api('/own')}', { mode: 'no-cors' }).then((answer) => answer.type, (error) => error.name),
  ])`);
  assert.deepEqual(seen, ['TypeError', 'TypeError', 'opaque']);
});

test('server-sent events reach a page, which goes on where it was when the stream ends', { skip }, async () => {
  const seen = await browser.run<string[]>(`() => new Promise((resolve, reject) => {
    const events = [];
    const source = new EventSource('${api('/events')}');
    source.onmessage = ({ data, lastEventId }) => {
      events.push(lastEventId + ' ' + data);
      if (events.length < 5) return;
      source.close();
      resolve(events);
    };
    source.onerror = () => source.readyState === EventSource.CLOSED && reject(new Error('closed'));
  })`);
  assert.deepEqual(seen, ['1 event 1', '2 event 2', '3 event 3', '4 event 4', '5 event 5']);
});

test('a WebSocket of an allowed origin talks to its function, one of another is refused', { skip }, async () => {
  const seen = await browser.run<string[]>(`() => Promise.all(['/chat', '/closed'].map((path) => new Promise((resolve) => {
    const socket = new WebSocket('${api('').replace('http', 'ws')}' + path);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => { resolve(data); socket.close(); };
    socket.onerror = () => resolve('refused');
  })))`);
  assert.deepEqual(seen, ['you said hello', 'refused']);
});

test(
  'the page of the OpenAPI document lists the operations and sends a call, under its own content security policy',
  { skip },
  async () => {
    browser.complaints.length = 0;
    await browser.open(api('/docs'));
    const text = await browser.run<string>(`() => new Promise((resolve) => {
    const look = () => (document.body.innerText.includes('/notes') ? resolve(document.body.innerText) : requestAnimationFrame(look));
    look();
  })`);
    assert.match(text, /Notes/);
    assert.match(text, /\/own/);
    const sent = await browser.run<string>(`() => new Promise((resolve, reject) => {
    const form = [...document.querySelectorAll('form')].find((one) => one.closest('details, section, article')?.innerText.includes('/notes') ?? true);
    if (form === undefined) return reject(new Error('there is no form: ' + document.body.innerHTML.slice(0, 2000)));
    for (let at = form.parentElement; at !== null; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
    form.requestSubmit();
    const look = () => (/\\b200\\b[^]*"method"/.test(document.body.innerText) ? resolve('answered') : requestAnimationFrame(look));
    look();
  })`);
    assert.equal(sent, 'answered');
    assert.deepEqual(browser.complaints, []);
  },
);
