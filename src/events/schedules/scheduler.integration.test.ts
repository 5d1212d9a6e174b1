import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VirgaError } from '../../protocol/errors.ts';
import type { Records } from '../../store/records/records.ts';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestPostgres } from '../../store/records/testing.ts';
import { fireByHand, pauseSchedule, resumeSchedule } from './by-hand.ts';
import { findSchedule } from './schedule-table.ts';
import { PROJECT, schedulesUnderTest } from './schedules-under-test.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

const NIGHTLY = { cron: '0 3 * * *', timezone: 'Europe/Madrid' };
const EVERY_MINUTE = { cron: '* * * * *' };

test('a schedule that is due sends its event to each of its functions, once, and moves on', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T01:30:00Z');
  await shop.deploy({ nightly: NIGHTLY }, { report: { input: { kind: 'daily' } }, clean: {} });
  await shop.at('2026-01-02T01:59:59.999Z');
  assert.deepEqual(await shop.due('nightly', 'report'), []);
  await shop.at('2026-01-02T02:00:00.004Z');
  await shop.at('2026-01-02T02:00:01Z');
  assert.deepEqual(await shop.due('nightly', 'clean'), ['2026-01-02T02:00:00Z']);
  const [event] = await shop.sent('nightly', 'report');
  const { id, ...rest } = event!;
  assert.match(id, /^evt_[0-9a-z]{26}$/);
  assert.deepEqual(rest, {
    specversion: '1.0',
    source: '/projects/shop/schedules/nightly',
    type: 'virga.schedule.due',
    time: '2026-01-02T02:00:00.000Z',
    subject: 'nightly',
    datacontenttype: 'application/json',
    data: {
      schedule: 'nightly',
      cron: '0 3 * * *',
      timezone: 'Europe/Madrid',
      input: { kind: 'daily' },
      dueAt: Date.parse('2026-01-02T02:00:00Z'),
      nextAt: Date.parse('2026-01-03T02:00:00Z'),
    },
  });
  await shop.at('2026-01-03T02:00:00Z');
  const second = (await shop.sent('nightly', 'report'))[1]!;
  assert.equal(second.data!.previousAt, Date.parse('2026-01-02T02:00:00Z'));
  assert.notEqual(second.id, id);
});

test('over a change to daylight saving it is fired by the wall clock', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-03-27T12:00:00Z');
  await shop.deploy({ skipped: { cron: '30 2 * * *', timezone: 'Europe/Madrid' } });
  for (let half = 0; half < 144; half++) await shop.at(Date.parse('2026-03-27T12:30:00Z') + half * 1_800_000);
  assert.deepEqual(await shop.due('skipped'), ['2026-03-28T01:30:00Z', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z']);
});

test('killed between the send and the commit, it sends the same again, which the bus knows', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T01:30:00Z');
  await shop.deploy({ nightly: NIGHTLY });
  shop.clock.now = Date.parse('2026-01-02T02:00:00Z');
  const sent: string[] = [];
  const dying = shop.another({
    bus: {
      send: async (batches) => {
        sent.push(batches[0]!.messages[0]!.id);
        await shop.bus.send(batches);
        throw new Error('killed');
      },
    },
  });
  await assert.rejects(dying.round(), /killed/);
  await shop.at('2026-01-02T02:00:05Z');
  const events = await shop.sent('nightly');
  assert.deepEqual(
    events.map(({ id }) => id),
    sent,
  );
  assert.equal((await findSchedule(shop.database.records, PROJECT, 'nightly'))!.nextDueAt, Date.parse('2026-01-03T02:00:00Z'));
});

test('killed at any statement of a firing, or just after its commit, it neither loses a time nor fires one twice', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const { records } = shop.database;
  await shop.deploy({ minutes: EVERY_MINUTE });
  const due: string[] = [];
  for (let point = 0; point < 6; point++) {
    shop.clock.now += 60_000;
    due.push(`2026-01-02T00:0${point + 1}:00Z`);
    /** Dies before its statement of this number; after all of them, the commit is done and nobody hears of it. */
    const dying: Records = {
      query: (text, values) => records.query(text, values),
      async transaction(work) {
        let statements = 0;
        await records.transaction((sql) =>
          work({
            query: (text, values) => {
              if (statements++ === point) throw new Error('killed');
              return sql.query(text, values);
            },
          }),
        );
        throw new Error('killed');
      },
    };
    await assert.rejects(shop.another({ records: dying }).round(), /killed/);
    await shop.at(shop.clock.now + 100);
    assert.deepEqual(await shop.due('minutes'), due, `killed at ${point}`);
    shop.clock.now -= 100;
  }
});

