// Plans of prepared statements are kept, and those that were made while the tables were empty must not walk through them once they are full:
// what is read for ten messages is asked of Postgres itself, with a backlog of twenty thousand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { startTestPostgres } from '../store/records/testing.ts';
import { drain, queueSpec, receive, send, settle } from './conformance/place.ts';
import { PostgresBus } from './postgres/postgres.ts';

const BACKLOG = 20_000;
const STEP = 2_000;
const FEW = 10;
/** Entries of indexes and rows: of ten messages some hundred; statistics look at a thousand, and so does a retry within a group. */
const READ_MAX = 6_000;

test('what is done with ten messages reads no more than their rows, though its plans were made for empty tables', async () => {
  await using postgres = await startTestPostgres();
  await using db = await postgres.database();
  const client = new pg.Client(db.connection);
  await client.connect();
  await using closing = { [Symbol.asyncDispose]: () => client.end() };
  void closing;
  /** Connections tell what they read when they end, which is after they were closed here. */
  const read = async ({ once }: { once: string }): Promise<number> => {
    for (;;) {
      await client.query('select pg_stat_clear_snapshot()');
      const { rowCount } = await client.query('select 1 from pg_stat_activity where application_name = $1', [once]);
      if (rowCount === 0) break;
    }
    await client.query('select pg_stat_clear_snapshot()');
    const { rows } = await client.query<{ read: string }>(
      `select sum(coalesce(s.idx_tup_read, 0) + coalesce(t.seq_tup_read, 0)) as read
         from pg_stat_user_tables t left join (select relid, sum(idx_tup_read) as idx_tup_read from pg_stat_user_indexes group by relid) s using (relid)
        where t.relname like 'event\\_%'`,
    );
    return Number(rows[0]!.read);
  };
  for (const groups of [0, 1_000]) {
    const fifo = groups > 0;
    const queue = queueSpec(fifo ? `groups-${groups}` : 'plain', { fifo, receivesMax: 1_000 });
    const message = (n: number) => ({ id: `msg_${n}`, body: 'x', attributes: {}, ...(fifo ? { group: `g${n % groups}` } : {}) });
    const busOf = (name: string) =>
      new PostgresBus({ connection: { ...db.connection, application_name: name }, holder: name, log: () => {} });
    const bus = busOf(queue.key);
    try {
      // Every statement is planned here, by a server that knows the tables to be empty.
      await client.query('vacuum (analyze) event_messages, event_groups, event_counters');
      const rounds = async (): Promise<void> => {
        for (const settlement of [{ as: 'retry', delayMs: 0 }, { as: 'extend', leaseMs: 30_000 }, { as: 'done' }] as const) {
          const held = await receive(bus, queue, { max: FEW });
          if (held.length > 0) await settle(bus, queue, held, settlement);
          if (settlement.as === 'extend') await settle(bus, queue, held, { as: 'retry', delayMs: 0 });
        }
        const dying = await receive(bus, queue, { max: FEW });
        await settle(bus, queue, dying, { as: 'dead' });
        await bus.redrive(queue.dead!, { targetOf: () => queue, max: FEW });
        assert.equal((await bus.stats([queue.key]))[0]!.held, 0);
      };
      await bus.send([{ queue, messages: Array.from({ length: 2 * FEW }, (_, n) => message(n)) }]);
      await rounds();
      await drain(bus, queue);
      const filler = busOf('filler');
      for (let n = 0; n < BACKLOG; n += STEP)
        await filler.send([{ queue, messages: Array.from({ length: STEP }, (_, i) => message(1_000 + n + i)) }]);
      await filler[Symbol.asyncDispose]();
      const before = await read({ once: 'filler' });
      await rounds();
      await send(bus, queue, 'one more');
      await bus[Symbol.asyncDispose]();
      const after = await read({ once: queue.key });
      assert.ok(after > before, 'nothing was read');
      assert.ok(after - before < READ_MAX, `${after - before} rows and entries were read of ${queue.key}`);
    } finally {
      await bus[Symbol.asyncDispose]();
    }
  }
});
