// `securityHeaders`: on every answer of a route, whoever gives it, and never against the function's will unless told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const OWN = `{ headers: { 'X-Frame-Options': 'ALLOWALL', 'Content-Security-Policy': "default-src *" } }`;
const PROJECT = {
  'virga.yaml': `
project: careful
gateway:
  defaults:
    securityHeaders: true
functions:
  page:
    source: page.mjs
    http:
      - /page
      - path: /own
      - path: /replaced
        securityHeaders: {override: true}
      - path: /some
        securityHeaders: {frameOptions: DENY, permissionsPolicy: false, crossOriginResourcePolicy: same-site, contentSecurityPolicy: "script-src 'none'"}
      - path: /denied
        securityHeaders: {frameOptions: DENY}
      - path: /framed
        securityHeaders: {frameOptions: false}
      - path: /bare
        securityHeaders: false
  broken:
    source: broken.mjs
    http: /broken
`,
  'page.mjs': `export default { fetch: (request) => new Response('fine', /own|replaced/.test(request.url) ? ${OWN} : {}) };`,
  'broken.mjs': `export default { fetch: () => { throw new Error('broken'); } };`,
};
const NAMES = [
  'x-content-type-options',
  'referrer-policy',
  'x-frame-options',
  'content-security-policy',
  'permissions-policy',
  'cross-origin-opener-policy',
  'cross-origin-resource-policy',
];

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const headersOf = async (path: string, init?: RequestInit) => {
  const answer = await virga.fetch('careful', path, init);
  await answer.arrayBuffer();
  return { status: answer.status, headers: NAMES.map((name) => answer.headers.get(name)) };
};

const USUAL = [
  'nosniff',
  'strict-origin-when-cross-origin',
  'SAMEORIGIN',
  "default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'self'",
  'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'same-origin',
  null,
];

test('`true` is a sensible set, on answers of the function and on errors alike', async () => {
  assert.deepEqual(await headersOf('/page'), { status: 200, headers: USUAL });
  assert.deepEqual(await headersOf('/page', { method: 'HEAD' }), { status: 200, headers: USUAL });
  assert.deepEqual(await headersOf('/broken'), { status: 502, headers: USUAL });
});

test('what the function sets itself stays, unless the route says override', async () => {
  const own = [...USUAL];
  [own[2], own[3]] = ['ALLOWALL', 'default-src *'];
  assert.deepEqual((await headersOf('/own')).headers, own);
  assert.deepEqual((await headersOf('/replaced')).headers, USUAL);
});

test('each header can be another, or left out', async () => {
  assert.deepEqual((await headersOf('/some')).headers, [
    'nosniff',
    'strict-origin-when-cross-origin',
    'DENY',
    "script-src 'none'",
    null,
    'same-origin',
    'same-site',
  ]);
  assert.match((await headersOf('/denied')).headers[3]!, /; frame-ancestors 'none'$/);
  const framed = (await headersOf('/framed')).headers;
  assert.equal(framed[2], null);
  assert.doesNotMatch(framed[3]!, /frame-ancestors/);
  assert.deepEqual(
    (await headersOf('/bare')).headers,
    NAMES.map(() => null),
  );
});

test('a value that could be more than one header is refused, and so is a word that no browser knows', async () => {
  const wrong = async (rules: string) => {
    const { code, stderr } = await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: careful\nfunctions:\n  page:\n    source: page.mjs\n    http:\n      - path: /\n        securityHeaders: ${rules}\n`,
    });
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(
    await wrong(`{contentSecurityPolicy: "a\\r\\nset-cookie: x"}`),
    /contentSecurityPolicy is .*expected a Content-Security-Policy in one line/,
  );
  assert.match(await wrong('{frameOptions: deny}'), /frameOptions is \\"deny\\"; expected DENY, SAMEORIGIN or false/);
  assert.match(await wrong('{csp: x}'), /securityHeaders has no key 'csp'/);
});
