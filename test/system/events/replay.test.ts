// Recordings of routes, queues and topics, with what is left out of them; and replays: of what was recorded, of dead letters, of asynchronous
// invocations, by any version, with what differs.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

let virga: Virga;
let folder: string;

interface Recording {
  id: string;
  source: string;
  summary: string | null;
  status: number | null;
  outcomes: Record<string, { state: string; error?: string }>;
  redacted: string[];
}
interface Detail extends Recording {
  request: { method?: string; url?: string; headers?: string[]; text?: string; attributes?: Record<string, string> };
  answer: { status: number; text?: string; headers: string[]; truncated: boolean } | null;
}
interface Replayed {
  function: string;
  version: number;
  redacted: string[];
  result: { status: number; text?: string } | null;
  error: { code: string } | null;
  compared: { with: string; version: number } | null;
  differences: { at: string; before?: unknown; after?: unknown; lines?: string[] }[] | null;
}

const MANIFEST = `
project: shop
functions:
  quote:
    source: quote.ts
    http: '/quote/{item}'
  ship: { source: ship.ts, triggers: [{ queue: orders }] }
  bill: { source: ship.ts, triggers: [{ topic: prices }] }
  watch: { source: ship.ts, triggers: [{ topic: prices }] }
  report: { source: ship.ts, async: { retry: { attempts: 1 } } }
gateway:
  auth:
    shopkeys: { keys: { from: ['header:x-shop-key'] } }
  defaults:
    record: { for: 1d, redact: [query.token, body.card.number, 'body.people.*.mail'] }
queues:
  orders: { record: { redact: [body.card, attribute.secret] }, retry: { attempts: 1 } }
topics:
  prices: { record: true }
`;
const quote = (price: number): string => `
export default {
  async fetch(request: Request) {
    const body = request.method === 'POST' ? await request.json() : null;
    return Response.json({ item: new URL(request.url).pathname.split('/').at(-1), price: ${price}, much: body?.much, lines: [1, 2] },
      { headers: { 'x-price': '${price}', 'set-cookie': 'sid=hush', date: new Date().toUTCString() } });
  },
};`;
const ship = (fails: boolean): string => `
export default {
  event(event: { data: unknown }) {
    console.log('got ' + JSON.stringify(event.data));
    if (${fails} && JSON.stringify(event).includes('poison')) throw new Error('it is poison');
    return 'shipped ${fails ? 'never' : 'well'}\\nline two';
  },
};`;

before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy({ 'virga.yaml': MANIFEST, 'quote.ts': quote(1), 'ship.ts': ship(true) });
  assert.equal(deployed.code, 0, deployed.stderr);
  folder = deployed.folder;
});
after(() => virga[Symbol.asyncDispose]());

async function control<T>(path: string, body?: object): Promise<{ status: number; body: T }> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/shop/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

async function recorded(id: string): Promise<Detail[]> {
  return eventually(async () => {
    const { status, body } = await control<{ items: Detail[] }>(`recordings/${id}`);
    return status === 200 ? body.items : undefined;
  });
}

async function send(queue: string, message: object): Promise<string> {
  const { status, body } = await control<{ messages: { id: string }[] }>(`queues/${queue}/messages`, { messages: [message] });
  assert.equal(status, 202, JSON.stringify(body));
  return body.messages[0]!.id;
}

