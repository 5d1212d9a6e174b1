// Cases of control.integration.test.ts. API keys and secrets: what is stored of them, and what is never told.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { StartControl, TestControl } from './fixture.ts';
import { secretContext } from '../protocol/secret-context.ts';

export function accessCases(start: StartControl): void {
  describe('API keys and secrets', () => {
    let control: TestControl;
    before(async () => {
      control = await start({ apiKeysMax: 3 });
      await control.records.query(`insert into projects (name) values ('shop'), ('other')`);
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    test('of a key only its hash is stored, and the edge hears of it', async () => {
      const made = await control.call('POST', '/v1/projects/shop/keys', { json: { name: 'Acme', scopes: ['read'], expires: '1d' } });
      assert.equal(made.status, 201);
      const { key, id } = made.body;
      assert.match(key, /^vk_[0-9a-z]{10}_[0-9a-z]{42}$/);
      assert.ok(key.startsWith(id));
      const { rows } = await control.records.query<{ hash: Buffer }>('select * from api_keys');
      assert.ok(rows[0]!.hash.equals(createHash('sha256').update(key).digest()));
      assert.doesNotMatch(JSON.stringify(rows), new RegExp(key.slice(14)));
      assert.doesNotMatch(control.log.join('\n'), new RegExp(key.slice(14)));
      assert.equal(control.edge.accessed.at(-1), 'shop');
    });

    test('a node has at most so many keys; those that are revoked do not count', async () => {
      const make = async () => await control.call('POST', '/v1/projects/shop/keys', { json: {} });
      const [second, third, fourth] = [await make(), await make(), await make()];
      assert.deepEqual([second.status, third.status, fourth.status, fourth.body.error.code], [201, 201, 422, 'too_many']);
      assert.equal((await control.call('DELETE', `/v1/projects/shop/keys/${second.body.id}`)).status, 200);
      assert.equal((await make()).status, 201);
    });

    test('a key is found in its own project alone, page by page', async () => {
      const page = await control.call('GET', '/v1/projects/shop/keys?limit=2');
      assert.deepEqual([page.body.items.length, typeof page.body.next], [2, 'string']);
      const rest = await control.call('GET', `/v1/projects/shop/keys?limit=2&cursor=${page.body.next}`);
      assert.deepEqual([rest.body.items.length, rest.body.next], [1, null]);
      const { id } = page.body.items[0];
      for (const [method, path] of [
        ['DELETE', `/v1/projects/other/keys/${id}`],
        ['POST', `/v1/projects/other/keys/${id}/rotate`],
      ] as const)
        assert.equal((await control.call(method, path, method === 'POST' ? { json: {} } : {})).status, 404);
      assert.equal((await control.call('GET', '/v1/projects/nowhere/keys')).body.error.code, 'project_not_found');
    });

    test('what a key cannot be is refused', async () => {
      for (const [json, said] of [
        [{ scopes: ['a b'] }, /scope/],
        [{ expires: '90' }, /must be a duration/],
        [{ routes: ['notes'] }, /must be a route as it is declared/],
        [{ routes: [] }, /at least 1/],
        [{ plans: 'x' }, /did you mean 'plan'/],
      ] as const) {
        const wrong = await control.call('POST', '/v1/projects/shop/keys', { json });
        assert.equal(wrong.status, 400);
        assert.match(JSON.stringify(wrong.body), said);
      }
    });

    test('a secret is stored sealed for its place, told to nobody, and not removed while it is in use', async () => {
      const value = 'the value of a secret';
      for (const name of ['NAMED', 'UNNAMED']) {
        const stored = await control.call('PUT', `/v1/projects/shop/secrets/${name}`, { json: { value } });
        assert.deepEqual([stored.status, JSON.stringify(stored.body).includes(value)], [200, false]);
      }
      const { rows } = await control.records.query<{ name: string; sealed: Buffer }>('select * from secrets order by name');
      assert.ok(!rows[0]!.sealed.includes(value));
      const { sealing } = control.needs;
      assert.equal(sealing.unseal(rows[0]!.sealed, secretContext('shop', 'NAMED')).toString(), value);
      assert.throws(() => sealing.unseal(rows[0]!.sealed, secretContext('shop', 'UNNAMED')));
      assert.doesNotMatch(JSON.stringify((await control.call('GET', '/v1/projects/shop/secrets')).body), /the value/);
      assert.doesNotMatch(control.log.join('\n'), /the value/);

      const state = {
        functions: {},
        routes: [],
        gateway: { auth: { hook: { webhook: { sender: 'github', secret: ['GONE', 'NAMED'] } } } },
      };
      const { rows: made } = await control.records.query<{ id: string }>(
        `insert into deployments (project, kind, state, created_by) values ('shop', 'deploy', $1, 'test') returning id`,
        [JSON.stringify(state)],
      );
      await control.records.query(`update projects set current_deployment = $1 where name = 'shop'`, [made[0]!.id]);
      const used = await control.call('DELETE', '/v1/projects/shop/secrets/NAMED');
      assert.deepEqual([used.status, used.body.error.code], [409, 'secret_in_use']);
      assert.equal((await control.call('DELETE', '/v1/projects/shop/secrets/UNNAMED')).status, 204);
      assert.equal((await control.call('DELETE', '/v1/projects/shop/secrets/UNNAMED')).body.error.code, 'secret_not_found');
    });

    test('a value that is empty, or too large, is refused without being quoted', async () => {
      for (const value of ['', 'é'.repeat(33_000), 4242, undefined]) {
        const wrong = await control.call('PUT', '/v1/projects/shop/secrets/S', { json: { value } });
        assert.equal(wrong.status, 400);
        assert.doesNotMatch(JSON.stringify(wrong.body), /éé|4242/);
      }
    });
  });
}
