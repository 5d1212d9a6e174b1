import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestPostgres } from '../../store/records/testing.ts';
import { ScheduleClock } from './schedule-clock.ts';
import type { Round } from './scheduler.ts';
import { announceSchedules } from './schedule-table.ts';
import { schedulesUnderTest } from './schedules-under-test.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

const log = (): void => {};

test('a time is not sent before it comes, and then at once', async () => {
  await using shop = await schedulesUnderTest(postgres, new Date().toISOString(), { now: Date.now });
  await shop.deploy({ seconds: { rate: '1s' } });
  const lateMs: number[] = [];
  const seen = Promise.withResolvers<void>();
  const scheduler = shop.another({
    bus: {
      send: async (batches) => {
        const sent = await shop.bus.send(batches);
        for (const { body } of batches[0]!.messages) lateMs.push(Date.now() - (JSON.parse(body) as { data: { dueAt: number } }).data.dueAt);
        if (lateMs.length === 4) seen.resolve();
        return sent;
      },
    },
  });
  const clock = new ScheduleClock(scheduler, { connection: shop.database.connection, now: Date.now, log });
  clock.start();
  await seen.promise;
  await clock.close();
  assert.ok(lateMs.toSorted((a, b) => a - b)[0]! <= 100 && lateMs.every((ms) => ms >= 0), `ms after their times: ${lateMs.join(', ')}`);
});

/** A scheduler that tells when it was asked, and answers when the next is due. */
function rounds(answers: (() => Round | Error)[]): { at: number[]; scheduler: { round(): Promise<Round> }; all: Promise<void> } {
  const at: number[] = [];
  const all = Promise.withResolvers<void>();
  const round = async (): Promise<Round> => {
    at.push(performance.now());
    const answer = answers[at.length - 1]?.() ?? { moved: 0, nextAt: undefined };
    if (at.length === answers.length) all.resolve();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { at, scheduler: { round }, all: all.promise };
}

test('a clock that is moved forward is noticed long before the sleep would have ended', async () => {
  await using database = await postgres.database();
  let offsetMs = 0;
  const now = (): number => Date.now() + offsetMs;
  const due = Date.now() + 3_600_000;
  const idle = (): Round => ({ moved: 0, nextAt: due });
  const { at, scheduler, all } = rounds([
    idle,
    // Woken by the listening, which is there now.
    () => {
      // In the midst of the sleep.
      setTimeout(() => (offsetMs = 3_600_000), 50);
      return idle();
    },
    () => ({ moved: 1, nextAt: undefined }),
  ]);
  const clock = new ScheduleClock(scheduler, { connection: database.connection, now, log });
  clock.start();
  await all;
  assert.ok(at[2]! - at[1]! < 2_500);
  await clock.close();
});

test('it hears of what another process deploys, also after its connection broke', async () => {
  await using database = await postgres.database();
  const far = (): Round => ({ moved: 0, nextAt: Date.now() + 3_600_000 });
  const listening = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<void>();
  const { scheduler } = rounds([far, () => (listening.resolve(), far()), () => (back.resolve(), far()), () => (heard.resolve(), far())]);
  const clock = new ScheduleClock(scheduler, { connection: database.connection, now: Date.now, log });
  clock.start();
  await listening.promise;
  const admin = new pg.Client(database.connection);
  await admin.connect();
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' and datname = current_database()`);
  await back.promise;
  await announceSchedules(admin);
  await heard.promise;
  await admin.end();
  await clock.close();
});

test('while rounds fail it tries again, less and less often, and says so once', async () => {
  await using database = await postgres.database();
  const lines: string[] = [];
  const down = (): Error => new Error('the database is away');
  const { at, scheduler, all } = rounds([
    () => ({ moved: 0, nextAt: Date.now() }),
    down,
    down,
    down,
    () => ({ moved: 1, nextAt: undefined }),
  ]);
  const clock = new ScheduleClock(scheduler, {
    connection: { ...database.connection, host: '/nowhere' },
    now: Date.now,
    log: (level, message) => void lines.push(`${level} ${message}`),
  });
  clock.start();
  await all;
  await clock.close();
  assert.ok(at[4]! - at[3]! > at[2]! - at[1]!);
  assert.deepEqual(lines, ['warn schedules cannot be fired now and wait', 'info schedules are fired again']);
});
