// Asynchronous invocations over a real database and a real bus: what is taken once, claimed, ended, swept, and what a crash leaves.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { EventCall, EventOutcome } from '../invoker.ts';
import { PostgresBus } from '../postgres/postgres.ts';
import { asyncQueue, topologyOf } from '../topology.ts';
import { AsyncAcceptor } from './accept.ts';
import type { AsyncCall } from './accept.ts';
import { AsyncDelivery } from './delivery.ts';
import { Destinations } from './destinations.ts';
import { AsyncRecords } from './records.ts';
import { sweepAsync } from './sweep.ts';

const RULES = { retry: { attempts: 3, delay: '1s' }, maxAge: '1h', keep: '1d' } as const;
const HOUR_MS = 3_600_000;
const CONSUMER = topologyOf('shop', { async: { work: RULES } }, ['work']).consumers[0]!;
const QUEUE = asyncQueue('shop', 'work', RULES);

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

interface Process {
  bus: PostgresBus;
  records: AsyncRecords;
  acceptor: AsyncAcceptor;
  delivery: AsyncDelivery;
  calls: EventCall[];
  sent: string[];
}

/** One that takes and delivers, as the edge does. */
function processOver(
  database: TestDatabase,
  options: { now: () => number; answer?: (call: EventCall) => EventOutcome; holder?: string },
): Process {
  const { now, answer = () => good('done'), holder = 'edge' } = options;
  const bus = new PostgresBus({ connection: database.connection, holder, log: () => {}, now });
  const records = new AsyncRecords(database.records);
  const acceptor = new AsyncAcceptor({ bus, records, requestBytesMax: 1_000, now });
  const calls: EventCall[] = [];
  const sent: string[] = [];
  const publisher = { send: async (_: string, queue: string) => sent.push(queue), publish: async () => {} };
  const destinations = new Destinations({ publisher, acceptor, rulesOf: () => undefined, log: () => {} });
  const delivery = new AsyncDelivery({
    invoker: { invoke: async (call) => (calls.push(call), answer(call)) },
    records,
    destinations,
    rulesOf: () => ({ ...RULES, onFailure: { queue: 'failures' } }),
    answerBytesMax: 1_000,
    log: () => {},
    now,
    random: () => 0.5,
    sleep: async () => {},
  });
  return { bus, records, acceptor, delivery, calls, sent };
}

function good(text: string): EventOutcome {
  return {
    ok: true,
    invocation: 'inv_1',
    version: 3,
    status: 200,
    headers: ['content-type', 'text/plain'],
    contentType: 'text/plain',
    body: Buffer.from(text),
  };
}

const bad = { ok: false, invocation: 'inv_1', refused: false, code: 'function_error', message: 'it threw' } as const satisfies EventOutcome;

function callOf(text: string, more: Partial<AsyncCall> = {}): AsyncCall {
  return {
    project: 'shop',
    function: 'work',
    rules: RULES,
    request: { contentType: 'text/plain', body: Buffer.from(text) },
    source: 'control',
    ...more,
  };
}

async function received(bus: PostgresBus): Promise<ReceivedMessage[]> {
  return (await bus.receive(QUEUE, { max: 100, bytesMax: 1_000_000, leaseMs: 30_000 })).messages;
}

async function deliver(one: Process): Promise<string[]> {
  const messages = await received(one.bus);
  const verdicts = await one.delivery.deliver(CONSUMER, messages, new AbortController().signal);
  await one.bus.settle(
    QUEUE,
    verdicts.map((verdict, at) => {
      const { receipt } = messages[at]!;
      if (verdict.as === 'done') return { receipt, as: 'done' };
      if (verdict.as === 'dead') return { receipt, as: 'dead', error: verdict.error };
      return { receipt, as: 'retry', delayMs: 0, ...(verdict.as === 'later' ? { unseen: true as const } : { error: verdict.error }) };
    }),
  );
  return verdicts.map(({ as }) => as);
}

test('of one idempotency key two processes make one invocation, whose message is the only one', async () => {
  await using database = await postgres.database();
  const now = (): number => Date.now();
  const [edge, control] = [processOver(database, { now }), processOver(database, { now, holder: 'control' })];
  await using stack = new AsyncDisposableStack();
  for (const { bus } of [edge, control]) stack.use(bus);
  const idempotency = { scope: 'http', key: 'order-1' };
  const taken = await Promise.all(
    Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? edge : control).acceptor.accept(callOf('pay', { idempotency }))),
  );
  assert.equal(new Set(taken.map(({ id }) => id)).size, 1);
  assert.equal(taken.filter(({ again }) => !again).length, 1);
  assert.deepEqual(
    (await received(edge.bus)).map(({ id }) => id),
    [taken[0]!.id],
  );
  await assert.rejects(control.acceptor.accept(callOf('pay more', { idempotency })), { code: 'idempotency_key_reused' });
  // Of another caller it is another key.
  assert.equal((await edge.acceptor.accept(callOf('pay', { idempotency: { scope: 'http key k1', key: 'order-1' } }))).again, false);
});

