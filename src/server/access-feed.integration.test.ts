// What the edge reads of API keys and secrets, from a real Postgres.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { secretContext } from '../protocol/secret-context.ts';
import { KeyRing } from '../gateway/auth/key-ring.ts';
import { SecretRing } from '../gateway/auth/secret-ring.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { Sealing } from '../store/sealing.ts';
import { AccessFeed } from './access-feed.ts';

let postgres: TestPostgres;
let database: TestDatabase;
const sealing = new Sealing(Buffer.alloc(32, 7));
const log: string[] = [];
const keys = new KeyRing();
const secrets = new SecretRing();
const feed = new AccessFeed({
  keys,
  secrets,
  sealing,
  keysMax: 10,
  log: (_level, message, fields) => log.push(`${message} ${JSON.stringify(fields)}`),
});

before(async () => {
  postgres = await startTestPostgres();
  database = await postgres.database();
  await database.records.query(`insert into projects (name) values ('shop'), ('other')`);
});
after(async () => {
  await database[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const query = async (text: string, values: unknown[] = []) => await database.records.query<Record<string, never>>(text, values);

test('keys are read with what they may do, revoked ones not, and one project by itself', async () => {
  const hash = createHash('sha256').update('k').digest();
  const insert = `insert into api_keys (id, project, name, hash, scopes, plan, routes, created_by, revoked_at) values ($1, $2, 'n', $3, $4, $5, $6, 'test', $7)`;
  await query(insert, ['a', 'shop', hash, ['read'], 'free', ['GET /notes', 'not a route'], null]);
  await query(insert, ['b', 'shop', hash, [], null, null, new Date()]);
  await query(insert, ['c', 'other', hash, [], null, null, null]);
  await feed.loadKeys(database.records);
  const held = keys.find('shop', 'a')!;
  assert.deepEqual(held.known.principal, { kind: 'key', id: 'vk_a', scopes: ['read'], claims: { name: 'n' }, plan: 'free' });
  assert.deepEqual([held.hash.equals(hash), held.expiresAt, held.routes?.map(({ path }) => path)], [true, Infinity, ['/notes']]);
  assert.deepEqual(
    [keys.find('shop', 'b'), keys.find('shop', 'c'), keys.find('other', 'c')?.id, keys.size],
    [undefined, undefined, 'c', 2],
  );

  await query(`update api_keys set revoked_at = now()`);
  await feed.loadKeys(database.records, 'shop');
  assert.deepEqual([keys.find('shop', 'a'), keys.size], [undefined, 1]);
});

test('it is written down when keys were used, and never an earlier time', async () => {
  const used = { ...keys.find('other', 'c')!, project: 'other' };
  feed.start(database.records);
  for (const at of [1_800_000_000_000, 1_700_000_000_000]) {
    keys.used(used, at);
    await feed.close();
    const { rows } = await database.records.query<{ last_used_at: Date }>(`select last_used_at from api_keys where id = 'c'`);
    assert.equal(rows[0]!.last_used_at.getTime(), 1_800_000_000_000);
  }
});

test('only secrets that an authenticator which is deployed names are opened, and one that does not open opens nothing', async () => {
  const store = async (name: string, context = name) =>
    await query(`insert into secrets (project, name, sealed, updated_by) values ('shop', $1, $2, 'test')`, [
      name,
      sealing.seal(Buffer.from(`value of ${name}`), secretContext('shop', context)),
    ]);
  await store('LISTED');
  await store('SINGLE');
  await store('UNNAMED');
  await store('MOVED', 'LISTED');
  const state = {
    functions: {},
    routes: [{ path: '/', methods: null, function: 'f', policy: { auth: { jwt: { issuer: 'i', audience: 'a', secret: 'SINGLE' } } } }],
    gateway: { auth: { hook: { webhook: { sender: 'github', secret: ['GONE', 'LISTED', 'MOVED'] } } } },
  };
  const { rows } = await database.records.query<{ id: string }>(
    `insert into deployments (project, kind, state, created_by) values ('shop', 'deploy', $1, 'test') returning id`,
    [JSON.stringify(state)],
  );
  await feed.loadSecrets(database.records);
  assert.equal(secrets.get('shop', 'LISTED'), undefined, 'it is not deployed yet');
  await query(`update projects set current_deployment = $1 where name = 'shop'`, [rows[0]!.id]);
  await feed.loadSecrets(database.records);
  const names = ['LISTED', 'SINGLE', 'UNNAMED', 'MOVED'];
  assert.deepEqual(
    names.map((name) => secrets.get('shop', name)?.toString()),
    ['value of LISTED', 'value of SINGLE', undefined, undefined],
  );
  assert.equal(secrets.get('other', 'LISTED'), undefined);
  assert.match(log.join(), /cannot be opened .*"secret":"MOVED"/);
  assert.doesNotMatch(log.join(), /value of/);
  const { generation } = secrets;
  await feed.loadSecrets(database.records);
  assert.equal(secrets.generation, generation);
});