test('two schedulers that race fire each time once, and none is left out', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:00Z');
  const names = Array.from({ length: 30 }, (_, n) => `s-${n}`);
  await shop.deploy(Object.fromEntries(names.map((name) => [name, EVERY_MINUTE])));
  const schedulers = [shop.another(), shop.another(), shop.another()];
  for (let minute = 1; minute <= 5; minute++) {
    shop.clock.now = Date.parse('2026-01-02T00:00:00Z') + minute * 60_000;
    await Promise.all([...schedulers, ...schedulers].map((scheduler) => scheduler.round()));
    await shop.at(shop.clock.now);
  }
  const minutes = [1, 2, 3, 4, 5].map((minute) => `2026-01-02T00:0${minute}:00Z`);
  for (const name of names) assert.deepEqual(await shop.due(name), minutes, name);
});

test('times that were missed are dropped, made good once, or all of them up to catchUp', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({
    skip: EVERY_MINUTE,
    once: { ...EVERY_MINUTE, missed: 'once' },
    all: { ...EVERY_MINUTE, missed: 'all' },
    few: { ...EVERY_MINUTE, missed: 'all', catchUp: 2 },
  });
  await shop.at('2026-01-02T00:06:30Z');
  // 00:06 is half a minute late, and no missed one.
  assert.deepEqual(await shop.due('skip'), ['2026-01-02T00:06:00Z']);
  assert.deepEqual(await shop.due('once'), ['2026-01-02T00:06:00Z']);
  assert.deepEqual(
    await shop.due('all'),
    [1, 2, 3, 4, 5, 6].map((minute) => `2026-01-02T00:0${minute}:00Z`),
  );
  assert.deepEqual(
    await shop.due('few'),
    [4, 5, 6].map((minute) => `2026-01-02T00:0${minute}:00Z`),
  );
  const missed = async (name: string) => (await findSchedule(shop.database.records, PROJECT, name))!.missed;
  assert.deepEqual(await Promise.all(['skip', 'once', 'all', 'few'].map(missed)), [5, 5, 0, 3]);
  // The events of those that are made good follow one another.
  const all = await shop.sent('all');
  assert.deepEqual(
    all.slice(1).map(({ data }) => data!.previousAt),
    all.slice(0, -1).map(({ data }) => data!.dueAt),
  );
});

test('a long gap of a schedule of every second is made good without going through all of it', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:00Z');
  await shop.deploy({ seconds: { cron: '* * * * * *', missed: 'all', catchUp: 1_000 } });
  shop.clock.now = Date.parse('2027-01-02T00:00:00Z');
  const startedMs = performance.now();
  await shop.scheduler.round();
  assert.ok(performance.now() - startedMs < 2_000, `${performance.now() - startedMs} ms`);
  assert.equal((await shop.due('seconds')).length, 1_000);
});

test('what a pause left out is made good as `missed` says, however short it was', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const { records } = shop.database;
  await shop.deploy({ skip: EVERY_MINUTE, once: { ...EVERY_MINUTE, missed: 'once' }, all: { ...EVERY_MINUTE, missed: 'all' } });
  for (const name of ['skip', 'once', 'all']) await pauseSchedule(records, { project: PROJECT, name });
  await shop.at('2026-01-02T00:03:10Z');
  assert.deepEqual(await shop.due('all'), []);
  for (const name of ['skip', 'once', 'all'])
    await resumeSchedule(records, { project: PROJECT, name }, { now: shop.clock.now, random: () => 0 });
  await shop.at('2026-01-02T00:03:11Z');
  assert.deepEqual(await shop.due('skip'), []);
  assert.deepEqual(await shop.due('once'), ['2026-01-02T00:03:00Z']);
  assert.deepEqual(await shop.due('all'), ['2026-01-02T00:01:00Z', '2026-01-02T00:02:00Z', '2026-01-02T00:03:00Z']);
  await shop.at('2026-01-02T00:04:00Z');
  for (const name of ['skip', 'once', 'all']) assert.equal((await shop.due(name)).at(-1), '2026-01-02T00:04:00Z');
});

test('what is fired by hand is an event of its own, also while it is paused, and moves no plan', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const { records } = shop.database;
  await shop.deploy({ nightly: { ...NIGHTLY, paused: true } });
  const planned = await findSchedule(records, PROJECT, 'nightly');
  const first = await fireByHand(records, shop.bus, { project: PROJECT, name: 'nightly', now: shop.clock.now });
  await fireByHand(records, shop.bus, { project: PROJECT, name: 'nightly', now: shop.clock.now });
  const events = await shop.sent('nightly');
  assert.equal(new Set(events.map(({ id }) => id)).size, 2);
  assert.deepEqual(first.deliveries, [{ function: 'nightly', id: events[0]!.id }]);
  assert.deepEqual(await findSchedule(records, PROJECT, 'nightly'), planned);
  await assert.rejects(fireByHand(records, shop.bus, { project: PROJECT, name: 'nigthly', now: 0 }), {
    code: 'schedule_not_found',
    message: /did you mean 'nightly'/,
  });
});