test('a key is free again when its invocation is forgotten', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const call = callOf('pay', { idempotency: { scope: '', key: 'k' } });
  const first = await edge.acceptor.accept(call);
  assert.deepEqual(await deliver(edge), ['done']);
  time += 24 * HOUR_MS - 1_000;
  assert.equal((await edge.acceptor.accept(call)).id, first.id);
  time += 2_000;
  assert.notEqual((await edge.acceptor.accept(call)).id, first.id);
});

test('attempts are counted, the last failure is told to its destination and dies; redriven it begins anew', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  let answer: EventOutcome = bad;
  const edge = processOver(database, { now: () => time, answer: () => answer });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  assert.deepEqual([await deliver(edge), await deliver(edge)], [['failed'], ['failed']]);
  assert.deepEqual(edge.sent, []);
  assert.deepEqual(await deliver(edge), ['dead']);
  const failed = (await edge.records.find('shop', id))!;
  assert.deepEqual([failed.state, failed.attempts, failed.errorCode, edge.sent], ['failed', 3, 'function_error', ['failures']]);
  time += 10;
  answer = good('at last');
  assert.equal(await edge.bus.redrive(QUEUE.dead!, { targetOf: () => QUEUE, max: 10 }), 1);
  assert.deepEqual(await deliver(edge), ['done']);
  const succeeded = (await edge.records.find('shop', id))!;
  assert.deepEqual([succeeded.state, succeeded.attempts, succeeded.version, succeeded.errorCode], ['succeeded', 1, 3, null]);
  assert.equal(succeeded.answerBody!.toString(), 'at last');
});

test('a dead letter that is redriven after its row is forgotten runs all the same', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  let answer: EventOutcome = bad;
  const edge = processOver(database, { now: () => time, answer: () => answer });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  for (let attempt = 0; attempt < 3; attempt++) await deliver(edge);
  time += 48 * HOUR_MS;
  assert.equal(await edge.records.removeExpired(time, 10), 1);
  answer = good('at last');
  assert.equal(await edge.bus.redrive(QUEUE.dead!, { targetOf: () => QUEUE, max: 10 }), 1);
  assert.deepEqual(await deliver(edge), ['done']);
  assert.equal((await edge.records.find('shop', id))?.state, 'succeeded');
});

test('a message whose row was never written is not run, and goes after a while', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  await edge.records.remove(id);
  assert.deepEqual(await deliver(edge), ['failed']);
  time += 61_000;
  assert.deepEqual([await deliver(edge), edge.calls.length], [['done'], 0]);
});

test('an attempt that a crash cut off does not count, and its outcome is written once', async () => {
  await using database = await postgres.database();
  const now = (): number => Date.now();
  const edge = processOver(database, { now });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  const [message] = await received(edge.bus);
  // It began, and its process died.
  assert.equal((await edge.records.claim({ id, sentAt: message!.sentAt, now: now() }))?.attempts, 1);
  const again = await edge.records.claim({ id, sentAt: message!.sentAt, now: now() });
  assert.deepEqual([again?.attempts, again?.interrupted], [1, 1]);
  const verdicts = await edge.delivery.deliver(CONSUMER, [message!], new AbortController().signal);
  assert.deepEqual([verdicts, edge.calls.length], [[{ as: 'done' }], 1]);
  // The outcome was written, the settlement was not: it is not run again.
  assert.deepEqual(await edge.delivery.deliver(CONSUMER, [message!], new AbortController().signal), [{ as: 'done' }]);
  assert.equal(edge.calls.length, 1);
});

test('one that crashes its node again and again is given up', async () => {
  await using database = await postgres.database();
  const edge = processOver(database, { now: () => Date.now() });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  const [message] = await received(edge.bus);
  for (let times = 0; times < 6; times++) await edge.records.claim({ id, sentAt: message!.sentAt, now: Date.now() });
  const [verdict] = await edge.delivery.deliver(CONSUMER, [message!], new AbortController().signal);
  assert.equal(verdict!.as, 'dead');
  assert.deepEqual([(await edge.records.find('shop', id))!.errorCode, edge.calls.length], ['function_crashed', 0]);
});

