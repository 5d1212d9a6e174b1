import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InvocationRecord } from '../protocol/invocation.ts';
import { INVOCATION_COLUMNS, LOG_COLUMNS, copyText, invocationRow, logRow } from './copy-text.ts';

const RECORD: InvocationRecord = {
  id: 'inv_1',
  traceId: 'ab',
  project: 'p',
  function: 'f',
  version: 3,
  trigger: 'http',
  outcome: 'ok',
  status: 200,
  request: 'GET /',
  error: null,
  explanation: null,
  startedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 6) + 0.25,
  receipt: { queueMs: 0.1234567, sandboxMs: 0, loadMs: 0, initMs: 0, handlerMs: 1e300, cold: true, billedMs: 5 },
  peakMemoryBytes: 1e6,
  bytesIn: Number.NaN,
  bytesOut: -1,
  instance: 'ins_1',
};

test('a record is one line with a field for each column, and numbers within the range of their column', () => {
  const row = invocationRow(RECORD);
  assert.equal(row.split('\t').length, INVOCATION_COLUMNS.split(', ').length);
  assert.equal(
    row,
    'inv_1\tab\tp\tf\t3\thttp\tok\t200\tGET /\t\\N\t2026-01-02T03:04:05.006250Z\t0.123\t0\t0\t0\t1000000000000\tt\t5\t1000000\t0\t0\tins_1\t\\N\n',
  );
  assert.match(
    invocationRow({ ...RECORD, startedAt: Number.NaN, status: null, version: 1e12 }),
    /\t2147483647\thttp\tok\t\\N\tGET \/\t\\N\t1970-01-01T00:00:00\.000000Z\t/,
  );
});

test('a log line is one line whatever its text holds', () => {
  const row = logRow({
    id: 'log_1',
    at: 0,
    project: 'p',
    function: 'f',
    version: 1,
    invocation: '',
    instance: 'i',
    level: 'info',
    text: 'a\tb\nc\rd\\.e\0f',
  });
  assert.equal(row.split('\t').length, LOG_COLUMNS.split(', ').length);
  assert.equal(row, 'log_1\t1970-01-01T00:00:00.000000Z\tp\tf\t1\t\ti\tinfo\ta\\tb\\nc\\rd\\\\.ef\n');
  assert.equal(copyText('\\N'), '\\\\N');
});