test('jitter is drawn once for each time, and a restart keeps it', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ hourly: { cron: '0 * * * *', jitter: '10m' } });
  // Half of it.
  await shop.at('2026-01-02T01:04:59Z');
  const restarted = shop.another({ random: () => 0.9 });
  await restarted.round();
  assert.deepEqual(await shop.due('hourly'), []);
  shop.clock.now = Date.parse('2026-01-02T01:05:00Z');
  await restarted.round();
  assert.deepEqual(await shop.due('hourly'), ['2026-01-02T01:00:00Z']);
  assert.equal((await findSchedule(shop.database.records, PROJECT, 'hourly'))!.fireAt, Date.parse('2026-01-02T02:09:00Z'));
});

test('a clock that goes back fires nothing twice; one that was a year ahead does not silence a schedule for a year', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ minutes: EVERY_MINUTE });
  await shop.at('2026-01-02T00:01:00Z');
  await shop.at('2026-01-02T00:02:00Z');
  await shop.at('2026-01-01T23:00:00Z');
  await shop.at('2026-01-02T00:01:00Z');
  await shop.at('2026-01-02T00:02:30Z');
  assert.deepEqual(await shop.due('minutes'), ['2026-01-02T00:01:00Z', '2026-01-02T00:02:00Z']);
  await shop.at('2027-01-02T00:00:00Z');
  await shop.at('2026-01-02T00:03:30Z');
  await shop.at('2026-01-02T00:04:00Z');
  const due = await shop.due('minutes');
  assert.equal(due.at(-1), '2026-01-02T00:04:00Z');
  assert.equal(new Set(due).size, due.length);
  assert.ok(shop.log.some((line) => line.includes('planned anew')));
});

test('a deploy leaves the plan of what it does not change, plans anew what it does, and takes away the rest', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const { records } = shop.database;
  const plan = async (name: string) => (await findSchedule(records, PROJECT, name))?.nextDueAt;
  await shop.deploy({ same: { rate: '7m' }, other: { rate: '7m' }, gone: EVERY_MINUTE });
  await pauseSchedule(records, { project: PROJECT, name: 'same' });
  shop.clock.now += 60_000;
  await shop.deploy({ same: { rate: '7m', missed: 'all' }, other: { rate: '5m' } });
  assert.equal(await plan('same'), Date.parse('2026-01-02T00:07:30Z'));
  assert.equal((await findSchedule(records, PROJECT, 'same'))!.paused, true);
  assert.equal(await plan('other'), Date.parse('2026-01-02T00:06:30Z'));
  assert.equal(await plan('gone'), undefined);
  await shop.deploy({ same: { rate: '7m', paused: true }, other: { rate: '5m', paused: true } });
  await resumeSchedule(records, { project: PROJECT, name: 'other' }, { now: shop.clock.now, random: () => 0 });
  await shop.deploy({ same: { rate: '7m' }, other: { rate: '5m', paused: true, catchUp: 3 } });
  assert.equal((await findSchedule(records, PROJECT, 'same'))!.paused, false);
  assert.equal((await findSchedule(records, PROJECT, 'other'))!.paused, false);
});

test('one time is fired once, and never again after a further deploy', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const rules = { party: { at: '2026-01-02T02:00:00+01:00' } };
  await shop.deploy(rules);
  await shop.at('2026-01-02T01:00:00Z');
  await shop.deploy(rules);
  await shop.at('2026-01-02T01:00:30Z');
  assert.deepEqual(await shop.due('party'), ['2026-01-02T01:00:00Z']);
  assert.deepEqual(await shop.scheduler.round(), { moved: 0, nextAt: undefined });
});

test('a queue that is full holds up no other schedule, and its own waits', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ full: EVERY_MINUTE, free: EVERY_MINUTE });
  let isFull = true;
  const scheduler = shop.another({
    bus: {
      send: (batches) => {
        if (isFull && batches[0]!.queue.key.includes('/full/')) return Promise.reject(new VirgaError('queue_full', 'full'));
        return shop.bus.send(batches);
      },
    },
  });
  shop.clock.now = Date.parse('2026-01-02T00:01:00Z');
  await scheduler.round();
  assert.deepEqual([await shop.due('full'), await shop.due('free')], [[], ['2026-01-02T00:01:00Z']]);
  assert.equal((await scheduler.round()).nextAt, Date.parse('2026-01-02T00:01:10Z'));
  isFull = false;
  shop.clock.now = Date.parse('2026-01-02T00:01:10Z');
  await scheduler.round();
  assert.deepEqual(await shop.due('full'), ['2026-01-02T00:01:00Z']);
});

