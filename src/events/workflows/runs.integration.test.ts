// Runs on a real Postgres: who may write, what is due, what a wake-up gets.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import type { ReceivedMessage, SendBatch } from '../bus.ts';
import { topologyOf } from '../topology.ts';
import { cancelRun, retryRun } from './change-run.ts';
import { EventWaits } from './event-waits.ts';
import { Runs } from './runs.ts';
import type { Taken } from './runs.ts';
import { Starter } from './start-run.ts';
import { StepWriter } from './step-writer.ts';
import type { StepWrite } from './step-writer.ts';
import { upkeepOfRuns } from './upkeep.ts';
import { waitKey } from './wait-keys.ts';
import { WorkflowKind } from './workflow-kind.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

const KEEP_MS = 86_400_000;

class World implements AsyncDisposable {
  now = 1_800_000_000_000;
  /** Of the project's events. */
  allHeard = true;
  busFails = false;
  readonly sent: { run: string; delayMs: number }[] = [];
  readonly db: TestDatabase;
  readonly starter: Starter;
  readonly writer: StepWriter;

  static async make(): Promise<World> {
    const db = await postgres.database();
    await db.records.query(`insert into projects (name) values ('shop')`);
    return new World(db);
  }

  private constructor(db: TestDatabase) {
    this.db = db;
    const bus = {
      send: (batches: SendBatch[]) => {
        if (this.busFails) return Promise.reject(new Error('the bus is away'));
        for (const { body, delayMs = 0 } of batches.flatMap(({ messages }) => messages))
          this.sent.push({ run: (JSON.parse(body) as { run: string }).run, delayMs });
        return Promise.resolve([]);
      },
    };
    this.starter = new Starter({ records: db.records, bus, now: () => this.now, limits: { workflowBytesMax: 1_000 } });
    this.writer = new StepWriter(db.records, { patienceMs: 100 });
  }

  runs(holder: string): Runs {
    return new Runs(this.db.records, holder, { allHeard: () => Promise.resolve(this.allHeard) });
  }

  async start(id: string, runsMax = 100): Promise<boolean> {
    const { started } = await this.starter.start({ project: 'shop', function: 'f', version: 1, input: '{}', trigger: 'api', id, runsMax });
    return started;
  }

  async take(holder: string, id: string): Promise<Taken> {
    const answer = await this.runs(holder).take(name(id), { now: this.now, forMs: 60_000 });
    assert.equal(answer.as, 'taken', JSON.stringify(answer));
    return (answer as { taken: Taken }).taken;
  }

  write({ run, token }: Taken, step: Partial<StepWrite>): Promise<void> {
    const of = { scope: '', kind: 'step', name: 's', occurrence: 1, state: 'done', attempts: 1, ordinal: 1 } as const;
    const nothing = { result: null, error: null, match: null, waitsFor: null, place: null, wakeAt: null };
    return this.writer.write({ run, token, ...of, ...nothing, startedAt: this.now, at: this.now, ...step });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db[Symbol.asyncDispose]();
  }
}

const name = (id: string) => ({ project: 'shop', function: 'f', id });

test('what a wake-up writes that another has followed is refused', async () => {
  await using world = await World.make();
  await world.start('a');
  const first = await world.take('edge-1', 'a');
  await world.write(first, { place: 1, result: '1' });
  assert.deepEqual(await world.runs('edge-2').take(name('a'), { now: world.now, forMs: 1 }), { as: 'held' });
  world.now += 60_001;
  const second = await world.take('edge-2', 'a');
  assert.equal(second.token, first.token + 1);
  assert.deepEqual(
    second.history.map((text) => JSON.parse(text) as unknown),
    [
      {
        ordinal: 1,
        scope: '',
        kind: 'step',
        name: 's',
        occurrence: 1,
        state: 'done',
        attempts: 1,
        place: 1,
        at: 1_800_000_000_000,
        result: 1,
      },
    ],
  );
  await assert.rejects(world.write(first, { ordinal: 2, place: 2 }), { code: 'workflow_lost' });
  // One statement, two wake-ups of one run: each by its own token.
  const both = await Promise.allSettled([world.write(first, { ordinal: 3 }), world.write(second, { ordinal: 2, place: 2 })]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  );
  assert.equal(
    await world.runs('edge-1').end(first, { now: world.now, keepMs: KEEP_MS, state: 'succeeded', result: null, error: null }),
    false,
  );
  assert.equal(await world.runs('edge-1').news({ ...first, place: 9 }, world.now), undefined);
  const wake = () => Promise.reject(new Error('nobody is woken up'));
  assert.equal(await world.runs('edge-1').suspend({ ...first, place: 9 }, { now: world.now, again: false, wake }), undefined);
});