test('what is refused is no attempt, what comes too late has failed, what was cancelled is not run', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, {
    now: () => time,
    answer: () => ({ ok: false, invocation: null, refused: true, code: 'function_overloaded', message: 'full', retryAfterMs: 7 }),
  });
  await using _ = edge.bus;
  const { id } = await edge.acceptor.accept(callOf('x'));
  assert.deepEqual(await deliver(edge), ['later']);
  assert.deepEqual([(await edge.records.find('shop', id))!.state, (await edge.records.find('shop', id))!.attempts], ['queued', 0]);
  time += HOUR_MS + 1;
  assert.deepEqual(await deliver(edge), ['dead']);
  const late = (await edge.records.find('shop', id))!;
  assert.deepEqual([late.state, late.attempts, late.errorCode, edge.sent], ['failed', 0, 'invocation_expired', ['failures']]);
  const other = await edge.acceptor.accept(callOf('y'));
  assert.equal((await edge.records.cancel('shop', other.id, time)).cancelled, true);
  assert.deepEqual(await deliver(edge), ['done']);
  assert.equal((await edge.records.find('shop', other.id))!.state, 'cancelled');
});

test('the sweep gives up what nobody gets to, tells its destination, and forgets what was kept long enough', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const { records, bus, acceptor, sent } = edge;
  const publisher = { send: async (_project: string, queue: string) => sent.push(queue), publish: async () => {} };
  const rulesOf = () => ({ ...RULES, onFailure: { queue: 'failures' } });
  const destinations = new Destinations({ publisher, acceptor, rulesOf, log: () => {} });
  const sweep = () => sweepAsync({ records, bus, destinations, rulesOf, now: () => time }, new AbortController().signal);
  const { id } = await acceptor.accept(callOf('secret'));
  time += HOUR_MS;
  assert.deepEqual(await sweep(), { expired: 0, removed: 0 });
  time += 31_000;
  assert.deepEqual([await sweep(), sent], [{ expired: 1, removed: 0 }, ['failures']]);
  const row = (await records.find('shop', id))!;
  assert.deepEqual([row.state, row.errorCode], ['failed', 'invocation_expired']);
  // Whoever gets the message afterwards lets it die, and runs nothing.
  assert.deepEqual([await deliver(edge), edge.calls.length], [['dead'], 0]);
  time += 25 * HOUR_MS;
  assert.deepEqual(await sweep(), { expired: 0, removed: 1 });
});

test('of a project that keeps too much the oldest answers go, and nothing else of them', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) {
    ids.push((await edge.acceptor.accept(callOf('x'.repeat(500), { idempotency: { scope: '', key: String(n) } }))).id);
    assert.deepEqual(await deliver(edge), ['done']);
    time += 1_000;
  }
  // Each keeps a request of a little more than 500 bytes, and the answer `done`.
  assert.equal(await edge.records.removeAnswers({ bytesMax: 5_000, limit: 10 }), 0);
  assert.equal(await edge.records.removeAnswers({ bytesMax: 1_500, limit: 1 }), 2);
  assert.equal(await edge.records.removeAnswers({ bytesMax: 1_500, limit: 10 }), 0);
  const rows = await Promise.all(ids.map((id) => edge.records.find('shop', id)));
  assert.deepEqual(
    rows.map((row) => [row!.state, row!.request === null, row!.answerBody === null]),
    [true, true, false, false].map((gone) => ['succeeded', gone, gone]),
  );
  const call = callOf('x'.repeat(500), { idempotency: { scope: '', key: '0' } });
  assert.deepEqual(await edge.acceptor.accept(call), { id: ids[0], state: 'succeeded', again: true });
});

test('a body of more than may be is refused', async () => {
  await using database = await postgres.database();
  const edge = processOver(database, { now: () => Date.now() });
  await using _ = edge.bus;
  await assert.rejects(edge.acceptor.accept(callOf('x'.repeat(1_001))), { code: 'request_too_large' });
});

test('a key is known for as long as its invocation runs, however short it is kept', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const rules = { maxAge: '1s', keep: '1m' } as const;
  const call = callOf('pay', { rules, idempotency: { scope: '', key: 'k' } });
  const first = await edge.acceptor.accept(call);
  const [message] = await received(edge.bus);
  await edge.records.claim({ id: first.id, sentAt: message!.sentAt, now: time });
  time += 10 * 60_000;
  assert.deepEqual(await edge.acceptor.accept(call), { id: first.id, state: 'running', again: true });
});

