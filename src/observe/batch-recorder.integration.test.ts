import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../lib/ids.ts';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { BatchRecorder } from './batch-recorder.ts';
import { queryInvocation } from './invocation-queries.ts';
import { queryLogs } from './log-queries.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
});

const MIB = 1024 * 1024;

function record(change: Partial<InvocationRecord> = {}): InvocationRecord {
  return {
    id: newId('inv'),
    traceId: '0af7651916cd43dd8448eb211c80319c',
    project: 'tour',
    function: 'hello',
    version: 3,
    trigger: 'http',
    outcome: 'ok',
    status: 200,
    request: 'GET /hello',
    error: null,
    explanation: null,
    startedAt: 1_790_000_000_000.25,
    receipt: { queueMs: 0.125, sandboxMs: 0, loadMs: 0, initMs: 0, handlerMs: 1.5, cold: false, billedMs: 2 },
    peakMemoryBytes: 50 * MIB,
    bytesIn: 0,
    bytesOut: 5_000_000_000,
    instance: 'sbx_1',
    ...change,
  };
}

function line(text: string, change: Partial<LogLine> = {}): LogLine {
  return {
    id: newId('log'),
    at: 1_790_000_000_000.5,
    project: 'tour',
    function: 'hello',
    version: 3,
    invocation: 'inv_1',
    instance: 'sbx_1',
    level: 'info',
    text,
    ...change,
  };
}

async function count(database: TestDatabase, table: 'invocations' | 'log_lines'): Promise<number> {
  const { rows } = await database.records.query<{ count: number }>(`select count(*)::int as count from ${table}`);
  return rows[0]!.count;
}

/** Resolves once `check` holds; looks every few ms, and fails after 5 s. */
async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + 5_000;
  while (!(await check())) {
    assert.ok(performance.now() < until, 'it did not happen within 5 s');
    await sleep(5);
  }
}

test('records and lines are readable shortly after they were left, without anything else being called', async () => {
  await using database = await postgres.database();
  const recorder = new BatchRecorder({ connection: database.connection, bufferBytes: MIB });
  const ok = record();
  const failed = record({ outcome: 'function_error', error: 'Error: no\n\tat x', request: null, status: null });
  recorder.invocation(ok);
  recorder.invocation(failed);
  recorder.log(line('hello\tworld'));
  recorder.invocation({ ...ok, receipt: undefined } as unknown as InvocationRecord);
  assert.deepEqual([recorder.status().pending, recorder.status().written], [3, 0]);
  await eventually(() => recorder.status().written === 3);
  assert.deepEqual(await queryInvocation(database.records, 'tour', ok.id), ok);
  assert.deepEqual(await queryInvocation(database.records, 'tour', failed.id), failed);
  const [read] = await queryLogs(database.records, { project: 'tour' }, 10);
  assert.deepEqual([read!.text, read!.at], ['hello\tworld', 1_790_000_000_000.5]);
  assert.deepEqual(recorder.status(), { pending: 0, pendingBytes: 0, written: 3, dropped: { invocations: 1, logLines: 0 } });
  await recorder.close({ timeoutMs: 1_000 });
});

test('every text comes back as it was, but for NUL and lone surrogates', async () => {
  await using database = await postgres.database();
  const unit = fc.oneof(
    fc.constantFrom('\t', '\n', '\r', '\\', '\0', 'N', '.', '\ud800', '\udc00', 'é', '😀', '"'),
    fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.array(unit, { maxLength: 30 }).map((units) => units.join('')),
        { minLength: 1, maxLength: 40 },
      ),
      async (texts) => {
        const recorder = new BatchRecorder({ connection: database.connection, bufferBytes: MIB });
        for (const text of texts) recorder.log(line(text, { function: text }));
        await recorder.close({ timeoutMs: 5_000 });
        const { rows } = await database.records.query<{ text: string; function: string }>(
          'select text, function from log_lines order by id',
        );
        await database.records.query('truncate log_lines');
        const expected = texts.map((text) => text.replaceAll('\0', '').toWellFormed());
        assert.deepEqual(
          rows.map((row) => row.text),
          expected,
        );
        assert.deepEqual(
          rows.map((row) => row.function),
          expected,
        );
      },
    ),
    { numRuns: 25 },
  );
});

test('close writes tens of thousands of rows in several batches', async () => {
  await using database = await postgres.database();
  const recorder = new BatchRecorder({ connection: database.connection, bufferBytes: 64 * MIB });
  for (let i = 0; i < 15_000; i++) {
    recorder.invocation(record());
    recorder.log(line(`line ${i}`));
  }
  await recorder.close({ timeoutMs: 20_000 });
  assert.deepEqual([await count(database, 'invocations'), await count(database, 'log_lines')], [15_000, 15_000]);
  assert.equal(recorder.status().pendingBytes, 0);
});