test('a step that begins and ends before it is written is one row, with the time of its beginning', async () => {
  await using world = await World.make();
  await world.start('a');
  const taken = await world.take('edge', 'a');
  const begun = world.writer.write(
    {
      ...{ run: taken.run, token: taken.token, ordinal: 1, scope: '', kind: 'step', name: 's', occurrence: 1 },
      state: 'running',
      attempts: 1,
      result: null,
      error: null,
      match: null,
      waitsFor: null,
      place: null,
      wakeAt: null,
      startedAt: world.now,
      at: world.now,
    },
    { waits: true },
  );
  world.now += 7;
  await Promise.all([begun, world.write(taken, { place: 1 })]);
  const { rows } = await world.db.records.query<{ state: string; ms: number }>(
    `select state, (extract(epoch from ended_at - started_at) * 1000)::int as ms from workflow_steps`,
  );
  assert.deepEqual(rows, [{ state: 'done', ms: 7 }]);
});

test('sleeps and waits end in the order in which they became due, an event is taken once, and one that is late by none', async () => {
  await using world = await World.make();
  await world.start('a');
  const taken = await world.take('edge', 'a');
  const wait = { kind: 'wait', name: 'paid', state: 'waiting' } as const;
  await world.write(taken, { ordinal: 1, kind: 'sleep', name: '', state: 'sleeping', wakeAt: world.now + 5_000 });
  await world.write(taken, { ...wait, ordinal: 2, wakeAt: world.now + 3_000 });
  await world.write(taken, { ...wait, ordinal: 3, occurrence: 2, match: '{"amount":[{"numeric":[">",10]}]}' });
  const wakes: number[] = [];
  const wake = async (at: number) => void wakes.push(at - world.now);
  assert.equal(await world.runs('edge').suspend({ ...taken, place: 0 }, { now: world.now, again: false, wake }), 'suspended');
  assert.deepEqual(wakes, [3_000]);
  assert.deepEqual(await world.runs('edge').take(name('a'), { now: world.now + 2_999, forMs: 1 }), {
    as: 'early',
    wakeAt: world.now + 3_000,
  });
  world.now += 4_000;
  await world.starter.send(name('a'), { name: 'paid', data: '{"amount":7}', id: 'e1' });
  await world.starter.send(name('a'), { name: 'paid', data: '{"amount":70}', id: 'e2' });
  await world.starter.send(name('a'), { name: 'paid', data: '{"amount":70}', id: 'e2' });
  world.now += 2_000;
  const again = await world.take('edge', 'a');
  assert.deepEqual(
    again.history
      .map((text) => JSON.parse(text) as { ordinal: number; state: string; place: number })
      .map(({ ordinal, state, place }) => [ordinal, state, place]),
    [
      [1, 'done', 3],
      [2, 'late', 1],
      [3, 'done', 2],
    ],
  );
  const { rows } = await world.db.records.query<{ id: string; ordinal: number | null }>(
    'select id, ordinal from workflow_events order by event',
  );
  assert.deepEqual(rows, [
    { id: 'e1', ordinal: null },
    { id: 'e2', ordinal: 3 },
  ]);
});

test('the same id starts one run, and as many as may be have not ended', async () => {
  await using world = await World.make();
  assert.deepEqual(await Promise.all([world.start('a', 2), world.start('a', 2), world.start('b', 2)]).then((all) => all.toSorted()), [
    false,
    true,
    true,
  ]);
  await assert.rejects(world.start('c', 2), { code: 'workflow_full' });
  assert.equal(await world.start('b', 2), false);
  await cancelRun(world.db.records, name('a'), { now: world.now, keepMs: KEEP_MS });
  assert.equal(await world.start('c', 2), true);
  await assert.rejects(world.start('not an id'), { code: 'invalid_request', message: /'not an id' is no id of a run/ });
  await assert.rejects(world.starter.send(name('a'), { name: 'x', data: 'null' }), { code: 'run_ended' });
  await assert.rejects(world.starter.send(name('z'), { name: 'x', data: 'null' }), { code: 'run_not_found' });
  await assert.rejects(world.starter.send(name('b'), { name: 'x', data: `"${'x'.repeat(1_000)}"` }), { code: 'request_too_large' });
});

