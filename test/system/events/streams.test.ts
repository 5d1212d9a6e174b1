// Records of streams reach functions in order, in Node and Python; windows, poison, replay, and what a kill of the edge leaves. What the
// functions got is what they append to other streams.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

const manifest = (partitions: number): string => `
project: shop
streams:
  clicks: { partitions: ${partitions} }
  timed: { partitions: 2 }
  mixed: { partitions: 1 }
  got-node: { partitions: 1 }
  got-python: { partitions: 1 }
  got-picky: { partitions: 1 }
  sums: { partitions: 1 }
functions:
  reader:
    source: reader.mjs
    triggers: [{ stream: clicks, batch: 25 }]
  tally:
    source: tally.py
    triggers: [{ stream: clicks, batch: 25, filter: { data: { n: [{ numeric: [">=", 0] }] } } }]
  windows:
    source: windows.mjs
    triggers: [{ stream: timed, window: { size: 1s }, batch: 10 }]
  picky:
    source: picky.mjs
    instances: { max: 1 }
    http: POST /cure
    triggers: [{ stream: mixed, retry: { attempts: 2, delay: 20ms } }]
`;

const FILES = {
  'virga.yaml': manifest(3),
  'reader.mjs': `
export default {
  async event({ data }, { stream }) {
    await stream('got-node').appendBatch(data.records.map(({ key, data }) => ({ key, data })));
  },
};`,
  'tally.py': `
def handler(event, context):
    data = event["data"]
    context.stream("got-python").append({"n": [one["key"] + one["data"] for one in data["records"]]})
    return {"failed": []}
`,
  'windows.mjs': `
export default {
  async event({ data }, { stream }) {
    const { window, records, state = 0, partition } = data;
    if (window.final) await stream('sums').append({ name: partition + ' ' + window.start, sum: state });
    return { state: state + records.length };
  },
};`,
  'picky.mjs': `
let cured = false;
export default {
  fetch() {
    cured = true;
    return new Response('cured');
  },
  async event({ data }, { stream }) {
    if (!cured && data.records.some((one) => one.data === 'poison')) throw new Error('that was poison');
    await stream('got-picky').appendBatch(data.records.map(({ data }) => ({ data })));
  },
};`,
};

let virga: Virga;
let control: ControlClient;
before(async () => {
  virga = await startVirga();
  control = new ControlClient(virga, 'shop');
  const { code, stderr } = await virga.deploy(FILES);
  assert.equal(code, 0, stderr);
});
after(() => virga[Symbol.asyncDispose]());

interface Row {
  key: string;
  data: string;
  at: string;
  partition: number;
  position: number;
}

async function append(stream: string, records: { key?: string; data: unknown }[]): Promise<void> {
  const { status, body } = await control.post(`/streams/${stream}/records`, { records });
  assert.equal(status, 202, JSON.stringify(body));
}

async function recordsOf(stream: string, partition = 0): Promise<Row[]> {
  const all: Row[] = [];
  for (let place = '0'; ;) {
    const { items, next, end } = await control.get<{ items: Row[]; next: string; end: boolean }>(
      `/streams/${stream}/records?partition=${partition}&limit=1000&after=${place}`,
    );
    all.push(...items);
    if (end) return all;
    place = next;
  }
}

async function atLeast(stream: string, count: number): Promise<Row[]> {
  return await eventually(async () => {
    const rows = await recordsOf(stream);
    return rows.length >= count ? rows : undefined;
  }, 15_000);
}

function byKey(rows: { key: string; data: string }[]): Record<string, string[]> {
  const keys: Record<string, string[]> = {};
  for (const { key, data } of rows) (keys[key] ??= []).push(data);
  return keys;
}

const KEYS = ['a', 'b', 'c', 'd', 'e'];
const appended: { key: string; data: string }[] = [];

test('records of one key come in order, once, to functions in Node and in Python', async () => {
  for (let n = 0; n < 20; n++) {
    const records = KEYS.map((key) => ({ key, data: `{"n":${n}}` }));
    await append('clicks', records);
    appended.push(...records);
  }
  const node = await atLeast('got-node', appended.length);
  assert.deepEqual(byKey(node), byKey(appended));
  const python = await eventually(async () => {
    const rows = (await recordsOf('got-python')).flatMap(({ data }) => (JSON.parse(data) as { n: string[] }).n);
    return rows.length >= appended.length ? rows : undefined;
  }, 15_000);
  assert.deepEqual(byKey(python.map((text) => ({ key: text.slice(0, 1), data: text.slice(1) }))), byKey(appended));
});

test('a stream is looked at with the command line', async () => {
  const list = (await virga.cli(['streams', '--project', 'shop', '--json'])).json<{ name: string; records: number }[]>();
  assert.deepEqual(
    list.map(({ name }) => name),
    ['clicks', 'got-node', 'got-picky', 'got-python', 'mixed', 'sums', 'timed'],
  );
  assert.equal(list[0]!.records, appended.length);
  const shown = await virga.cli(['streams', 'show', 'clicks', '--project', 'shop']);
  assert.match(shown.stdout, /read by reader +in step/);
  const tail = await virga.cli(['streams', 'tail', 'clicks', '--key', 'b', '--from', '1h', '--limit', '5', '--project', 'shop', '--json']);
  assert.deepEqual(
    tail.json<Row[]>().map(({ key, data }) => [key, data]),
    [0, 1, 2, 3, 4].map((n) => ['b', `{"n":${n}}`]),
  );
  const wrong = await virga.cli(['streams', 'seek', 'clicks', '--consumer', 'raeder', '--to', 'oldest', '--project', 'shop']);
  assert.match(wrong.stderr, /no function 'raeder' reads the stream 'clicks'; did you mean 'reader'\?/);
});

