import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import type { JWK } from 'jose';
import { KeySet, KeysUnavailable } from './key-set.ts';

let [first, second]: JWK[] = [];
before(async () => {
  [first, second] = await Promise.all(
    ['1', '2'].map(async (kid) => ({ ...(await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey)), kid })),
  );
});

/** An issuer whose keys, clock and availability the test decides. */
function setUp(keys: JWK[]) {
  const issuer = { keys, now: 1_000_000, fetches: 0, away: false };
  const fetch = async (): Promise<unknown> => {
    issuer.fetches++;
    await Promise.resolve();
    if (issuer.away) throw new Error('it is away');
    return { keys: issuer.keys };
  };
  return { issuer, set: new KeySet({ jwks: 'https://login.example/keys', issuer: 'x', fetch, now: () => issuer.now }) };
}

const asked = (kid?: string) => ({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) });

test('many first tokens make one fetch', async () => {
  const { issuer, set } = setUp([first!]);
  const found = await Promise.all(Array.from({ length: 10 }, () => set.candidates(asked('1'))));
  assert.deepEqual([issuer.fetches, new Set(found.map(({ length }) => length))], [1, new Set([1])]);
});

test('a key id that is not known is looked for again, at most every 30 s', async () => {
  const { issuer, set } = setUp([first!]);
  await set.candidates(asked('1'));
  issuer.keys = [first!, second!];
  assert.equal((await set.candidates(asked('2'))).length, 0);
  issuer.now += 29_000;
  assert.equal((await set.candidates(asked('2'))).length, 0);
  assert.equal(issuer.fetches, 1);
  issuer.now += 1_000;
  assert.deepEqual([(await set.candidates(asked('2'))).length, issuer.fetches, set.generation], [1, 2, 0]);
  for (let i = 0; i < 100; i++) assert.equal((await set.candidates(asked(`made up ${i}`))).length, 0);
  assert.equal(issuer.fetches, 2);
});

test('a key that has gone changes the generation, though all tokens are remembered', async () => {
  const { issuer, set } = setUp([first!, second!]);
  await set.candidates(asked('1'));
  issuer.keys = [second!];
  set.keepFresh();
  assert.equal(issuer.fetches, 1);
  issuer.now += 600_001;
  set.keepFresh();
  await set.candidates(asked('2'));
  await new Promise(setImmediate);
  assert.deepEqual([issuer.fetches, set.generation], [2, 1]);
  assert.equal((await set.candidates(asked('1'))).length, 0);
});

test('what is known serves while the issuer is away, for a day', async () => {
  const { issuer, set } = setUp([first!]);
  await set.candidates(asked('1'));
  issuer.away = true;
  issuer.now += 24 * 3_600_000;
  assert.equal((await set.candidates(asked('1'))).length, 1);
  issuer.now += 1;
  await new Promise(setImmediate);
  await assert.rejects(set.candidates(asked('1')), (error) => error instanceof KeysUnavailable);
  const { fetches } = issuer;
  await assert.rejects(set.candidates(asked('1')), /it is away/);
  assert.equal(issuer.fetches, fetches);
  issuer.away = false;
  issuer.now += 5_000;
  assert.equal((await set.candidates(asked('1'))).length, 1);
});

test('a key is used only for what it is: kind, curve, use and algorithm', async () => {
  const { set } = setUp([
    { ...first!, kid: 'enc', use: 'enc' },
    { ...first!, kid: 'other', alg: 'ES384' },
    { ...second!, kid: 'sig', use: 'sig' },
    { kty: 'oct', k: 'c2VjcmV0', kid: 'sig' },
  ]);
  for (const [kid, alg, count] of [
    ['enc', 'ES256', 0],
    ['other', 'ES256', 0],
    ['sig', 'ES256', 1],
    ['sig', 'ES384', 0],
    ['sig', 'RS256', 0],
    ['sig', 'HS256', 0],
    [undefined, 'ES256', 1],
  ] as const)
    assert.equal((await set.candidates({ alg, ...(kid === undefined ? {} : { kid }) })).length, count, `${kid} ${alg}`);
});
