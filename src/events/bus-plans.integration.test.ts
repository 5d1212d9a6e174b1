// Plans of prepared statements are kept, and those that were made while the tables were empty must not walk through them once they are full:
// what is read for ten messages is asked of Postgres itself, with a backlog of twenty thousand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { startTestPostgres } from '../store/records/testing.ts';
import { queueSpec, receive, send, settle } from './conformance/place.ts';
import { PostgresBus } from './postgres/postgres.ts';

const BACKLOG = 20_000;
const STEP = 2_000;
const FEW = 10;
/** Entries of indexes and rows: of ten messages some hundred. */
const READ_MAX = 3_000;

test('what is done with ten messages reads no more than their rows, though its plans were made for empty tables', async () => {
  await using postgres = await startTestPostgres();
  await using db = await postgres.database();
  const client = new pg.Client(db.connection);
  await client.connect();
  await using closing = { [Symbol.asyncDispose]: () => client.end() };
  void closing;
  const read = async (): Promise<number> => {
    await client.query('select pg_stat_clear_snapshot()');
    const { rows } = await client.query<{ read: string }>(
      `select sum(coalesce(s.idx_tup_read, 0) + coalesce(t.seq_tup_read, 0)) as read
         from pg_stat_user_tables t left join (select relid, sum(idx_tup_read) as idx_tup_read from pg_stat_user_indexes group by relid) s using (relid)
        where t.relname like 'event\\_%'`,
    );
    return Number(rows[0]!.read);
  };
  for (const fifo of [false, true]) {
    const queue = queueSpec(fifo ? 'groups' : 'plain', { fifo, receivesMax: 1_000 });
    const message = (n: number) => ({ id: `msg_${n}`, body: 'x', attributes: {}, ...(fifo ? { group: `g${n % 1_000}` } : {}) });
    const bus = new PostgresBus({ connection: db.connection, holder: 'edge', log: () => {} });
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
      };
      await bus.send([{ queue, messages: Array.from({ length: 2 * FEW }, (_, n) => message(n)) }]);
      await rounds();
      await settle(bus, queue, await receive(bus, queue, { max: 100 }), { as: 'done' });
      // By connections of its own, which have told what they read when they are closed.
      const filler = new PostgresBus({ connection: db.connection, holder: 'control', log: () => {} });
      for (let n = 0; n < BACKLOG; n += STEP)
        await filler.send([{ queue, messages: Array.from({ length: STEP }, (_, i) => message(1_000 + n + i)) }]);
      await filler[Symbol.asyncDispose]();
      const before = await read();
      await rounds();
      await send(bus, queue, 'one more');
      await bus[Symbol.asyncDispose]();
      // Its connections tell what they read when they end.
      const until = Date.now() + 5_000;
      let after = await read();
      while (after === before && Date.now() < until) after = await read();
      assert.ok(after > before, 'nothing was read');
      assert.ok(after - before < READ_MAX, `${after - before} rows and entries were read${fifo ? ' in groups' : ''}`);
    } finally {
      await bus[Symbol.asyncDispose]();
    }
  }
});