test('a function reads again from wherever it is sent', async () => {
  const had = (await recordsOf('got-node')).length;
  const sought = await virga.cli(['streams', 'seek', 'clicks', '--consumer', 'reader', '--to', 'oldest', '--project', 'shop']);
  assert.equal(sought.code, 0, sought.stderr);
  assert.match(sought.stdout, /partition 0: reader goes on after 0/);
  const again = (await atLeast('got-node', had + appended.length)).slice(had);
  assert.deepEqual(byKey(again), byKey(appended));
  // From the time of the last records on.
  const { at } = (await recordsOf('clicks', 0))
    .concat(await recordsOf('clicks', 1), await recordsOf('clicks', 2))
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))[50]!;
  const until = had + appended.length;
  await virga.cli(['streams', 'seek', 'clicks', '--consumer', 'reader', '--to', at, '--project', 'shop']);
  const late = (await atLeast('got-node', until + 50)).slice(until);
  for (const [key, datas] of Object.entries(byKey(late))) assert.deepEqual(datas, byKey(appended)[key]!.slice(-datas.length));
});

test('a poison record becomes a dead letter, those around it are handled, and it is run again once its fault is cured', async () => {
  const datas = Array.from({ length: 12 }, (_, n) => (n === 7 ? 'poison' : `good ${n}`));
  await append(
    'mixed',
    datas.map((data) => ({ data })),
  );
  const good = await atLeast('got-picky', 11);
  assert.deepEqual(
    good.map(({ data }) => data),
    datas.filter((data) => data !== 'poison'),
  );
  const { stdout } = await virga.cli(['dead-letters', '--project', 'shop', '--json']);
  const [letter] = JSON.parse(stdout) as { id: string; lastError: string; died: { from: string; reason: string } }[];
  assert.deepEqual([letter!.died.from, letter!.died.reason], ['stream/mixed/picky', 'rejected']);
  assert.match(letter!.lastError, /that was poison/);
  // The letter, and the record that it is of, as they were: by the version that fails.
  for (const id of [letter!.id, 'mixed/0:8']) {
    const replayed = await virga.cli(['replay', id, '--version', '1', '--project', 'shop']);
    assert.deepEqual([replayed.code, /that was poison|function_error/.test(replayed.stderr)], [1, true], `${id}: ${replayed.stderr}`);
  }
  assert.equal(await (await virga.fetch('shop', '/cure', { method: 'POST' })).text(), 'cured');
  const redriven = await virga.cli(['dead-letters', 'redrive', '--source', 'stream/mixed/picky', '--project', 'shop']);
  assert.equal(redriven.code, 0, redriven.stderr);
  assert.equal((await atLeast('got-picky', 12)).at(-1)!.data, 'poison');
  const again = await virga.cli(['replay', 'mixed/0:1', '--project', 'shop', '--json']);
  assert.deepEqual([again.code, again.json<{ source: string; function: string }>().source], [0, 'stream/mixed'], again.stderr);
  assert.equal((await atLeast('got-picky', 13)).at(-1)!.data, 'good 0');
});

test('when the edge is killed in the middle no record is left out of its window, or counted twice', async () => {
  for (let n = 0; n < 60; n++) {
    await append('timed', [{ key: KEYS[n % 5]!, data: n }]);
    await new Promise((resolve) => setTimeout(resolve, 25));
    if (n === 25) process.kill(virga.pids()['edge']![0]!, 'SIGKILL');
  }
  const rows = (await Promise.all([0, 1].map((partition) => recordsOf('timed', partition)))).flat();
  const expected = new Map<string, number>();
  for (const { partition, at } of rows) {
    const name = `${partition} ${Math.floor(Date.parse(at) / 1_000) * 1_000}`;
    expected.set(name, (expected.get(name) ?? 0) + 1);
  }
  const sums = await eventually(async () => {
    const found = new Map((await recordsOf('sums')).map(({ data }) => Object.values(JSON.parse(data) as object) as [string, number]));
    return found.size === expected.size ? found : undefined;
  }, 20_000);
  assert.deepEqual(sums, expected);
});

test('partitions that are added are read, and what was appended meanwhile is not missed', async () => {
  const had = (await recordsOf('got-node')).length;
  const { code, stderr } = await virga.deploy({ ...FILES, 'virga.yaml': manifest(6) });
  assert.equal(code, 0, stderr);
  const records = Array.from({ length: 60 }, (_, n) => ({ key: `key-${n % 30}`, data: `{"n":${n}}` }));
  await append('clicks', records);
  const got = (await atLeast('got-node', had + 60)).slice(had);
  assert.deepEqual(byKey(got), byKey(records));
  assert.ok((await recordsOf('clicks', 5)).length > 0);
});