test('who knows a key, and not what was asked with it, does not learn which invocation it is', async () => {
  await using database = await postgres.database();
  const edge = processOver(database, { now: () => Date.now() });
  await using _ = edge.bus;
  const idempotency = { scope: 'http', key: 'order-1' };
  const { id } = await edge.acceptor.accept(callOf('mine', { idempotency }));
  await assert.rejects(edge.acceptor.accept(callOf('guess', { idempotency })), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'idempotency_key_reused');
    assert.ok(!error.message.includes(id), error.message);
    return true;
  });
});

test('what could not be written before its message was given up is not acknowledged', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const insert = edge.records.insert.bind(edge.records);
  // The machine sleeps between the two, and its deliveries wake up first.
  edge.records.insert = async (row) => {
    time += 61_000;
    assert.deepEqual(await deliver(edge), ['done']);
    return insert(row);
  };
  await assert.rejects(edge.acceptor.accept(callOf('x')), { code: 'unavailable' });
  assert.deepEqual(await edge.records.list({ project: 'shop', limit: 10 }), []);
});

test('the sweep tells a destination before it writes the outcome; one that is full holds up no other, and is told when it has room', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time });
  await using _ = edge.bus;
  const { records, bus, acceptor } = edge;
  let full = true;
  const told: { id: string; body: string; deduplicationId: string }[] = [];
  const publisher = {
    send: async (_project: string, _queue: string, [message]: { body: string; id?: string; deduplicationId?: string }[]) => {
      const { data } = JSON.parse(message!.body) as { data: { request: { text: string } } };
      if (full && data.request.text === 'one') throw new VirgaError('queue_full', 'full');
      told.push({ id: message!.id!, body: data.request.text, deduplicationId: message!.deduplicationId! });
    },
    publish: async () => {},
  };
  const rulesOf = () => ({ ...RULES, onFailure: { queue: 'failures' } });
  const destinations = new Destinations({ publisher, acceptor, rulesOf, log: () => {} });
  const looked: string[] = [];
  const watched = {
    peek: (...args: Parameters<typeof bus.peek>) => (looked.push('peek'), bus.peek(...args)),
  };
  const sweep = () => sweepAsync({ records, bus: watched, destinations, rulesOf, now: () => time }, new AbortController().signal);
  const one = await acceptor.accept(callOf('one'));
  const other = await acceptor.accept(callOf('other'));
  time += HOUR_MS + 31_000;
  assert.equal((await sweep()).expired, 1);
  assert.deepEqual(
    told.map(({ body }) => body),
    ['other'],
  );
  assert.deepEqual([(await records.find('shop', one.id))!.state, (await records.find('shop', other.id))!.state], ['queued', 'failed']);
  full = false;
  assert.equal((await sweep()).expired, 1);
  assert.deepEqual(
    told.map(({ body }) => body),
    ['other', 'one'],
  );
  // Each is looked up where it lies, and not searched for.
  assert.deepEqual(looked, ['peek', 'peek', 'peek']);
  for (const { id, deduplicationId } of told) assert.equal(deduplicationId, id);
});

test('what fails again after it was redriven is told as another event', async () => {
  await using database = await postgres.database();
  let time = Date.now();
  const edge = processOver(database, { now: () => time, answer: () => bad });
  await using _ = edge.bus;
  const ids: string[] = [];
  const publisher = { send: async (_p: string, _q: string, [one]: { id?: string }[]) => ids.push(one!.id!), publish: async () => {} };
  const rulesOf = () => ({ ...RULES, onFailure: { queue: 'failures' } });
  const destinations = new Destinations({ publisher, acceptor: edge.acceptor, rulesOf, log: () => {} });
  const { id } = await edge.acceptor.accept(callOf('x'));
  const fail = async (): Promise<void> => {
    for (let attempt = 0; attempt < 3; attempt++) await deliver(edge);
    const row = (await edge.records.find('shop', id))!;
    // Told twice by a crash in between: the same.
    for (let times = 0; times < 2; times++) await destinations.send(row, { contentType: 'text/plain', body: Buffer.from('x') }, rulesOf());
  };
  await fail();
  time += 10;
  assert.equal(await edge.bus.redrive(QUEUE.dead!, { targetOf: () => QUEUE, max: 10 }), 1);
  await fail();
  assert.deepEqual([ids[0] === ids[1], ids[2] === ids[3], ids[0] === ids[2]], [true, true, false]);
});
