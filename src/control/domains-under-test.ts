// Cases of control.integration.test.ts. Domains: one owner each, served once proven, kept for who named them last.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { request } from './fixture.ts';
import type { StartControl, TestControl } from './fixture.ts';

export function domainCases(start: StartControl): void {
  describe('domains', () => {
    let control: TestControl;
    let artifact: string;
    before(async () => {
      control = await start();
      artifact = await control.upload('export const handler = () => 1');
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    const deploy = (project: string, domains: string[]): ReturnType<TestControl['call']> =>
      control.call('POST', `/v1/projects/${project}/deployments`, { json: { ...request(artifact), gateway: { domains } } });
    const domainsOf = async (project: string) => (await control.call('GET', `/v1/projects/${project}/domains`)).body.items;
    const verify = (project: string, domain: string) =>
      control.call('POST', `/v1/projects/${project}/domains/${domain}/verify`, { json: {} });

    test('a domain is served when its record says what it has to, and not before', async () => {
      const { status, body } = await deploy('proven', ['shop.example.com', '*.shop.example.com', 'shop.test']);
      assert.equal(status, 201);
      assert.match(
        body.warning,
        /2 domains are not served until .*\*\.shop\.example\.com once the TXT record _virga\.shop\.example\.com says/,
      );
      const [wild, plain, local] = await domainsOf('proven');
      assert.deepEqual([wild.served, plain.served, local.served, local.proof], [false, false, true, 'trusted']);
      assert.equal(plain.record.name, '_virga.shop.example.com');
      const early = await verify('proven', 'shop.example.com');
      assert.deepEqual([early.status, early.body.error.code], [409, 'domain_not_proven']);
      control.texts.set(plain.record.name, ['v=spf1', wild.record.value]);
      assert.match((await verify('proven', 'shop.example.com')).body.error.message, /it says 'v=spf1', 'virga=/);
      const proven = await verify('proven', '*.shop.example.com');
      assert.deepEqual([proven.status, proven.body.served, proven.body.proof], [200, true, 'dns']);
      assert.equal(control.edge.synced.at(-1), 0);
      assert.equal((await verify('proven', 'other.example.com')).body.error.code, 'domain_not_found');
    });

    test('a domain has one owner, and is free when that lets go of it; who takes it has to prove it anew', async () => {
      await deploy('owner', ['a.example.com']);
      const [first] = await domainsOf('owner');
      control.texts.set(first.record.name, [first.record.value]);
      assert.equal((await verify('owner', 'a.example.com')).status, 200);
      const taken = await deploy('other', ['a.example.com']);
      assert.deepEqual([taken.status, taken.body.error.code], [409, 'domain_taken']);
      assert.match(taken.body.error.message, /'a\.example\.com' belongs to project 'owner'/);
      // Whoever returns to it finds its proof again, as a rollback does.
      await deploy('owner', []);
      assert.deepEqual(await domainsOf('owner'), []);
      assert.equal((await control.call('POST', '/v1/projects/owner/rollback', { json: {} })).status, 201);
      assert.equal((await domainsOf('owner'))[0].served, true);
      await deploy('owner', []);
      assert.equal((await deploy('other', ['a.example.com'])).status, 201);
      const [mine] = await domainsOf('other');
      assert.equal(mine.served, false);
      assert.notEqual(mine.record.value, first.record.value);
    });

    test('names that could be nobody’s domain are refused', async () => {
      const { status, body } = await deploy('wrong', [
        '10.0.0.1',
        'localhost',
        'other.localhost',
        'a.b.localhost',
        'Shop.example.com',
        'a.test',
        'a.test',
      ]);
      assert.equal(status, 400);
      assert.deepEqual(
        body.error.detail.map(({ path }: { path: string }) => path),
        ['gateway.domains.0', 'gateway.domains.1', 'gateway.domains.2', 'gateway.domains.4', 'gateway.domains.6'],
      );
    });
  });
}
