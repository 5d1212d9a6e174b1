// The tour's Python function, in a real guest: statistics of a CSV over HTTP and by direct invocation.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { GuestUnderTest } from './guest-under-test.ts';

const TOUR = join(import.meta.dirname, '../../../examples/tour');
const CITIES = readFileSync(join(TOUR, 'data/cities.csv'));

let guest: GuestUnderTest;
before(async () => {
  guest = await GuestUnderTest.start({
    code: { 'stats.py': readFileSync(join(TOUR, 'functions/stats.py')) },
    init: { handler: 'stats.py' },
  });
});
after(async () => {
  await guest[Symbol.asyncDispose]();
});

interface Statistics {
  rows: number;
  columns: Record<string, Record<string, unknown>>;
}

async function post(
  body: string | Buffer,
  contentType: string | null = 'text/csv',
): Promise<{ status: number; answer: Statistics & { error: string } }> {
  const headers = contentType === null ? [] : ['Content-Type', contentType];
  const {
    status,
    body: answer,
    error,
  } = await guest.http({ method: 'POST', url: 'http://tour.localhost/stats', route: '/stats', headers, body }).outcome;
  assert.equal(error, undefined, error?.stack ?? '');
  return { status, answer: JSON.parse(answer.toString()) as Statistics & { error: string } };
}

test('the statistics of the tour’s cities are right', async () => {
  const { status, answer } = await post(CITIES, 'text/csv; charset=utf-8');
  assert.equal(status, 200);
  const lines = CITIES.toString().trim().split('\n').slice(1);
  const populations = lines.map((line) => Number(line.split(',').at(-3))).toSorted((a, b) => a - b);
  const mean = populations.reduce((a, b) => a + b) / populations.length;
  const { population, country, name } = answer.columns;
  assert.equal(answer.rows, lines.length);
  assert.deepEqual(Object.keys(answer.columns), ['name', 'country', 'population', 'latitude', 'longitude']);
  const { mean: found, stdev, ...rest } = population!;
  assert.deepEqual(rest, {
    type: 'number',
    count: 44,
    missing: 0,
    min: 545_796,
    max: 21_893_095,
    median: (populations[21]! + populations[22]!) / 2,
  });
  assert.ok(Math.abs((found as number) - mean) < 1e-6);
  const deviation = Math.sqrt(populations.reduce((sum, p) => sum + (p - mean) ** 2, 0) / (populations.length - 1));
  assert.ok(Math.abs((stdev as number) - deviation) < 1e-6 * deviation);
  // Countries of equal count stand in the order of the file.
  assert.deepEqual(country!['mostCommon'], [
    { value: 'United States', count: 4 },
    { value: 'Spain', count: 2 },
    { value: 'Germany', count: 2 },
  ]);
  assert.deepEqual([name!['type'], name!['distinct']], ['text', 44]);
});

test('missing cells, one number, quoted line breaks, a byte order mark, semicolons and other charsets are understood', async () => {
  const { answer } = await post('\ufeffa;b;c\r\n1;;"x\ny"\r\n\r\n;2.50;nan\r\n');
  assert.deepEqual(answer, {
    rows: 2,
    columns: {
      a: { type: 'number', count: 1, missing: 1, min: 1, max: 1, mean: 1, median: 1, stdev: null },
      b: { type: 'number', count: 1, missing: 1, min: 2.5, max: 2.5, mean: 2.5, median: 2.5, stdev: null },
      c: {
        type: 'text',
        count: 2,
        missing: 0,
        distinct: 2,
        mostCommon: [
          { value: 'x\ny', count: 1 },
          { value: 'nan', count: 1 },
        ],
      },
    },
  });
  const latin = await post(Buffer.from('ort\nM\xfcnchen\n', 'latin1'), 'text/csv; charset=ISO-8859-1');
  assert.deepEqual(latin.answer.columns['ort']!['mostCommon'], [{ value: 'München', count: 1 }]);
  assert.equal((await post('n\n1e99\n-1e99\n')).answer.columns['n']!['type'], 'number');
  assert.equal((await post(`n\n${'9'.repeat(400)}\n`)).answer.columns['n']!['type'], 'text');
});

for (const [what, body, message] of [
  ['nothing', '', /^the CSV is empty; it needs a header row/],
  ['blank lines alone', '\n\n', /^the CSV is empty/],
  ['a header alone', 'a,b\n', /^the CSV has a header row, but no rows below it$/],
  ['a short row', 'a,b\n1,2\n\n3\n', /^line 4 has 1 field, but the header has 2 fields$/],
  ['a long row after a quoted line break', 'a,b\n"x\ny",2\n3,4,5\n', /^line 4 has 3 fields, but the header has 2 fields$/],
  ['a column without a name', 'a,,c\n1,2,3\n', /^column 2 has no name in the header \(line 1\)$/],
  ['a name twice', 'a,b,a\n1,2,3\n', /^the header \(line 1\) names 'a' 2 times$/],
  ['a quote that never ends', 'a,b\n1,2\n"3,4\n5,6\n', /^the row that begins in line 3 is not valid CSV: /],
  ['bytes that are not text', Buffer.from('a\n\xff\n', 'latin1'), /^byte 2 is not utf-8; name the charset/],
] as [string, string | Buffer, RegExp][]) {
  test(`${what} is answered with 400 and the reason`, async () => {
    const { status, answer } = await post(body);
    assert.equal(status, 400);
    assert.match(answer.error, message);
  });
}

test('another content type is answered with 415, too much with 413', async () => {
  for (const type of ['image/png', 'application/json', null]) {
    const { status, answer } = await post('a\n1\n', type);
    assert.deepEqual([status, answer.error], [415, `the content type is '${type ?? ''}'; send text/csv`]);
  }
  assert.equal((await post(Buffer.from([0xff]), 'text/csv; charset=klingon')).status, 415);
  const large = guest.http({ method: 'POST', url: 'http://tour.localhost/stats', headers: ['content-type', 'text/csv'], bodyEnds: false });
  for (let i = 0; i < 65; i++) guest.sendBody(large, 'a\n'.repeat(32_768), i === 64);
  const { status, body } = await large.outcome;
  assert.deepEqual([status, body.toString()], [413, '{"error":"the CSV has 4259840 characters; at most 4000000 are taken"}']);
});

test('a direct invocation takes the text or an object with it, and fails with the reason', async () => {
  const rows = async (payload: unknown) => ((await guest.result(payload)) as Statistics).rows;
  assert.equal(await rows({ csv: 'a\n1\n2\n' }), 2);
  assert.equal(await rows('a\n1\n2\n3\n'), 3);
  const text = await guest.invoke(null, { contentType: 'text/csv', body: CITIES }).outcome;
  assert.equal((JSON.parse(text.body.toString()) as Statistics).rows, 44);
  assert.deepEqual(
    text.logs.map((log) => log.text),
    ['44 rows, 5 columns'],
  );
  for (const [payload, message] of [
    [null, /give \{"csv": "…"\}/],
    [{ csv: 5 }, /give \{"csv"/],
    [{ csv: 'a\n1,2\n' }, /line 2 has 2 fields/],
  ] as const) {
    const { error } = await guest.invoke(payload).outcome;
    assert.equal(error?.name, 'Problem');
    assert.match(error.message, message);
  }
});