test('while the bus does not answer a round fails, and the next fires what was due', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ minutes: EVERY_MINUTE });
  shop.clock.now = Date.parse('2026-01-02T00:01:00Z');
  const cut = shop.another({ bus: { send: () => Promise.reject(new VirgaError('unavailable', 'the database is away')) } });
  await assert.rejects(cut.round(), { code: 'unavailable' });
  await shop.at('2026-01-02T00:01:20Z');
  assert.deepEqual(await shop.due('minutes'), ['2026-01-02T00:01:00Z']);
});

test('one whose times cannot be told any more holds up no other', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ broken: EVERY_MINUTE, sound: EVERY_MINUTE });
  // As a zone that the next version of Node does not know.
  await shop.database.records.query(`update schedules set rules = '{"cron": "* * * * *", "timezone": "Moon/Base"}' where name = 'broken'`);
  shop.clock.now = Date.parse('2026-01-02T00:01:00Z');
  await shop.scheduler.round();
  assert.deepEqual([await shop.due('broken'), await shop.due('sound')], [[], ['2026-01-02T00:01:00Z']]);
  assert.ok(shop.log.some((line) => line.startsWith('error') && line.includes('Moon/Base') && line.includes('"broken"')));
  assert.equal((await shop.scheduler.round()).nextAt, Date.parse('2026-01-02T00:01:10Z'));
});

test('a deploy that changes the times of one that is due fires what is due, and goes on by the new times', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  await shop.deploy({ nightly: { cron: '0 3 * * *', jitter: '10m' }, often: { rate: '7m' }, paused: { rate: '7m', paused: true } });
  // Three o'clock has come; its jitter has not.
  shop.clock.now = Date.parse('2026-01-02T03:02:00Z');
  await shop.deploy({ nightly: { cron: '30 4 * * *', jitter: '10m' }, often: { rate: '5m' }, paused: { rate: '5m', paused: true } });
  await shop.at('2026-01-02T03:02:01Z');
  assert.deepEqual(await shop.due('nightly'), []);
  await shop.at('2026-01-02T03:05:00Z');
  assert.deepEqual(await shop.due('nightly'), ['2026-01-02T03:00:00Z']);
  await shop.at('2026-01-02T04:35:00Z');
  assert.deepEqual(await shop.due('nightly'), ['2026-01-02T03:00:00Z', '2026-01-02T04:30:00Z']);
  const paused = await findSchedule(shop.database.records, PROJECT, 'paused');
  assert.equal(paused!.nextDueAt, Date.parse('2026-01-02T03:07:00Z'));
});

test('a pause that a deploy ends leaves what `missed` says, as one that is ended by hand', async () => {
  await using shop = await schedulesUnderTest(postgres, '2026-01-02T00:00:30Z');
  const rules = {
    skip: EVERY_MINUTE,
    once: { ...EVERY_MINUTE, missed: 'once' as const },
    all: { ...EVERY_MINUTE, missed: 'all' as const },
  };
  await shop.deploy(Object.fromEntries(Object.entries(rules).map(([name, one]) => [name, { ...one, paused: true }])));
  await shop.at('2026-01-02T00:03:10Z');
  await shop.deploy(rules);
  await shop.at('2026-01-02T00:03:11Z');
  assert.deepEqual(await shop.due('skip'), []);
  assert.deepEqual(await shop.due('once'), ['2026-01-02T00:03:00Z']);
  assert.deepEqual(await shop.due('all'), ['2026-01-02T00:01:00Z', '2026-01-02T00:02:00Z', '2026-01-02T00:03:00Z']);
});

test('one that was deployed while the clock was a year ahead is not silent for a year', async () => {
  await using shop = await schedulesUnderTest(postgres, '2027-01-02T00:00:30Z');
  await shop.deploy({ nightly: { cron: '0 3 * * *' }, often: { rate: '7m' } });
  shop.clock.now = Date.parse('2026-01-02T00:00:30Z');
  const restarted = shop.another();
  await restarted.round();
  for (const [name, next] of [
    ['nightly', '2026-01-02T03:00:00Z'],
    ['often', '2026-01-02T00:07:30Z'],
  ] as const)
    assert.equal((await findSchedule(shop.database.records, PROJECT, name))!.nextDueAt, Date.parse(next), name);
});
