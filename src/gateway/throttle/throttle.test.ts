// Whom limits count when it is known who calls: principals, keys and their plans, over real HTTP with an `auth` that believes
// what a header says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Guest } from '../../functions/testing.ts';
import { Flag, FrameType, encodeMetaFrame } from '../../protocol/frames.ts';
import type { Principal } from '../../protocol/principal.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import { setUp } from '../gateway-under-test.ts';
import type { Feature } from '../stage.ts';
import { Quotas } from './quotas.ts';
import { ThrottleFeature } from './throttle.ts';

const PLANS = {
  free: { quota: { limit: 2, per: 'day' as const } },
  pro: { quota: { limit: 5, per: 'day' as const }, throttle: { rate: '4/h' } },
};

/** `kind id plan`, or nothing. */
const auth: Feature = {
  compile: () => ({
    onHead: (request) => {
      const [kind, id, plan] = request.header('x-principal')?.split(' ') ?? [];
      if (kind === undefined || id === undefined) return undefined;
      request.principal = { kind: kind as Principal['kind'], id, ...(plan === undefined ? {} : { plan }), scopes: [], claims: {} };
      return undefined;
    },
  }),
};

function fine(guest: Guest, stream: number): void {
  guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, Buffer.from('fine'), { flags: Flag.END, stream, arg: 0 }));
}

async function serving(policy: RoutePolicy) {
  const quotas = new Quotas({ store: { load: async () => [], add: async (all) => all }, countersMax: 100, log: () => {} });
  const gateway = await setUp(
    { onRequest: fine },
    {
      features: [auth, new ThrottleFeature({ quotas, bucketsMax: 100 })],
      gateway: { plans: PLANS },
      routes: [{ path: '/', methods: null, function: 'f', policy }],
    },
  );
  const ask = async (principal?: string) =>
    await gateway.get('/', principal === undefined ? {} : { headers: { 'x-principal': principal } });
  return {
    ask,
    statuses: async (principal: string | undefined, times: number) => {
      const all = [];
      for (let i = 0; i < times; i++) all.push((await ask(principal)).status);
      return all;
    },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]();
      await quotas.close(1_000);
    },
  };
}

test('principals are counted by what they are and who they are, callers without one by address', async () => {
  await using at = await serving({ throttle: { rate: '1/h', by: 'principal' } });
  for (const who of ['jwt alice', 'jwt bob', 'key alice', undefined]) assert.deepEqual(await at.statuses(who, 2), [200, 429], String(who));
});

test('by key, a principal that is no key is counted by address', async () => {
  await using at = await serving({ throttle: { rate: '1/h', by: 'key' } });
  assert.deepEqual(await at.statuses('key one', 2), [200, 429]);
  assert.deepEqual(await at.statuses('key two', 1), [200]);
  assert.deepEqual([...(await at.statuses('jwt alice', 1)), ...(await at.statuses('jwt bob', 1))], [200, 429]);
});

test('a principal is held to its own plan, one without or with an unknown plan to that of the route', async () => {
  await using at = await serving({ plan: 'free' });
  assert.deepEqual(await at.statuses('key a pro', 5), [200, 200, 200, 200, 429]);
  const rated = await at.ask('key a pro');
  assert.match(rated.body.toString(), /rate_limited.*4\/h of the plan 'pro'/);
  assert.deepEqual(await at.statuses('key b', 3), [200, 200, 429]);
  assert.deepEqual(await at.statuses('key c gone', 3), [200, 200, 429]);
  assert.deepEqual(await at.statuses(undefined, 3), [200, 200, 429]);
  assert.match((await at.ask('key b')).body.toString(), /quota_exceeded/);
});

test('without a plan of the route only principals that have one are counted', async () => {
  await using at = await serving({});
  assert.deepEqual(await at.statuses(undefined, 4), [200, 200, 200, 200]);
  assert.equal((await at.ask()).headers['ratelimit'], undefined);
  assert.equal((await at.ask('key a free')).headers['ratelimit']?.toString().startsWith('"quota";r=1;t='), true);
});
