// What Virga tells a project is told whatever is killed in between: over a real database and a real bus, with publishers that die.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VirgaError } from '../protocol/errors.ts';
import type { CloudEvent, DeploymentCreated } from '../protocol/events.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { deploymentCreated, projectsToTell, publishPlatformEvents, recordPlatformEvent } from './platform-events.ts';
import { PostgresBus } from './postgres/postgres.ts';
import { Publisher } from './publish.ts';
import { topologyOf } from './topology.ts';

const AT = Date.parse('2026-01-02T03:04:05.678Z');
const TOPOLOGY = topologyOf('shop', { triggers: { audit: [{ event: { type: ['virga.deployment.created'] } }] } }, ['audit']);

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

async function shopOf(database: TestDatabase) {
  const { records, connection } = database;
  await records.query(`insert into projects (name) values ('shop')`);
  const log: string[] = [];
  const bus = new PostgresBus({ connection, holder: 'control', log: () => {}, now: () => AT });
  const publisher = new Publisher({ bus, topologyOf: () => TOPOLOGY, limits: { messageBytesMax: 100_000 }, now: () => AT });
  const parts = { records, publisher, log: (_level: string, message: string) => void log.push(message) };
  const happen = (deployment: number, changes: DeploymentCreated['changes'] = []) =>
    records.transaction((sql) =>
      recordPlatformEvent(sql, 'shop', { ...deploymentCreated({ deployment, kind: 'deploy', by: 'operator', changes }), at: AT }),
    );
  const told = async () =>
    (await bus.peek('shop/event/audit', { limit: 100 })).map(({ body }) => JSON.parse(body) as CloudEvent<DeploymentCreated>);
  return { bus, publisher, parts, log, happen, told, left: () => projectsToTell(records, AT) };
}

test('what happened is told in its order and then forgotten; what was rolled back is not told', async () => {
  await using database = await postgres.database();
  const shop = await shopOf(database);
  await using _ = shop.bus;
  await shop.happen(1, [{ kind: 'function', name: 'audit', change: 'create' }]);
  await shop.happen(2);
  await assert.rejects(
    database.records.transaction(async (sql) => {
      await recordPlatformEvent(sql, 'shop', { type: 'virga.deployment.created', data: {}, at: AT });
      throw new Error('the deploy failed');
    }),
  );
  assert.deepEqual([await projectsToTell(database.records, AT - 1), await shop.left()], [[], ['shop']]);
  assert.equal(await publishPlatformEvents(shop.parts, 'shop'), true);
  const [first, second] = await shop.told();
  const { id, ...rest } = first!;
  assert.match(id, /^evt_[0-9a-z]{26}$/);
  assert.deepEqual(rest, {
    specversion: '1.0',
    source: '/projects/shop',
    type: 'virga.deployment.created',
    time: '2026-01-02T03:04:05.678Z',
    subject: '1',
    datacontenttype: 'application/json',
    data: { deployment: 1, kind: 'deploy', by: 'operator', changes: [{ kind: 'function', name: 'audit', change: 'create' }] },
  });
  assert.equal(second!.subject, '2');
  assert.deepEqual([await shop.left(), (await shop.told()).length], [[], 2]);
});

test('cut off before it is sent, after it, or by a bus that is away, it is told once in the end', async () => {
  await using database = await postgres.database();
  const shop = await shopOf(database);
  await using _ = shop.bus;
  await shop.happen(1);
  await shop.happen(2);
  const cuts: (typeof shop.parts.publisher.publishEvents)[] = [
    () => Promise.reject(new Error('cut off before')),
    () => Promise.reject(new VirgaError('unavailable', 'the database is away')),
    async (...args) => {
      await shop.publisher.publishEvents(...args);
      throw new Error('cut off after');
    },
  ];
  for (const publishEvents of cuts) {
    assert.equal(await publishPlatformEvents({ ...shop.parts, publisher: { publishEvents } }, 'shop'), false);
    assert.deepEqual(await shop.left(), ['shop']);
  }
  assert.equal(await publishPlatformEvents(shop.parts, 'shop'), true);
  assert.deepEqual(
    (await shop.told()).map(({ subject }) => subject),
    ['1', '2'],
  );
});

test('processes that race tell each once', async () => {
  await using database = await postgres.database();
  const shop = await shopOf(database);
  await using _ = shop.bus;
  for (let deployment = 1; deployment <= 5; deployment++) await shop.happen(deployment);
  await Promise.all([1, 2, 3].map(() => publishPlatformEvents(shop.parts, 'shop')));
  assert.deepEqual(
    (await shop.told()).map(({ subject }) => subject),
    ['1', '2', '3', '4', '5'],
  );
});

test('one that can never be told holds up no other, and of many changes the first are told', async () => {
  await using database = await postgres.database();
  const shop = await shopOf(database);
  await using _ = shop.bus;
  const changes = (count: number, name: string) => Array.from({ length: count }, () => ({ kind: 'route', name, change: 'create' }));
  await shop.happen(1, changes(500, 'x'.repeat(1_000)));
  await shop.happen(2, changes(502, '/'));
  assert.equal(await publishPlatformEvents(shop.parts, 'shop'), true);
  const [only] = await shop.told();
  assert.deepEqual([only!.subject, only!.data!.changes.length, only!.data!.more], ['2', 500, 2]);
  assert.deepEqual(shop.log, ['what happened to a project cannot be told']);
});