test('what comes beyond the bound is dropped and counted, and lines leave room for invocations', async () => {
  await using database = await postgres.database();
  const recorder = new BatchRecorder({ connection: database.connection, bufferBytes: 100_000 });
  for (let i = 0; i < 1_000; i++) recorder.log(line('x'.repeat(600)));
  for (let i = 0; i < 20; i++) recorder.invocation(record());
  const { dropped, pending, pendingBytes } = recorder.status();
  assert.equal(dropped.invocations, 0);
  assert.equal(dropped.logLines + pending, 1_020);
  assert.ok(pendingBytes <= 100_000);
  for (let i = 0; i < 1_000; i++) recorder.invocation(record());
  assert.ok(recorder.status().dropped.invocations > 800);
  assert.ok(recorder.status().pendingBytes <= 100_000);
  await recorder.close({ timeoutMs: 5_000 });
  assert.equal(recorder.status().written, 2_020 - recorder.status().dropped.invocations - recorder.status().dropped.logLines);
  recorder.invocation(record());
  assert.equal(recorder.status().pending, 0);
});

test('a connection that is cut is replaced, and nothing is lost or written twice', async () => {
  await using database = await postgres.database();
  const said: string[] = [];
  const recorder = new BatchRecorder({
    connection: database.connection,
    bufferBytes: 16 * MIB,
    log: (_level, message) => said.push(message),
  });
  recorder.invocation(record());
  await eventually(() => recorder.status().written === 1);
  let left = 1;
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 2_000; i++, left++) recorder.invocation(record());
    await database.records.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await sleep(40);
  }
  await recorder.close({ timeoutMs: 10_000 });
  assert.equal(await count(database, 'invocations'), left);
  assert.equal(recorder.status().written, left);
});

test('a commit whose answer was lost is not written twice', async () => {
  await using database = await postgres.database();
  // Between the recorder and Postgres: the first connection is cut as soon as its commit has been sent and answered.
  const server = join(postgres.runFolder, '.s.PGSQL.5432');
  let cut = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(server);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (sockets.delete(socket), near.destroy(), far.destroy()));
    }
    near.pipe(far);
    far.on('data', (bytes: Buffer) => {
      if (cut === 0 && bytes.includes('COMMIT')) {
        cut++;
        near.destroy();
      } else near.write(bytes);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as { port: number };
  const recorder = new BatchRecorder({ connection: { ...database.connection, host: '127.0.0.1', port }, bufferBytes: MIB });
  for (let i = 0; i < 100; i++) {
    recorder.invocation(record());
    recorder.log(line(`line ${i}`));
  }
  await recorder.close({ timeoutMs: 5_000 });
  assert.equal(cut, 1);
  assert.deepEqual([await count(database, 'invocations'), await count(database, 'log_lines'), recorder.status().written], [100, 100, 200]);
  for (const socket of sockets) socket.destroy();
  proxy.close();
  await once(proxy, 'close');
});

test('an id that exists already costs only its own row', async () => {
  await using database = await postgres.database();
  const recorder = new BatchRecorder({ connection: database.connection, bufferBytes: MIB });
  const first = record();
  recorder.invocation(first);
  recorder.invocation(record());
  recorder.invocation({ ...first, outcome: 'function_error' });
  await recorder.close({ timeoutMs: 5_000 });
  assert.equal(await count(database, 'invocations'), 2);
});

test('without Postgres records wait within the bound, and close gives up in time and counts them', async () => {
  const said: string[] = [];
  const recorder = new BatchRecorder({
    connection: { host: join(postgres.folder, 'nowhere'), user: 'virga' },
    bufferBytes: MIB,
    log: (level, message) => said.push(`${level}: ${message}`),
  });
  recorder.invocation(record());
  recorder.log(line('lost'));
  await eventually(() => said.length === 1);
  recorder.log(line('lost too'));
  assert.equal(recorder.status().pending, 3);
  const startedAt = performance.now();
  await recorder.close({ timeoutMs: 150 });
  assert.ok(performance.now() - startedAt < 1_000);
  assert.match(said[0]!, /^warn: records cannot be written/);
  assert.deepEqual(recorder.status(), { pending: 0, pendingBytes: 0, written: 0, dropped: { invocations: 1, logLines: 2 } });
});

test('close does not wait longer than it may for a server that accepts and says nothing', async () => {
  const open: Socket[] = [];
  const silent = createServer((socket) => void open.push(socket.on('error', () => {})));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  const recorder = new BatchRecorder({ connection: { host: '127.0.0.1', port, user: 'virga' }, bufferBytes: MIB });
  recorder.invocation(record());
  const startedAt = performance.now();
  await recorder.close({ timeoutMs: 150 });
  assert.ok(performance.now() - startedAt < 1_000);
  assert.equal(recorder.status().dropped.invocations, 1);
  for (const socket of open) socket.destroy();
  silent.close();
  await once(silent, 'close');
});