async function replay(id: string, more: object = {}): Promise<Replayed> {
  const { status, body } = await control<Replayed>('replay', { id, ...more });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

async function ask(path: string, init: RequestInit = {}): Promise<string> {
  const response = await virga.fetch('shop', path, init);
  assert.equal(response.status, 200);
  await response.text();
  return response.headers.get('x-virga-invocation')!;
}

test('a request is kept with its answer, without what its caller proved itself with and what the rules name', async () => {
  const id = await ask('/quote/lamp?token=hush&n=1', {
    method: 'POST',
    headers: {
      authorization: 'Bearer hush',
      cookie: 'a=hush',
      'x-shop-key': 'hush',
      'x-other': 'stays',
      'content-type': 'application/json',
    },
    body: JSON.stringify({ card: { number: 'hush', name: 'Ada' }, people: [{ mail: 'hush' }, { mail: 'hush', age: 36 }] }),
  });
  const [one, ...others] = await recorded(id);
  assert.equal(others.length, 0);
  assert.deepEqual([one!.source, one!.summary, one!.status], ['route/quote/{item}', 'POST /quote/lamp', 200]);
  assert.ok(!JSON.stringify(one).includes('hush'), JSON.stringify(one));
  assert.match(one!.request.url!, /\?token=redacted&n=1$/);
  assert.deepEqual(JSON.parse(one!.request.text!), {
    card: { number: '[redacted]', name: 'Ada' },
    people: [{ mail: '[redacted]' }, { mail: '[redacted]', age: 36 }],
  });
  assert.ok(one!.request.headers!.includes('stays'));
  for (const place of [
    'header.authorization',
    'header.cookie',
    'header.x-shop-key',
    'header.set-cookie',
    'query.token',
    'body.card.number',
  ])
    assert.ok(one!.redacted.includes(place), `${place} of ${one!.redacted.join(', ')}`);
});

test('a body of more than is kept cannot be run again, and an answer of more is cut', async () => {
  const id = await ask('/quote/lamp', { method: 'POST', body: JSON.stringify({ much: 'x'.repeat(70_000) }) });
  const [one] = await recorded(id);
  // The function answers with what it was sent.
  assert.deepEqual([one!.answer!.truncated, one!.request.text], [true, '']);
  const { status, body } = await control<{ error: { code: string; message: string } }>('replay', { id });
  assert.deepEqual([status, body.error.code], [422, 'replay_impossible']);
  assert.match(body.error.message, /64 KiB/);
});

test('what passes a queue and a topic is kept, with what became of each delivery', async () => {
  const good = await send('orders', { body: JSON.stringify({ n: 1, card: '4111' }), attributes: { secret: 'hush', size: 'L' } });
  const [one] = await eventually(async () => {
    const found = await recorded(good);
    return found[0]!.outcomes['ship'] === undefined ? undefined : found;
  });
  assert.deepEqual([one!.source, one!.outcomes['ship']!.state], ['queue/orders', 'done']);
  assert.deepEqual([JSON.parse(one!.request.text!), one!.request.attributes], [{ n: 1, card: '[redacted]' }, { size: 'L' }]);
  const { body } = await control<{ published: { id: string }[] }>('topics/prices/messages', {
    messages: [{ body: 'poison', subject: 'lamps' }],
  });
  const id = body.published[0]!.id;
  const [topic] = await eventually(async () => {
    const found = await recorded(id);
    return Object.keys(found[0]!.outcomes).length === 2 ? found : undefined;
  });
  assert.deepEqual([topic!.source, topic!.summary, topic!.outcomes['bill']!.state], ['topic/prices', 'lamps', 'failed']);
  assert.match(topic!.outcomes['watch']!.error!, /function_error/);
  // Which of the two is to get it again?
  const unclear = await control<{ error: { message: string } }>('replay', { id });
  assert.equal(unclear.status, 400);
  assert.match(unclear.body.error.message, /'bill', 'watch'/);
  assert.equal((await replay(id, { function: 'watch' })).error?.code, 'function_error');
});

test('a dead letter is run again by a version that was put right, and stays where it is', async () => {
  const poison = await send('orders', { body: '{"poison":true}' });
  await eventually(async () => {
    const { body } = await control<{ items: { id: string }[] }>('dead-letters');
    return body.items.some(({ id }) => id === poison) ? true : undefined;
  });
  assert.equal((await replay(poison)).error?.code, 'function_error');
  await writeFile(join(folder, 'ship.ts'), ship(false));
  await writeFile(join(folder, 'quote.ts'), quote(2));
  assert.equal((await virga.cli(['deploy', folder])).code, 0);
  const answer = await replay(poison);
  assert.deepEqual([answer.function, answer.version, answer.error], ['ship', 2, null]);
  assert.match(answer.result!.text!, /shipped well/);
  // Against the version that still fails.
  const differing = await replay(poison, { version: 1, diff: true });
  assert.deepEqual([differing.compared?.with, differing.differences!.map(({ at }) => at)], ['served', ['error']]);
  const { body } = await control<{ items: { id: string }[] }>('dead-letters');
  assert.ok(body.items.some(({ id }) => id === poison));
});

test('the answers of two versions are compared by path, without dates and what was left out', async () => {
  const id = await ask('/quote/lamp');
  await recorded(id);
  const same = await replay(id, { diff: true });
  assert.deepEqual([same.version, same.compared?.with, same.differences], [2, 'recorded', []]);
  const old = await replay(id, { version: 1, diff: true });
  assert.deepEqual(old.differences, [
    { at: 'header.x-price', before: '2', after: '1' },
    { at: 'body.price', before: 2, after: 1 },
  ]);
  const told = await virga.cli(['replay', id, '--version', '1', '--diff', '--project', 'shop']);
  assert.deepEqual([told.code, told.stdout], [1, 'header.x-price\n- "2"\n+ "1"\nbody.price\n- 2\n+ 1\n']);
  assert.match(told.stderr, /did not get what was not kept: .*header.set-cookie/);
  const equal = await virga.cli(['replay', id, '--diff', '--project', 'shop']);
  assert.deepEqual([equal.code, equal.stdout.trim()], [0, '']);
  const plain = await virga.cli(['replay', id, '--project', 'shop']);
  assert.deepEqual([plain.code, JSON.parse(plain.stdout).price], [0, 2]);
  const records = await eventually(async () => {
    const { stdout } = await virga.cli(['invocations', 'quote', '--project', 'shop', '--json']);
    return (JSON.parse(stdout) as { trigger: string }[]).filter(({ trigger }) => trigger === 'replay').at(3);
  });
  assert.equal(records.trigger, 'replay');
});

test('an asynchronous invocation is run again, against what it answered', async () => {
  const { body } = await control<{ id: string }>('functions/report/invoke-async', { data: 1 });
  await eventually(async () => {
    const answer = await control<{ state: string }>(`async-invocations/${body.id}`);
    return answer.body.state === 'succeeded' ? true : undefined;
  });
  const answer = await replay(body.id, { version: 1, diff: true });
  assert.deepEqual(answer.differences, [{ at: 'body', before: 'shipped well\nline two', after: 'shipped never\nline two' }]);
});

test('what is nowhere, or asked wrongly, is refused with what to do', async () => {
  const nowhere = await virga.cli(['replay', 'inv_01k9x3v5m8q2r7t4w6y9z0a1b2', '--project', 'shop']);
  assert.deepEqual([nowhere.code === 0, /virga recordings/.test(nowhere.stderr)], [false, true]);
  const id = await ask('/quote/lamp');
  await recorded(id);
  for (const [more, status, code] of [
    [{ version: 99 }, 404, 'version_not_found'],
    [{ function: 'nobody' }, 404, 'function_not_found'],
    [{ source: 'queue/orders' }, 404, 'recording_not_found'],
    [{ version: 0 }, 400, 'invalid_request'],
  ] as const) {
    const { body, ...answer } = await control<{ error: { code: string } }>('replay', { id, ...more });
    assert.deepEqual([answer.status, body.error.code], [status, code], JSON.stringify(more));
  }
  const listed = await virga.cli(['recordings', 'list', '--project', 'shop', '--source', 'route/quote/{item}', '--json']);
  assert.ok(listed.json<Recording[]>().length >= 3);
  assert.ok(listed.json<Recording[]>().every(({ source }) => source === 'route/quote/{item}'));
  const shown = await virga.cli(['recordings', 'show', id, '--project', 'shop']);
  assert.match(shown.stdout, /GET http:.*\/quote\/lamp/);
});
