// Who may call, over the real gateway with a scripted guest, where a system test cannot see or would have to wait.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import type { Guest } from '../../functions/testing.ts';
import { newKey } from '../../protocol/api-key.ts';
import { Flag, FrameType, encodeMetaFrame } from '../../protocol/frames.ts';
import type { HttpRequestMeta } from '../../protocol/frames.ts';
import type { GatewaySection, RoutePolicy } from '../../protocol/policies/policy.ts';
import { setUp } from '../gateway-under-test.ts';
import { principalHeader } from '../principal-words.ts';
import { AuthFeature } from './auth.ts';
import { BEARER } from './authenticator.ts';
import { KeyRing } from './key-ring.ts';
import { SecretRing } from './secret-ring.ts';
import { AuthServices } from './services.ts';

const KEY = newKey('abcdefghij');

function echo(guest: Guest, stream: number, meta: unknown): void {
  const { principal, headers } = meta as HttpRequestMeta;
  const body = Buffer.from(JSON.stringify({ principal, header: headers[headers.indexOf('x-virga-principal') + 1] }));
  guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, body, { flags: Flag.END, stream, arg: 0 }));
}

async function edgeWith(auth: RoutePolicy['auth'], gateway: GatewaySection = {}, settings: { runtime?: 'web' } = {}) {
  const [keys, secrets] = [new KeyRing(), new SecretRing()];
  const principal = { kind: 'key' as const, id: 'vk_abcdefghij', scopes: [], claims: {} };
  keys.replaceAll([
    {
      id: 'abcdefghij',
      project: 'p',
      hash: createHash('sha256').update(KEY).digest(),
      previous: undefined,
      expiresAt: Infinity,
      routes: undefined,
      known: { kind: 'known', principal, scheme: BEARER },
    },
  ]);
  secrets.replaceAll([{ project: 'p', name: 'S', value: Buffer.from('secret') }]);
  const services = new AuthServices({
    keys,
    secrets,
    asking: { add: () => {}, compiled: () => {} },
    engine: { invoke: () => assert.fail('no function is asked') },
    versionOf: () => undefined,
    fetchIssuer: () => Promise.reject(new Error('there is no network')),
    now: Date.now,
    remembered: 100,
  });
  const routes = [{ path: '/{all+}', methods: null, function: 'f', policy: { auth } as RoutePolicy }];
  const edge = await setUp({ onRequest: echo }, { routes, gateway, features: [new AuthFeature(services)], settings });
  return Object.assign(edge, { services, keys });
}

test('each way to be known is a challenge of its own line', async () => {
  await using edge = await edgeWith(
    { any: ['keys', 'hook', 'keys'] },
    { auth: { keys: { keys: {} }, hook: { webhook: { sender: 'github', secret: 'S' } } } },
  );
  const { status, rawHeaders } = await edge.get('/x');
  const challenges = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === 'www-authenticate');
  assert.deepEqual(
    [status, challenges],
    [401, ['ApiKey realm="p", header="x-api-key"', 'Signature realm="p", header="x-hub-signature-256"']],
  );
});

test('a route whose authenticator is not there lets nobody in', async () => {
  await using edge = await edgeWith('gone');
  assert.equal((await edge.get('/x', { headers: { 'x-api-key': KEY } })).status, 500);
  await using inherited = await edgeWith('constructor');
  assert.equal((await inherited.get('/x')).status, 500);
});

test('code without another way gets the principal as a header, and never one that a client sent', async () => {
  await using web = await edgeWith({ keys: {} }, {}, { runtime: 'web' });
  const said = JSON.parse((await web.get('/x', { headers: { 'x-api-key': KEY, 'X-Virga-Principal': 'forged' } })).body.toString()) as {
    header: string;
  };
  assert.equal((JSON.parse(Buffer.from(said.header, 'base64url').toString()) as { id: string }).id, 'vk_abcdefghij');
  await using native = await edgeWith({ keys: {} });
  const { principal } = JSON.parse((await native.get('/x', { headers: { 'x-api-key': KEY } })).body.toString()) as { principal: string };
  assert.equal((JSON.parse(principal) as { id: string }).id, 'vk_abcdefghij');
});

test('claims that are too many for a header are left out, and that is said', () => {
  const principal = { kind: 'jwt' as const, id: 'ada', scopes: ['read'], claims: { long: 'x'.repeat(5_000) } };
  const told = JSON.parse(Buffer.from(principalHeader(principal), 'base64url').toString()) as unknown;
  assert.deepEqual(told, { kind: 'jwt', id: 'ada', scopes: ['read'], claims: null });
});

test('a connection that asks for another protocol is asked who it is as well, and has no body that could be signed', async () => {
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  };
  const statusOf = async (port: number, headers: Record<string, string>) => {
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      path: '/x',
      headers: { host: 'p.localhost', ...handshake, ...headers },
      agent: false,
    });
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  await using keys = await edgeWith({ keys: {} }, {}, { runtime: 'web' });
  assert.equal(await statusOf(keys.port, {}), 401);
  assert.equal(await statusOf(keys.port, { 'x-api-key': KEY }), 200);
  await using hook = await edgeWith({ webhook: { sender: 'github', secret: 'S' } }, {}, { runtime: 'web' });
  assert.equal(await statusOf(hook.port, { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }), 401);
  assert.equal(await statusOf(hook.port, {}), 401);
});

test('when a key was used is noted once for each key', async () => {
  await using edge = await edgeWith({ keys: {} });
  for (let i = 0; i < 3; i++) await edge.get('/x', { headers: { 'x-api-key': KEY } });
  assert.deepEqual(
    edge.keys.takeUsed().map(({ project, id }) => [project, id]),
    [['p', 'abcdefghij']],
  );
  assert.deepEqual(edge.keys.takeUsed(), []);
});
