// The bus while Postgres is away, and when it refuses: what callers are told, and that everything goes on by itself.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { prepareEmbedded } from '../store/records/embedded/embedded.ts';
import { migrate } from '../store/records/migrate.ts';
import { DATABASE } from '../store/records/postgres.ts';
import { bodies, codeOf, counted, Heard, queueSpec, receive, send, settle, streamSpec } from './conformance/place.ts';
import { PostgresBus } from './postgres/postgres.ts';

type Embedded = Awaited<ReturnType<typeof prepareEmbedded>>;

let folder: string;
let embedded: Embedded;
let server: Awaited<ReturnType<Embedded['start']>>;
let connection: pg.ClientConfig;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'virga-bus-'));
  const socketFolder = join(folder, 'run');
  await mkdir(socketFolder, { mode: 0o700 });
  embedded = await prepareEmbedded({ cluster: join(folder, 'postgres'), socketFolder, onLog: () => {}, fsync: false });
  server = await embedded.start();
  connection = { host: socketFolder, port: 5432, user: DATABASE, database: DATABASE };
  await sql(async (client) => await migrate(client));
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function sql(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(connection);
  await client.connect();
  await work(client);
  await client.end();
}

test('while Postgres is away callers are told so, and when it is back everything goes on, notifications too', async () => {
  await using bus = new PostgresBus({ connection, holder: 'edge', log: () => {} });
  await using other = new PostgresBus({ connection, holder: 'control', log: () => {} });
  const queue = queueSpec('outage');
  const heard = new Heard<string>();
  bus.onReady(heard.push);
  await send(other, queue, 'before');
  await heard.until((keys) => keys.includes(queue.key));
  const held = await receive(bus, queue);
  await server.stop();
  const calls = [
    send(bus, queue, 'away'),
    receive(bus, queue),
    settle(bus, queue, held, { as: 'done' }),
    bus.append(streamSpec('outage'), [{ id: 'rec_1', partitionKey: 'k', data: 'x', attributes: {} }]),
    bus.stats([queue.key]),
    bus.recover(),
    bus.upkeep(),
  ];
  assert.deepEqual(
    await Promise.all(calls.map((call) => codeOf(call))),
    calls.map(() => 'unavailable'),
  );
  heard.forget();
  server = await embedded.start();
  await heard.until((keys) => keys.includes(queue.key));
  assert.deepEqual(await settle(bus, queue, held, { as: 'done' }), [true], 'it is still held');
  heard.forget();
  await send(other, queue, 'after');
  await heard.until((keys) => keys.includes(queue.key));
  assert.deepEqual(bodies(await receive(bus, queue)), ['after']);
  assert.deepEqual(await counted(bus, queue.key), { pending: 0, delayed: 0, held: 1, sent: 2, done: 1, retried: 0, dead: 0 });
});

test('a full disk is called so, and a statement that fails says nothing of what it held', async () => {
  await using bus = new PostgresBus({ connection, holder: 'edge', log: () => {} });
  const queue = queueSpec('disk');
  await send(bus, queue, 'a');
  const refuse = (state: string): Promise<void> =>
    sql(async (client) => {
      await client.query(
        `create or replace function refuse() returns trigger language plpgsql as $$ begin raise exception 'no space left' using errcode = '${state}'; end $$;
         create or replace trigger refuse before insert on event_messages execute function refuse()`,
      );
    });
  await refuse('53100');
  assert.equal(await codeOf(send(bus, queue, 'b')), 'disk_full');
  await refuse('P0001');
  const failed = await send(bus, queue, 'secret').catch((error: unknown) => error as Error & { code: string });
  assert.equal(failed?.code, 'internal');
  assert.ok(!failed.message.includes('secret'));
  await sql((client) => client.query('drop trigger refuse on event_messages'));
  await send(bus, queue, 'c');
  assert.deepEqual(bodies(await receive(bus, queue)), ['a', 'c']);
});

test('a lock that somebody else holds fails a send in its time, not for ever', async () => {
  await using bus = new PostgresBus({ connection, holder: 'edge', log: () => {}, statementTimeoutMs: 300 });
  const queue = queueSpec('locked');
  await send(bus, queue, 'a');
  const client = new pg.Client(connection);
  await client.connect();
  await client.query('begin; lock table event_messages in exclusive mode');
  assert.equal(await codeOf(send(bus, queue, 'b')), 'unavailable');
  await client.query('rollback');
  await client.end();
  await send(bus, queue, 'c');
  assert.deepEqual(bodies(await receive(bus, queue)), ['a', 'c']);
});
