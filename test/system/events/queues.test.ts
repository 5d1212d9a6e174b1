// Messages of queues reach functions: batches and their windows, partial failures, order, retries, dead letters, in Node, Python and the form
// of AWS Lambda. The functions keep what they saw and tell it by HTTP, once as many calls have come as the test waits for.
import assert from 'node:assert/strict';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, eventually, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

interface Seen {
  /** Bodies, or bodies and attempts as `a 1`. */
  messages: string[];
  at: number;
  /** Other calls that ran meanwhile. */
  beside: number;
  event: { id: string; source: string; type: string; subject: string; data: { messages: Record<string, unknown>[] } };
}

const KEEPER = `
interface Message { id: string; body: string; attempt: number }
const seen: unknown[] = [];
const waiting: (() => void)[] = [];
let running = 0;
export const changed = () => new Promise<void>((resolve) => waiting.push(resolve));
export function keeper(behave: (event: any, call: { seen: unknown[]; running: () => number }) => unknown) {
  return {
    async event(event: { data: { messages: Message[] } }) {
      const messages = event.data.messages.map(({ body, attempt }) => body + ' ' + attempt);
      const one = { messages, at: Date.now(), beside: running++, event };
      seen.push(one);
      for (const wake of waiting.splice(0)) wake();
      try {
        return await behave(event, { seen, running: () => running });
      } finally {
        running--;
      }
    },
    async fetch(request: Request) {
      const calls = Number(new URL(request.url).searchParams.get('calls'));
      while (seen.length < calls) await changed();
      return Response.json(seen);
    },
  };
}`;

const functionOf = (behave: string) => `import { keeper, changed } from './keeper.ts';\nexport default keeper(${behave});\n`;

const MANIFEST = `
project: shop
queues:
  plain: {retry: {delay: 100ms}}
  windowed: {}
  partly: {retry: {attempts: 3, delay: 100ms}, deadLetters: failed}
  poisoned: {retry: {attempts: 4, delay: 0s}, deadLetters: failed-poison}
  wrong: {retry: {attempts: 1}, deadLetters: failed-wrong}
  bounded: {}
  filtered: {}
  snakes: {retry: {delay: 0s}}
  sqs: {retry: {delay: 0s}}
  lined: {fifo: true, retry: {delay: 50ms}}
  failed: {}
  answered: {}
  failed-poison: {}
  failed-wrong: {}
functions:
  plain: {source: plain.ts, triggers: [{queue: plain}]}
  windowed: {source: windowed.ts, triggers: [{queue: windowed, batch: 4, wait: 1500ms}], instances: {max: 1}, concurrency: 20, http: /windowed}
  partly: {source: partly.ts, triggers: [{queue: partly}], instances: {max: 1}, concurrency: 20, http: /partly}
  poisoned: {source: poisoned.ts, triggers: [{queue: poisoned, batch: 10}], instances: {max: 1}, concurrency: 20, http: /poisoned}
  wrong: {source: wrong.ts, triggers: [{queue: wrong, batch: 1}]}
  bounded: {source: bounded.ts, triggers: [{queue: bounded, batch: 1, concurrency: 3}], instances: {max: 1}, concurrency: 20, http: /bounded}
  filtered: {source: filtered.ts, triggers: [{queue: filtered, filter: {body: {region: [eu]}}}], instances: {max: 1}, concurrency: 20, http: /filtered}
  snakes: {source: snakes.py, runtime: python3, triggers: [{queue: snakes}]}
  sqs: {source: sqs.mjs, form: lambda, triggers: [{queue: sqs}]}
  lined: {source: lined.ts, triggers: [{queue: lined, batch: 3, concurrency: 4}], instances: {max: 1}, concurrency: 20, http: /lined}
`;

const FILES = {
  'virga.yaml': MANIFEST,
  'keeper.ts': KEEPER,
  // No fetch at all.
  'plain.ts': `export default { event({ data }: any) { console.log('got ' + data.messages.map(({ body }: any) => body).join(',')); } };`,
  'windowed.ts': functionOf('() => {}'),
  'partly.ts': functionOf(`({ data }) => ({ failed: data.messages.filter((m: any) => m.body === 'bad').map((m: any) => m.id) })`),
  'poisoned.ts': functionOf(`({ data }) => { if (data.messages.some((m: any) => m.body === 'poison')) throw new Error('it chokes'); }`),
  'wrong.ts': `export default { event({ data }: any) { return JSON.parse(data.messages[0].body); } };`,
  'bounded.ts': functionOf(
    `async (_event, { running }) => { const until = Date.now() + 100; while (Date.now() < until && running() < 4) await new Promise((r) => setTimeout(r, 5)); }`,
  ),
  'filtered.ts': functionOf('() => {}'),
  'snakes.py': `
from virga import queue

def handler(event, context):
    messages = event["data"]["messages"]
    failed = [m["id"] for m in messages if m["body"] == "bad" and m["attempt"] < 3]
    for m in messages:
        if m["id"] not in failed:
            queue("failed").send(f'{event["type"]} {m["body"]} {m["attempt"]}')
    return {"failed": failed}
`,
  'sqs.mjs': `
import { queue } from '@virga/sdk';
export const handler = async (event) => {
  const bad = event.Records.filter((r) => r.body === 'bad' && r.attributes.ApproximateReceiveCount === '1');
  await queue('failed').send({ seen: event.Records.map((r) => [r.eventSource, r.body, r.attributes.ApproximateReceiveCount]) });
  return { batchItemFailures: bad.map((r) => ({ itemIdentifier: r.messageId })) };
};`,
  // A first message of a group waits until another group is here as well: only in calls beside each other that comes about.
  'lined.ts': functionOf(`async ({ data }, { seen }) => {
    const groups = () => new Set(seen.flatMap((one: any) => one.event.data.messages.map((m: any) => m.group)));
    while (groups().size < 2) await changed();
    return { failed: data.messages.filter((m: any) => m.body.endsWith('3') && m.attempt === 1).map((m: any) => m.id) };
  }`),
};