test('a run that failed goes on from its failed step; branches beside it keep theirs', async () => {
  await using world = await World.make();
  await world.start('a');
  const taken = await world.take('edge', 'a');
  const steps: [number, string, 'done' | 'failed'][] = [
    [1, '', 'done'],
    [2, '1.1', 'failed'],
    [3, '1.2', 'done'],
    [4, '1.1', 'done'],
    [5, '', 'done'],
  ];
  for (const [ordinal, scope, state] of steps) await world.write(taken, { ordinal, scope, state, name: `s${ordinal}`, place: ordinal });
  const error = '{"name":"Error","message":"no","step":2}';
  assert.ok(await world.runs('edge').end(taken, { now: world.now, keepMs: KEEP_MS, state: 'failed', result: null, error }));
  await assert.rejects(retryRun(world.db.records, name('a'), { now: world.now, version: 9 }), { code: 'version_not_found' });
  await retryRun(world.db.records, name('a'), { now: world.now, version: undefined });
  await assert.rejects(retryRun(world.db.records, name('a'), { now: world.now, version: undefined }), { code: 'run_not_failed' });
  const again = await world.take('edge', 'a');
  assert.deepEqual(
    again.history
      .map((text) => JSON.parse(text) as { ordinal: number; state: string; attempts: number })
      .map(({ ordinal, state, attempts }) => [ordinal, state, attempts]),
    [
      [1, 'done', 1],
      [2, 'retrying', 0],
      [3, 'done', 1],
    ],
  );
});

test('a wake-up that got lost is sent again, once a minute, and runs that ended long ago go', async () => {
  await using world = await World.make();
  await world.start('a');
  await world.start('b');
  await cancelRun(world.db.records, name('b'), { now: world.now, keepMs: 1_000 });
  world.sent.length = 0;
  let pending = 0;
  const bus = { stats: () => Promise.resolve([{ ...STATS, pending }]) };
  const upkeep = () =>
    upkeepOfRuns({ records: world.db.records, bus, starter: world.starter, now: () => world.now }, new AbortController().signal);
  assert.deepEqual(await upkeep(), { woken: 0, removed: 0 });
  world.now += 61_000;
  pending = 1;
  assert.deepEqual(await upkeep(), { woken: 0, removed: 1 });
  pending = 0;
  assert.deepEqual(await upkeep(), { woken: 1, removed: 0 });
  assert.deepEqual(world.sent, [{ run: 'a', delayMs: 0 }]);
  assert.deepEqual(await upkeep(), { woken: 0, removed: 0 });
});

test('an event whose wake-up got lost is not left lying', async () => {
  await using world = await World.make();
  await world.start('a');
  const taken = await world.take('edge', 'a');
  await world.write(taken, { kind: 'wait', name: 'paid', state: 'waiting' });
  const wake = () => Promise.resolve();
  assert.equal(await world.runs('edge').suspend({ ...taken, place: 0 }, { now: world.now, again: false, wake }), 'suspended');
  world.now += 10;
  await world.starter.send(name('a'), { name: 'paid', data: '1' });
  world.sent.length = 0;
  const needs = { records: world.db.records, bus: { stats: () => Promise.resolve([STATS]) }, starter: world.starter, now: () => world.now };
  assert.equal((await upkeepOfRuns(needs, new AbortController().signal)).woken, 0);
  world.now += 61_000;
  assert.equal((await upkeepOfRuns(needs, new AbortController().signal)).woken, 1);
  assert.equal(((await world.take('edge', 'a')).history[0] ?? '').includes('"state":"done"'), true);
});

