// Recordings in a real database: what hostile texts, and more of them than there is room for, do to them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import type { ReceivedMessage } from '../bus.ts';
import { topologyOf } from '../topology.ts';
import { EventRecorder } from './record-events.ts';
import { findRecordings, RecordingBuffer, RecordingSweep } from './recordings.ts';
import type { Recorded } from './recordings.ts';

const MIB = 1_024 ** 2;
let postgres: TestPostgres;
let database: TestDatabase;
before(async () => {
  postgres = await startTestPostgres();
  database = await postgres.database();
});
after(() => postgres[Symbol.asyncDispose]());

function recording(id: string, more: Partial<Recorded> = {}): Recorded {
  return {
    project: 'shop',
    id,
    source: 'queue/orders',
    at: 1_000,
    expiresAt: 10_000,
    function: null,
    version: null,
    summary: null,
    content: '{"body":"x","attributes":{}}',
    answer: null,
    answerBody: null,
    outcomes: {},
    redacted: [],
    ...more,
  };
}

test('what a function throws, with characters that no database keeps, costs no recording', async () => {
  const buffer = new RecordingBuffer({ sql: database.records, bytesMax: MIB, log: () => {} });
  const recorder = new EventRecorder({ buffer, now: () => 2_000 });
  const topology = topologyOf('shop', { queues: { orders: { record: true } }, triggers: { ship: [{ queue: 'orders' }] } }, ['ship']);
  const consumer = topology.consumers.find(({ kind }) => kind === 'queue')!;
  // The emoji is cut in the middle.
  const errors = ['NUL \0 in it', `${'x'.repeat(499)}😀`];
  const kind = recorder.around(
    { deliver: (_consumer, messages) => Promise.resolve(messages.map((_, index) => ({ as: 'failed', error: errors[index]! }))) },
    () => topology,
  );
  const message: ReceivedMessage = {
    id: 'msg_0',
    body: 'x',
    attributes: {},
    group: null,
    deduplicationId: null,
    sequence: '1',
    sentAt: 1_000,
    firstReceivedAt: 1_000,
    attempt: 1,
    lastError: null,
    state: 'held',
    dueAt: 1_000,
    died: null,
    receipt: '1',
  };
  await kind.deliver(consumer, [message, { ...message, id: 'msg_1' }], new AbortController().signal);
  buffer.add(recording('msg_2'));
  await buffer.close();
  const found = await Promise.all(['msg_0', 'msg_1', 'msg_2'].map((id) => findRecordings(database.records, 'shop', id)));
  assert.deepEqual(
    found.map(([one]) => one?.outcomes['ship']?.error),
    ['NUL � in it', 'x'.repeat(499), undefined],
  );
  assert.equal(buffer.dropped, 0);
});

test('a recording that cannot be written takes no other with it', async () => {
  const buffer = new RecordingBuffer({ sql: database.records, bytesMax: MIB, log: () => {} });
  for (let n = 0; n < 20; n++) buffer.add(recording(`one_${n}`, n === 13 ? { summary: 'NUL \0' } : {}));
  await buffer.close();
  assert.equal(buffer.dropped, 1);
  assert.equal((await findRecordings(database.records, 'shop', 'one_19')).length, 1);
});

test('however many a project has over its bytes, and however many are too old, one sweep takes them away', async () => {
  await using own = await postgres.database();
  const sql = own.records;
  const sweep = new RecordingSweep({ sql, bytesMax: MIB, atOnce: 50 });
  assert.equal(await sweep.run(1_000), 0);
  const insert = (project: string, count: number, expiresAt: number): Promise<unknown> =>
    sql.query(
      `insert into recordings (project, id, source, at, expires_at, content, outcomes, redacted, bytes)
       select $1, 'id-' || n, 'queue/orders', n, $3, repeat(md5(n::text), 320), '{}', '[]', 10240 from generate_series(1, $2::int) n`,
      [project, count, expiresAt],
    );
  await insert('large', 400, 9_000);
  await insert('small', 60, 9_000);
  await insert('old', 200, 500);
  // Not the round in which all is looked through: that so much has come is noticed.
  assert.equal(await sweep.run(1_000), 200 + 298);
  const { rows } = await sql.query<{ project: string; count: number; oldest: number }>(
    'select project, count(*)::int, min(at)::int as oldest from recordings group by project order by project',
  );
  assert.deepEqual(rows, [
    { project: 'large', count: 102, oldest: 299 },
    { project: 'small', count: 60, oldest: 1 },
  ]);
});
