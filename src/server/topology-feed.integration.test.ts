// What the control role knows of the projects' queues and topics: it follows the deployments, and asks for what it does not know.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Topology } from '../events/topology.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { TopologyFeed } from './topology-feed.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

async function deploy({ records }: TestDatabase, project: string, queues: Record<string, object>, notify = true): Promise<void> {
  await records.transaction(async (sql) => {
    await sql.query('insert into projects (name) values ($1) on conflict do nothing', [project]);
    const { rows } = await sql.query<{ id: string }>(
      `insert into deployments (project, kind, state, created_by) values ($1, 'deploy', $2, 'test') returning id`,
      [project, JSON.stringify({ functions: { f: { version: 1 } }, routes: [], events: { queues } })],
    );
    await sql.query('update projects set current_deployment = $2 where name = $1', [project, rows[0]!.id]);
    if (notify) await sql.query(`select pg_notify('virga_deployments', $1)`, [rows[0]!.id]);
  });
}

const queuesOf = (topology: Topology | undefined) => topology && [...topology.queues.keys()];

test('it follows what is deployed', async () => {
  await using database = await postgres.database();
  await deploy(database, 'shop', { orders: {} });
  let now = 0;
  let heard = Promise.withResolvers<Topology[]>();
  const feed = new TopologyFeed({ connection: database.connection, onRead: (all) => heard.resolve(all), log: () => {}, now: () => now });
  try {
    await feed.start();
    assert.deepEqual(queuesOf(await feed.topologyOf('shop')), ['orders']);
    const held = feed.topologyOf('shop');
    assert.ok(!(held instanceof Promise), 'what is known costs no question');

    heard = Promise.withResolvers();
    await deploy(database, 'other', { a: {} });
    assert.deepEqual(
      (await heard.promise).map(({ project }) => project).toSorted((a, b) => a.localeCompare(b)),
      ['other', 'shop'],
    );
    assert.equal(feed.topologyOf('shop'), held, 'a project that did not change is not compiled again');

    // A deployment of which nobody has told yet: the project is asked for, once a second.
    assert.equal(await feed.topologyOf('later'), undefined);
    await deploy(database, 'later', { b: {} }, false);
    assert.equal(await feed.topologyOf('later'), undefined);
    now = 1_001;
    assert.deepEqual(queuesOf(await feed.topologyOf('later')), ['b']);

    await deploy(database, 'shop', { orders: {}, more: {} }, false);
    await feed.refresh();
    assert.deepEqual(queuesOf(await feed.topologyOf('shop')), ['more', 'orders']);
  } finally {
    await feed.close();
  }
});