test('what is due in a century is woken up by one message a year', async () => {
  await using world = await World.make();
  await world.start('a');
  const taken = await world.take('edge', 'a');
  const wakeAt = world.now + 36_500 * 86_400_000;
  await world.write(taken, { kind: 'sleep', name: '', state: 'sleeping', wakeAt });
  const wake = (at: number) => world.starter.wake(name('a'), at);
  world.sent.length = 0;
  assert.equal(await world.runs('edge').suspend({ ...taken, place: 0 }, { now: world.now, again: false, wake }), 'suspended');
  const kind = new WorkflowKind({
    runs: world.runs('edge'),
    writer: world.writer,
    invoker: { invoke: () => Promise.reject(new Error('it sleeps')) },
    rulesOf: () => ({ retry: { attempts: 1, delayMs: 1, maxDelayMs: 1 }, keepMs: 1, runsMax: 1 }),
    wake: (of, at) => world.starter.wake(of, at),
    hearsEvent: () => false,
    now: () => world.now,
    limits: { workflowStepsMax: 1, workflowHistoryBytesMax: 1, workflowBytesMax: 1 },
    log: () => {},
  });
  const { consumers } = topologyOf('shop', { workflows: { f: true } }, ['f']);
  const consumer = consumers.find(({ kind: what }) => what === 'workflow')!;
  const deliver = (body: object) =>
    kind.deliver(consumer, [{ body: JSON.stringify(body) } as ReceivedMessage], new AbortController().signal);
  world.now += 365 * 86_400_000;
  assert.deepEqual(await deliver({ run: 'a', far: true }), [{ as: 'done' }]);
  // Somebody else's, that came too soon.
  assert.deepEqual(await deliver({ run: 'a' }), [{ as: 'done' }]);
  const year = { run: 'a', delayMs: 365 * 86_400_000 };
  assert.deepEqual(world.sent, [year, year]);
});

test('one workflow with many late runs hides no other', async () => {
  await using world = await World.make();
  await world.db.records.query(
    `insert into workflow_runs (project, function, id, version, input, trigger, wake_at, created_at, updated_at)
     select 'shop', 'busy', 'b' || i, 1, 'null', 'api', to_timestamp(0) + i * interval '1 ms', now(), now() from generate_series(1, 1500) i`,
  );
  await world.start('a');
  world.sent.length = 0;
  world.now += 61_000;
  const bus = { stats: ([key = '']: string[]) => Promise.resolve([{ ...STATS, pending: key.endsWith('/busy') ? 9 : 0 }]) };
  const needs = { records: world.db.records, bus, starter: world.starter, now: () => world.now };
  assert.equal((await upkeepOfRuns(needs, new AbortController().signal)).woken, 1);
  assert.deepEqual(world.sent, [{ run: 'a', delayMs: 0 }]);
});

test('a run whose wake-up cannot be sent is started all the same, and woken up by whoever starts it again', async () => {
  await using world = await World.make();
  world.busFails = true;
  assert.equal(await world.start('a'), true);
  await world.take('edge', 'a');
  assert.equal(await world.start('b'), true);
  world.busFails = false;
  assert.equal(await world.start('b'), false);
  assert.deepEqual(world.sent, []);
  world.now += 6_000;
  assert.equal(await world.start('b'), false);
  assert.deepEqual(world.sent, [{ run: 'b', delayMs: 0 }]);
});

