// The adapters of the Bus port, each held to conformance.ts. A further one is added to the list below.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import type { QueueSpec } from './bus.ts';
import { busConformance } from './conformance.ts';
import { TestClock } from './conformance/place.ts';
import type { BusUnderTest, Open } from './conformance/place.ts';
import { lossyPostgres } from './postgres/lossy-under-test.ts';
import { PostgresBus } from './postgres/postgres.ts';

const ADAPTERS: { name: string; open: Open }[] = [{ name: 'postgres', open: openPostgres }];

/** Of the bus; a database for each test would take half the time of the tests. */
const TABLES = ['queues', 'messages', 'groups', 'deduplication', 'leavings', 'streams', 'records'];

let postgres: TestPostgres;
let database: TestDatabase;
before(async () => {
  postgres = await startTestPostgres();
  database = await postgres.database();
});
after(async () => {
  await database[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

for (const { name, open } of ADAPTERS) busConformance(name, open);

async function openPostgres(): Promise<BusUnderTest> {
  for (const table of TABLES) await database.records.query(`delete from event_${table}`);
  const clock = new TestClock();
  const buses = new Map<PostgresBus, string>();
  const opened: AsyncDisposable[] = [];
  let count = 0;
  /** Connections of one bus, or of all. */
  const cut = async (application: string): Promise<void> => {
    await database.records.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1 and datname = current_database() and pid <> pg_backend_pid()`,
      [application],
    );
  };
  const busOf = (holder: string, over: { host?: string } = {}): PostgresBus => {
    const name = `bus-${++count}`;
    const connection = { ...database.connection, ...over, application_name: name };
    const bus = new PostgresBus({ connection, holder, log: () => {}, now: clock.now, monotonic: clock.monotonic });
    buses.set(bus, name);
    return bus;
  };
  return {
    clock,
    bus: (holder) => busOf(holder),
    hardOfHearing: async (holder) => {
      const lossy = await lossyPostgres(postgres.runFolder, postgres.folder);
      opened.push(lossy);
      return { bus: busOf(holder, { host: lossy.host }), lose: () => lossy.lose('bus-receive', 'commit') };
    },
    crash: async (bus) => {
      const closing = (bus as PostgresBus)[Symbol.asyncDispose]();
      await cut(buses.get(bus as PostgresBus)!);
      buses.delete(bus as PostgresBus);
      await closing.catch(() => {});
    },
    cut: () => cut('bus-%'),
    sender: (queue, onSent) =>
      startSender({ connection: database.connection, queue, name: `sender ${++count}`, nowMs: clock.now() }, onSent),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...buses.keys()].map((bus) => bus[Symbol.asyncDispose]()));
      await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

async function startSender(
  { connection, queue, name, nowMs }: { connection: object; queue: QueueSpec; name: string; nowMs: number },
  onSent: (body: string) => void,
): Promise<{ kill(): Promise<void> }> {
  const args = [connection, queue, name, nowMs].map((value) => JSON.stringify(value));
  const child = spawn(process.execPath, [join(import.meta.dirname, 'postgres/sender-under-test.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout }).on('line', onSent);
  await once(child, 'spawn');
  return {
    kill: async () => {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}
