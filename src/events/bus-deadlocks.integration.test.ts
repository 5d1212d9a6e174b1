// Processes that send, receive and settle the same groups beside each other: none waits for one that waits for it. Postgres would end that
// after a second, and the call would pass at its next try: only its count tells.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestPostgres } from '../store/records/testing.ts';
import { message, queueSpec, receive, send } from './conformance/place.ts';
import { PostgresBus } from './postgres/postgres.ts';

const TIMES = 150;

test('senders, receivers and settlers of the same groups do not wait for each other in circles', async () => {
  await using postgres = await startTestPostgres();
  await using db = await postgres.database();
  const queue = queueSpec('groups', { fifo: true, receivesMax: 1_000 });
  const buses = ['edge', 'control'].map((holder) => new PostgresBus({ connection: db.connection, holder, log: () => {} }));
  let count = 0;
  const sending = async (bus: PostgresBus): Promise<void> => {
    for (let n = 0; n < TIMES; n++)
      await send(bus, queue, ...Array.from({ length: 20 }, () => message('x', { group: `g${count++ % 40}` })));
  };
  const receiving = async (bus: PostgresBus): Promise<void> => {
    for (let n = 0; n < TIMES; n++) {
      const held = await receive(bus, queue, { max: 30 });
      const settlements = held.map(({ receipt }, i) =>
        i % 5 === 0 ? ({ receipt, as: 'retry', delayMs: 0 } as const) : ({ receipt, as: 'done' } as const),
      );
      await bus.settle(queue, settlements);
    }
  };
  await Promise.all(buses.flatMap((bus) => [sending(bus), receiving(bus)]));
  // What a connection counted is told when it ends.
  await Promise.all(buses.map((bus) => bus[Symbol.asyncDispose]()));
  for (;;) {
    const { rows } = await db.records.query<{ open: number }>(
      `select count(*)::int as open from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`,
    );
    if (rows[0]!.open === 0) break;
  }
  const { rows } = await db.records.query<{ deadlocks: string }>(
    `select deadlocks from pg_stat_database where datname = current_database()`,
  );
  assert.equal(Number(rows[0]!.deadlocks), 0);
});
