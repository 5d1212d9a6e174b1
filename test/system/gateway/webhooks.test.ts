// Signed webhooks as their senders sign them: GitHub, Stripe, Slack, Standard Webhooks, and a sender that the manifest describes.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const SECRET = 'It is a secret to everybody';
const STANDARD = `whsec_${Buffer.from('another secret of enough bytes').toString('base64')}`;
const PROJECT = {
  'virga.yaml': `
project: hooks
functions:
  hook:
    source: hook.mjs
    http:
      - {path: /github, auth: {webhook: {sender: github, secret: SHARED, bytesMax: 2000}}}
      - {path: /stripe, auth: {webhook: {sender: stripe, secret: [NEXT, SHARED], tolerance: 1m}}}
      - {path: /slack, auth: {webhook: {sender: slack, secret: SHARED}}}
      - {path: /standard, auth: {webhook: {sender: standard, secret: STANDARD}}}
      - path: /generic
        auth:
          webhook:
            sender: generic
            secret: SHARED
            header: X-Signature
            algorithm: sha512
            encoding: base64
            prefix: "v2="
            timestamp: x-time
            id: x-id
            content: "{method}:{path}:{timestamp}:{id}:{body}"
      - {path: /either, auth: {any: [github, keys]}}
gateway:
  auth:
    github: {webhook: {sender: github, secret: SHARED}}
    keys: {keys: {}}
`,
  'hook.mjs': `
let failures = 0;
export default {
  async fetch(request, context) {
    const body = await request.text();
    if (body.includes('fail') && failures++ === 0) return new Response('later', { status: 503 });
    return Response.json({ principal: context.principal, body });
  },
};`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const early = await virga.deploy(PROJECT);
  assert.match(early.stderr, /names what is not there: the project has no secret of this name; `virga secrets set SHARED` stores one/);
  for (const [name, value] of [
    ['SHARED', SECRET],
    ['NEXT', 'not used yet'],
    ['STANDARD', STANDARD],
  ]) {
    const stored = await virga.cli(['secrets', 'set', name!, '--project', 'hooks'], { input: value! });
    assert.equal(stored.code, 0, stored.stderr);
  }
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

async function post(path: string, body: string | Buffer, headers: Record<string, string>) {
  const answer = await virga.fetch('hooks', path, { method: 'POST', body: body as string, headers });
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), text: await answer.text() };
}

function hmac(
  content: string,
  encoding: 'hex' | 'base64' = 'hex',
  { algorithm = 'sha256', key = SECRET }: { algorithm?: string; key?: string | Buffer } = {},
): string {
  return createHmac(algorithm, key).update(content).digest(encoding);
}

const now = (): number => Math.floor(Date.now() / 1_000);

test('GitHub: the body that was signed passes, once, as it came', async () => {
  const body = '{"zen":"Anything added dilutes everything else.\\u00e9"}\n';
  const signed = { 'x-hub-signature-256': `sha256=${hmac(body)}`, 'content-type': 'application/json' };
  const answer = await post('/github', body, signed);
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(JSON.parse(answer.text), { principal: { kind: 'webhook', id: 'github', scopes: [], claims: {} }, body });
  const again = await post('/github', body, signed);
  assert.deepEqual([again.status, /was taken already/.test(again.text)], [401, true]);
  const none = await post('/github', body, {});
  assert.deepEqual([none.status, none.challenge], [401, 'Signature realm="hooks", header="x-hub-signature-256"']);
  for (const header of [`sha256=${hmac(`${body} `)}`, hmac(body), 'sha256=', `sha256=${hmac(body).slice(2)}`, `sha1=${hmac(body)}`]) {
    const wrong = await post('/github', body, { 'x-hub-signature-256': header });
    assert.equal(wrong.status, 401, header);
    assert.match(wrong.challenge ?? '', /error="invalid_token"/);
  }
});

test('a larger body than may be signed is refused', async () => {
  const body = 'x'.repeat(2_001);
  const answer = await post('/github', body, { 'x-hub-signature-256': `sha256=${hmac(body)}` });
  assert.equal(answer.status, 413);
});

test('a delivery whose call failed may come again', async () => {
  const body = '{"please":"fail"}';
  const signed = { 'x-hub-signature-256': `sha256=${hmac(body)}` };
  assert.deepEqual([(await post('/github', body, signed)).status, (await post('/github', body, signed)).status], [503, 200]);
  assert.equal((await post('/github', body, signed)).status, 401);
});