test('an event of the project comes to each run once, and a wait is late only when all were looked at', async () => {
  await using world = await World.make();
  const waits = new EventWaits({ records: world.db.records, starter: world.starter });
  const { consumers } = topologyOf('shop', { workflows: { f: { events: ['paid'] } } }, ['f']);
  const consumer = consumers.find(({ kind }) => kind === 'wait')!;
  const deliver = async (id: string, data: object, source = '/s'): Promise<void> => {
    const body = JSON.stringify({ specversion: '1.0', id, source, type: 'paid', data });
    assert.deepEqual(await waits.deliver(consumer, [{ body, sentAt: world.now } as ReceivedMessage]), [{ as: 'done' }]);
  };
  const match = '{"data":{"user":["ada"],"amount":[{"numeric":[">",10]}]}}';
  const wait = { kind: 'wait', name: 'w', state: 'waiting', match, waitsFor: waitKey('shop', 'paid', match) } as const;
  const taken = new Map<string, Taken>();
  for (const id of ['a', 'b']) {
    await world.start(id);
    taken.set(id, await world.take('edge', id));
  }
  const a = taken.get('a')!;
  await world.write(a, { ...wait, ordinal: 1, wakeAt: world.now + 5_000 });
  await world.write(a, { ...wait, ordinal: 2, occurrence: 2 });
  const bob = match.replace('ada', 'bob');
  await world.write(taken.get('b')!, { ...wait, match: bob, waitsFor: waitKey('shop', 'paid', bob) });
  world.sent.length = 0;
  await deliver('e1', { user: 'ada', amount: 5 });
  await deliver('e1', { user: 'eve', amount: 50 });
  assert.deepEqual(world.sent, []);
  await deliver('e2', { user: ['ada', 'kim'], amount: 50 });
  // It was told before its process died.
  await deliver('e2', { user: ['ada', 'kim'], amount: 50 });
  assert.deepEqual(world.sent, [
    { run: 'a', delayMs: 0 },
    { run: 'a', delayMs: 0 },
  ]);
  const runs = world.runs('edge');
  const ends = await runs.news({ ...a, place: 0 }, world.now);
  assert.deepEqual(
    ends!.map(({ ordinal, state, result }) => [ordinal, state, (result as { event: { data: object } }).event.data]),
    [[1, 'done', { user: ['ada', 'kim'], amount: 50 }]],
  );
  assert.deepEqual(await runs.news({ ...a, place: 1 }, world.now), []);
  await deliver('e2', { user: 'ada', amount: 60 }, '/other');
  assert.deepEqual(
    (await runs.news({ ...a, place: 1 }, world.now))!.map(({ ordinal }) => ordinal),
    [2],
  );

  await world.write(a, { ...wait, ordinal: 3, occurrence: 3, wakeAt: world.now + 1_000 });
  const published = world.now;
  world.now += 2_000;
  world.allHeard = false;
  assert.deepEqual(await runs.news({ ...a, place: 2 }, world.now), []);
  const later = world.now;
  world.now = published;
  await deliver('e3', { user: 'ada', amount: 70 });
  world.now = later;
  assert.deepEqual(
    (await runs.news({ ...a, place: 2 }, world.now))!.map(({ ordinal, state }) => [ordinal, state]),
    [[3, 'done']],
  );
  await world.write(a, { ...wait, ordinal: 4, occurrence: 4, wakeAt: world.now + 1_000 });
  world.now += 2_000;
  // Too late, though nobody has looked yet.
  await deliver('e4', { user: 'ada', amount: 80 });
  world.allHeard = true;
  assert.deepEqual(
    (await runs.news({ ...a, place: 3 }, world.now))!.map(({ ordinal, state }) => [ordinal, state]),
    [[4, 'late']],
  );
});

test('many waits are brought their event, page by page, and so many may be open', async () => {
  await using world = await World.make();
  await world.db.records.query(
    `with r as (insert into workflow_runs (project, function, id, version, input, trigger, state, created_at, updated_at)
                select 'shop', 'f', 'r' || i, 1, 'null', 'api', 'waiting', now(), now() from generate_series(1, 1201) i returning run)
     insert into workflow_steps (run, ordinal, scope, kind, name, occurrence, state, started_at, waits_for)
     select run, 1, '', 'wait', 'w', 1, 'waiting', now(), $1 from r`,
    [waitKey('shop', 'paid', null)],
  );
  const waits = new EventWaits({ records: world.db.records, starter: world.starter });
  const consumer = topologyOf('shop', { workflows: { f: { events: ['paid'] } } }, ['f']).consumers.find(({ kind }) => kind === 'wait')!;
  const body = JSON.stringify({ specversion: '1.0', id: '1', source: '/s', type: 'paid' });
  await waits.deliver(consumer, [{ body, sentAt: world.now } as ReceivedMessage]);
  assert.equal(new Set(world.sent.map(({ run }) => run)).size, 1_201);
  assert.equal(await world.runs('edge').waiting(waitKey('shop', 'paid', null), 1_000), 1_000);
});

const STATS = { key: '', pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null, sent: 0, done: 0, retried: 0, dead: 0 };