let virga: Virga;
let folder: string;
let shop: ControlClient;
before(async () => {
  virga = await startVirga();
  shop = new ControlClient(virga, 'shop');
  folder = await temporaryFolder('virga-queues-');
  await writeFiles(folder, FILES);
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const { code, stderr } = await virga.cli(['deploy', folder, '--json']);
  assert.equal(code, 0, stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function send(queue: string, messages: (string | Record<string, unknown>)[]): Promise<string[]> {
  const list = messages.map((one) => (typeof one === 'string' ? { body: one } : one));
  const { status, body } = await shop.post<{ messages: { id: string }[] }>(`/queues/${queue}/messages`, { messages: list });
  assert.equal(status, 202, JSON.stringify(body));
  return body.messages.map(({ id }) => id);
}

/** Nothing is left in it: what was done is gone a moment after the call. */
async function drained(queue: string): Promise<void> {
  await eventually(async () => ((await shop.peek(queue)).length === 0 ? true : undefined));
}

/** What the function has seen, once there were as many calls. */
async function seenBy(fn: string, calls: number): Promise<Seen[]> {
  const response = await virga.fetch('shop', `/${fn}?calls=${calls}`);
  assert.equal(response.status, 200);
  return (await response.json()) as Seen[];
}

test('the answer to a send is whole: its id in any script, and the headers of every answer of the control API', async () => {
  const send = async (body: string): Promise<Response> =>
    await fetch(`${virga.controlUrl}/v1/projects/shop/queues/answered/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json', 'x-request-id': 'r-1' },
      body,
    });
  const sent = await send(JSON.stringify({ messages: [{ body: 'x', id: 'Größe-✓' }] }));
  const { messages } = (await sent.json()) as { messages: { result: string; id: string }[] };
  assert.deepEqual([sent.status, messages[0]!.result, messages[0]!.id], [202, 'sent', 'Größe-✓']);
  const headers = ['content-type', 'x-request-id', 'cache-control', 'x-content-type-options'];
  const refused = await send('{');
  await refused.body?.cancel();
  for (const answer of [sent, refused])
    assert.deepEqual(
      headers.map((name) => answer.headers.get(name)),
      ['application/json', 'r-1', 'no-store', 'nosniff'],
    );
});

test('a batch waits for more until its window ends, or until it is full; the event says all of a message', async () => {
  const [first] = await send('windowed', [{ body: 'a', attributes: { from: 'test' } }]);
  await send('windowed', ['b']);
  const [one] = await seenBy('windowed', 1);
  assert.deepEqual(one!.messages, ['a 1', 'b 1']);
  const { event } = one!;
  assert.deepEqual([event.type, event.source, event.subject], ['virga.queue.batch', '/projects/shop/queues/windowed', 'windowed']);
  const { sentAt, firstReceivedAt, sequence, ...rest } = event.data.messages[0]!;
  assert.deepEqual(rest, { id: first, body: 'a', attributes: { from: 'test' }, attempt: 1 });
  assert.ok(Number(firstReceivedAt) >= Number(sentAt) && Number(sequence) > 0);
  const sentAll = Date.now();
  await send('windowed', ['c', 'd', 'e', 'f']);
  const two = (await seenBy('windowed', 2))[1]!;
  assert.deepEqual(two.messages, ['c 1', 'd 1', 'e 1', 'f 1']);
  assert.ok(two.at - sentAll < 1_400, `it was full and waited for ${two.at - sentAll} ms`);
});

test('what a function names as failed comes again after a backoff, the others do not, and after the last attempt it is dead', async () => {
  const [, bad] = await send('partly', ['good', 'bad']);
  const [letter] = await shop.dead('failed', 1);
  const seen = await seenBy('partly', 3);
  assert.deepEqual(
    seen.map(({ messages }) => messages),
    [['good 1', 'bad 1'], ['bad 2'], ['bad 3']],
  );
  // Half of the delay is left to chance, and it doubles.
  const gaps = [seen[1]!.at - seen[0]!.at, seen[2]!.at - seen[1]!.at];
  assert.ok(gaps[0]! >= 45 && gaps[1]! >= 95, `${gaps.join(' and ')} ms`);
  assert.deepEqual([letter!.id, letter!.body, letter!.lastError], [bad, 'bad', 'the function named it in `failed`']);
});

test('one message that makes every call fail goes to the dead letters alone', async () => {
  await send('poisoned', ['a', 'b', 'c', 'poison', 'd', 'e', 'f', 'g', 'h', 'i']);
  const letters = await shop.dead('failed-poison', 1);
  assert.deepEqual(
    letters.map(({ body, lastError }) => [body, lastError]),
    [['poison', 'function_error: Error: it chokes']],
  );
  await drained('poisoned');
  await shop.empty('failed-poison');
});

test('an answer that cannot be understood fails the batch, and the reason says what was wrong with it', async () => {
  const answers = ['{"failed": "msg"}', '{"failed": [7]}', '{"failed": ["nobody"]}'];
  await send('wrong', ['{"failed": []}', 'null', '{"other": 1}', ...answers]);
  const letters = await shop.dead('failed-wrong', 3);
  const errors = new Map(letters.map(({ body, lastError }) => [body, lastError]));
  assert.match(errors.get(answers[0]!)!, /`failed: "msg"`; it is a list of ids/);
  assert.match(errors.get(answers[1]!)!, /answered with 7 in `failed`/);
  assert.match(errors.get(answers[2]!)!, /named 'nobody' in `failed`, which is no message of this batch/);
  await drained('wrong');
});

test('as many calls run at the same time as the trigger says, and no more', async () => {
  await send(
    'bounded',
    Array.from({ length: 30 }, (_, i) => `m${i}`),
  );
  const seen = await seenBy('bounded', 30);
  assert.equal(Math.max(...seen.map(({ beside }) => beside)), 2);
});

test('a filter lets a queue be for some messages only; the others are done', async () => {
  await send('filtered', ['{"region":"us"}', '{"region":"eu"}', 'no JSON']);
  const [one] = await seenBy('filtered', 1);
  assert.deepEqual(one!.messages, ['{"region":"eu"} 1']);
  await drained('filtered');
});

test('a Python function gets batches, and names what failed', async () => {
  await send('snakes', ['good', 'bad']);
  const came = await shop.take('failed', 2);
  assert.deepEqual(
    came.map(({ body }) => body),
    ['virga.queue.batch good 1', 'virga.queue.batch bad 3'],
  );
});

test('code of AWS Lambda gets the records of SQS, and its batchItemFailures are understood', async () => {
  await send('sqs', ['good', 'bad']);
  const [first, second] = await shop.take('failed', 2);
  assert.deepEqual(JSON.parse(first!.body), {
    seen: [
      ['aws:sqs', 'good', '1'],
      ['aws:sqs', 'bad', '1'],
    ],
  });
  assert.deepEqual(JSON.parse(second!.body), { seen: [['aws:sqs', 'bad', '2']] });
});

test('a function that has no fetch is deployed and called', async () => {
  await send('plain', ['a', 'b']);
  for await (const line of logLines('plain')) if (line === 'got a,b') break;
});

async function* logLines(fn: string): AsyncGenerator<string> {
  const signal = AbortSignal.timeout(10_000);
  while (!signal.aborted) {
    const { stdout } = await virga.cli(['logs', fn, '--project', 'shop', '--json']);
    for (const [, text] of stdout.matchAll(/"text":"([^"]*)"/g)) yield text!;
  }
  assert.fail('the line did not come');
}

test('groups of a fifo queue go beside each other, each in its order, also where a message fails', async () => {
  const groups = ['a', 'b', 'c'];
  await send('lined', Array.from({ length: 8 }, (_, i) => groups.map((group) => ({ body: `${group}${i + 1}`, group }))).flat());
  // 24 messages and one second attempt of each group, which takes those behind it in its call along.
  let seen: Seen[] = [];
  for (let calls = 1; finished(seen).length < 24; calls = seen.length + 1) seen = await seenBy('lined', calls);
  for (const group of groups) {
    const own = finished(seen).filter((body) => body.startsWith(group));
    assert.deepEqual(
      own,
      Array.from({ length: 8 }, (_, i) => `${group}${i + 1}`),
    );
  }
  const attempts = seen.flatMap(({ messages }) => messages).filter((message) => /[12345678] [2-9]/.test(message));
  assert.deepEqual(attempts.toSorted(), ['a3 2', 'b3 2', 'c3 2'], 'only what failed counts an attempt');
});

/** The messages that were done, in their order: those of a call up to the one of their group that failed. */
function finished(seen: Seen[]): string[] {
  return seen.flatMap(({ messages }) => {
    const failed = new Set<string>();
    return messages.flatMap((message) => {
      const group = message[0]!;
      if (message.endsWith('3 1')) failed.add(group);
      return failed.has(group) ? [] : [message.split(' ')[0]!];
    });
  });
}