test('Stripe: time and body are signed, by the old secret or the new one', async () => {
  const body = '{"id":"evt_1"}';
  const header = (t: number, key = SECRET): string => `t=${t},v1=${'0'.repeat(64)},v1=${hmac(`${t}.${body}`, 'hex', { key })},v0=abc`;
  assert.equal((await post('/stripe', body, { 'stripe-signature': header(now()) })).status, 200);
  assert.equal((await post('/stripe', body, { 'stripe-signature': header(now() - 1, 'not used yet') })).status, 200);
  assert.equal((await post('/stripe', body, { 'stripe-signature': header(now() - 1, 'a third one') })).status, 401);
  for (const t of [now() - 62, now() + 65]) {
    const late = await post('/stripe', body, { 'stripe-signature': header(t) });
    assert.deepEqual([late.status, /too long ago/.test(late.text)], [401, true]);
  }
  const moved = header(now() - 62).replace(/t=\d+/, `t=${now()}`);
  assert.equal((await post('/stripe', body, { 'stripe-signature': moved })).status, 401);
});

test('Slack and Standard Webhooks', async () => {
  const body = 'token=x&team_id=T1';
  const t = String(now());
  const slack = { 'x-slack-request-timestamp': t, 'x-slack-signature': `v0=${hmac(`v0:${t}:${body}`)}` };
  assert.equal((await post('/slack', body, slack)).status, 200);
  assert.equal((await post('/slack', `${body}!`, slack)).status, 401);
  const old = String(now() - 301);
  assert.equal(
    (await post('/slack', body, { 'x-slack-request-timestamp': old, 'x-slack-signature': `v0=${hmac(`v0:${old}:${body}`)}` })).status,
    401,
  );

  const key = Buffer.from(STANDARD.slice(6), 'base64');
  const signature = hmac(`msg_1.${t}.${body}`, 'base64', { key });
  const standard = { 'webhook-id': 'msg_1', 'webhook-timestamp': t, 'webhook-signature': `v1,${'A'.repeat(43)}= v1,${signature}` };
  assert.equal((await post('/standard', body, { ...standard, 'webhook-id': 'msg_2' })).status, 401);
  assert.equal((await post('/standard', body, standard)).status, 200);
  assert.equal((await post('/standard', body, standard)).status, 401);
});

test('a sender of its own way: headers, hash, encoding and what is signed are described', async () => {
  const time = new Date().toISOString();
  const content = (path: string, id: string): string => `POST:${path}:${time}:${id}:body`;
  const headers = (id: string, signedId = id) => ({
    'x-time': time,
    'x-id': id,
    'x-signature': `v2=${hmac(content('/@hooks/generic?a=1', signedId), 'base64', { algorithm: 'sha512' })}`,
  });
  assert.equal((await post('/generic?a=1', 'body', headers('1', '2'))).status, 401);
  assert.equal((await post('/generic?a=2', 'body', headers('1'))).status, 401);
  assert.equal((await post('/generic?a=1', 'body', headers('1'))).status, 200);
  const { 'x-id': _, ...lacking } = headers('3');
  assert.equal((await post('/generic?a=1', 'body', lacking)).status, 401);
});

test('a webhook or a key', async () => {
  const { key } = (await virga.cli(['keys', 'create', '--project', 'hooks', '--json'])).json<{ key: string }>();
  assert.equal((await post('/either', 'by key', { 'x-api-key': key })).status, 200);
  assert.equal((await post('/either', 'by webhook', { 'x-hub-signature-256': `sha256=${hmac('by webhook')}` })).status, 200);
  const neither = await post('/either', 'x', { 'x-hub-signature-256': `sha256=${hmac('y')}` });
  assert.equal(neither.status, 401);
  assert.match(neither.challenge ?? '', /^Signature .*, ApiKey realm="hooks", header="x-api-key"$/);
});

test('a description that proves nothing is refused at deploy', async () => {
  const deploy = async (webhook: string) =>
    await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: hooks\nfunctions:\n  hook:\n    source: hook.mjs\n    http:\n      - path: /\n        auth: {webhook: ${webhook}}\n`,
    });
  const cases: [string, RegExp][] = [
    ['{sender: gitlab, secret: SHARED}', /expected a sender: github/],
    ['{sender: github, secret: SHARED, header: x}', /it is for `sender: generic`/],
    ['{sender: generic, secret: SHARED}', /generic needs the `header`/],
    ['{sender: generic, secret: SHARED, header: x, timestamp: x-t}', /what is not signed proves nothing/],
    ['{sender: github, secret: "a secret"}', /expected the name of a secret/],
  ];
  for (const [webhook, said] of cases) {
    const wrong = await deploy(webhook);
    assert.equal(wrong.code, 1, webhook);
    assert.match(wrong.stderr, said);
  }
});
