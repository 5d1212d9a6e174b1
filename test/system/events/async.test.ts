// Asynchronous invocations: taken durably and run later, over HTTP (`Prefer: respond-async`), the control API and the command line; tried
// again, given up, told to destinations; one run for one idempotency key; none lost when the edge is killed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

let virga: Virga;

interface Status {
  id: string;
  state: string;
  attempts: number;
  answer?: string;
  error?: { code: string; message: string };
}
interface Item extends Status {
  invocation: string | null;
  answer: never;
}
interface Detail extends Omit<Status, 'answer'> {
  asked: { json?: unknown; text?: string; method?: string; headers?: string[] } | null;
  answer: { status: number; text?: string; truncated: boolean } | null;
}

before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy({
    'virga.yaml': `
project: shop
functions:
  work:
    source: work.ts
    async: { retry: { attempts: 3, delay: 40ms }, concurrency: 20 }
    instances: { max: 4 }
    concurrency: 10
    http: '/work/{path+}'
  plain: { source: plain.ts, http: /plain }
  guarded:
    source: work.ts
    async: {}
    http: [{ path: '/guarded', auth: { keys: {} } }]
  told:
    source: told.ts
    async: { onSuccess: { queue: good }, onFailure: { function: sorry }, retry: { attempts: 2, delay: 0ms } }
  spread:
    source: told.ts
    async: { onSuccess: { topic: results } }
  sorry: { source: sorry.ts, instances: { max: 1 } }
  heard: { source: sorry.ts, instances: { max: 1 }, triggers: [{ topic: results }] }
  impatient:
    source: work.ts
    async: { retry: { attempts: 100, delay: 400ms }, maxAge: 1s }
    http: '/impatient/{path+}'
queues:
  good: {}
topics:
  results: {}
`,
    'work.ts': `
const tried = new Map<string, number>();
export default {
  async fetch(request: Request) {
    const url = new URL(request.url);
    const key = url.searchParams.get('key') ?? '';
    const attempt = Number(request.headers.get('x-virga-attempt') ?? 0);
    console.log('ran', url.pathname + url.search, 'attempt', attempt, 'at', Date.now());
    tried.set(key, (tried.get(key) ?? 0) + 1);
    if (url.pathname.endsWith('/fail')) return new Response('no', { status: 503 });
    if (url.pathname.endsWith('/second') && attempt < 2) throw new Error('not yet');
    if (url.pathname.endsWith('/slow')) await new Promise((resolve) => setTimeout(resolve, 300));
    if (url.pathname.endsWith('/large')) return new Response('x'.repeat(2 * 1024 * 1024));
    return Response.json(
      { method: request.method, path: url.pathname + url.search, text: await request.text(), custom: request.headers.get('x-custom'), attempt },
      { status: 201, headers: { 'x-made-by': 'work' } },
    );
  },
};
`,
    'plain.ts': `export default { fetch: () => new Response('at once') };`,
    'told.ts': `export function handler(event: { fail?: boolean }) { if (event.fail) throw new Error('refused ' + JSON.stringify(event)); return { done: event }; }`,
    'sorry.ts': `export default { event(event: unknown) { console.log('heard ' + JSON.stringify(event)); } };`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

interface Sent extends RequestInit {
  headers?: Record<string, string>;
}

async function ask(path: string, init: Sent = {}): Promise<Response> {
  return virga.fetch('shop', path, { method: 'POST', ...init, headers: { prefer: 'respond-async', ...init.headers } });
}

async function statusOf(location: string): Promise<Status> {
  const response = await fetch(`${virga.edgeUrl}${location}`);
  assert.equal(response.status, 200);
  return (await response.json()) as Status;
}

const ended = (location: string): Promise<Status> =>
  eventually(async () => {
    const status = await statusOf(location);
    return status.state === 'queued' || status.state === 'running' ? undefined : status;
  });

async function control<T>(path: string, init: Sent = {}): Promise<{ status: number; body: T }> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/shop/${path}`, {
    ...init,
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json', ...init.headers },
  });
  return { status: response.status, body: (await response.json()) as T };
}

/** What a function has logged. */
async function linesOf(fn: string, having: string): Promise<string[]> {
  const logged = await virga.cli(['logs', fn, '--project', 'shop', '--json', '--limit', '10000']);
  return logged
    .json<{ text: string }[]>()
    .map(({ text }) => text)
    .filter((text) => text.includes(having));
}

test('a request with Prefer: respond-async is answered 202, runs as that very request, and its answer can be read', async () => {
  const response = await ask('/work/orders?n=1', {
    body: 'two shirts',
    headers: { 'x-custom': 'yes', 'x-virga-attempt': '9' },
  });
  assert.equal(response.status, 202);
  assert.equal(response.headers.get('preference-applied'), 'respond-async');
  const location = response.headers.get('location')!;
  assert.match(location, /^\/@shop\/\.virga\/invocations\/inv_[0-9a-z]{26}$/);
  const taken = (await response.json()) as Status & { status: string };
  assert.deepEqual([taken.state, taken.status], ['queued', location]);
  const status = await ended(location);
  assert.deepEqual([status.id, status.state, status.attempts, status.answer], [taken.id, 'succeeded', 1, `${location}/answer`]);
  const answer = await fetch(`${virga.edgeUrl}${status.answer}`);
  assert.deepEqual([answer.status, answer.headers.get('x-made-by')], [201, 'work']);
  assert.deepEqual(await answer.json(), { method: 'POST', path: '/work/orders?n=1', text: 'two shirts', custom: 'yes', attempt: 1 });
});

test('where the function does not declare async the preference is ignored, and nothing is stored', async () => {
  const response = await ask('/plain', { method: 'GET' });
  assert.deepEqual([response.status, await response.text(), response.headers.get('preference-applied')], [200, 'at once', null]);
  const { body } = await control<{ items: Item[] }>('async-invocations?function=plain');
  assert.deepEqual(body.items, []);
});

test('an id that nobody was given, and one of another kind, say nothing', async () => {
  for (const id of ['inv_01k9x3v5m8q2r7t4w6y9z0a1b2', 'x', '..%2f']) {
    const response = await fetch(`${virga.edgeUrl}/@shop/.virga/invocations/${id}`);
    assert.ok([404, 400].includes(response.status), `${id}: ${response.status}`);
  }
  const { body } = await control<Status>('functions/told/invoke-async', { method: 'POST', body: '{}' });
  assert.equal((await fetch(`${virga.edgeUrl}/@shop/.virga/invocations/${body.id}`)).status, 404);
});

test('where the route asks who calls, the status asks too, and answers to the same caller alone', async () => {
  const keys: string[] = [];
  for (const name of ['one', 'two']) keys.push((await virga.cli(['keys', 'create', '--name', name, '--project', 'shop'])).stdout.trim());
  const [one, two] = keys as [string, string];
  assert.equal((await ask('/guarded')).status, 401);
  const response = await ask('/guarded', { headers: { 'x-api-key': one, 'idempotency-key': 'k' } });
  assert.equal(response.status, 202);
  const location = response.headers.get('location')!;
  const status = await eventually(async () => {
    const answer = await fetch(`${virga.edgeUrl}${location}`, { headers: { 'x-api-key': one } });
    assert.equal(answer.status, 200);
    const body = (await answer.json()) as Status;
    return body.state === 'succeeded' ? body : undefined;
  });
  assert.equal((await fetch(`${virga.edgeUrl}${location}`)).status, 401);
  assert.equal((await fetch(`${virga.edgeUrl}${location}`, { headers: { 'x-api-key': two } })).status, 404);
  assert.equal((await fetch(`${virga.edgeUrl}${status.answer}`, { headers: { 'x-api-key': two } })).status, 404);
  assert.equal((await fetch(`${virga.edgeUrl}${status.answer}`, { headers: { 'x-api-key': one } })).status, 201);
  // Nor is it to be had by the way of routes that ask nobody.
  assert.equal((await fetch(`${virga.edgeUrl}/@shop/.virga/invocations/${status.id}`)).status, 404);
  // The key of one caller is not that of another.
  const other = await ask('/guarded', { headers: { 'x-api-key': two, 'idempotency-key': 'k' } });
  assert.notEqual(other.headers.get('location'), location);
});

test('a dead letter that is redriven runs again under its id', async () => {
  const location = (await ask('/work/fail?key=redriven')).headers.get('location')!;
  const failed = await ended(location);
  assert.equal(failed.state, 'failed');
  // Its outcome is written first, so that a crash in between loses neither; its message dies a moment later.
  await eventually(async () => {
    const moved = await control<unknown>('dead-letters/redrive', { method: 'POST', body: JSON.stringify({ id: failed.id }) });
    if (moved.status === 404) return undefined;
    assert.ok(moved.status < 300, JSON.stringify(moved.body));
    return true;
  });
  const runs = await eventually(async () => {
    const lines = await linesOf('work', 'key=redriven');
    return lines.length === 6 ? lines : undefined;
  });
  assert.ok(runs.at(-1)!.includes('attempt 3'), runs.join('\n'));
});

test('while it runs its status says when to ask again, and its answer is not there', async () => {
  const location = (await ask('/work/slow')).headers.get('location')!;
  const early = await fetch(`${virga.edgeUrl}${location}/answer`);
  assert.deepEqual([early.status, early.headers.get('retry-after')], [409, '1']);
  assert.equal((await fetch(`${virga.edgeUrl}${location}`)).headers.get('retry-after'), '1');
  assert.equal((await ended(location)).state, 'succeeded');
  assert.equal((await fetch(`${virga.edgeUrl}${location}`)).headers.get('retry-after'), null);
});

test('what fails is tried again after a backoff, with the number of the attempt', async () => {
  const location = (await ask('/work/second')).headers.get('location')!;
  const status = await ended(location);
  assert.deepEqual([status.state, status.attempts], ['succeeded', 2]);
  const failing = (await ask('/work/fail?key=backoff', { body: 'x' })).headers.get('location')!;
  const failed = await ended(failing);
  assert.deepEqual([failed.state, failed.attempts, failed.error?.code], ['failed', 3, 'function_error']);
  const runs = await eventually(async () => {
    const lines = await linesOf('work', 'key=backoff');
    return lines.length === 3 ? lines : undefined;
  });
  const times = runs.map((line) => Number(/at (\d+)/.exec(line)![1])).toSorted((a, b) => a - b);
  // Half of 40 and 80 ms is left to chance.
  assert.ok(times[1]! - times[0]! >= 20, `${times[1]! - times[0]!} ms`);
  assert.ok(times[2]! - times[1]! >= 40, `${times[2]! - times[1]!} ms`);
  const answer = await fetch(`${virga.edgeUrl}${failing}/answer`);
  assert.deepEqual([answer.status, await answer.text()], [503, 'no']);
  await eventually(async () => {
    const { body } = await control<{ items: { id: string }[] }>('dead-letters');
    return body.items.some(({ id }) => id === failed.id) ? true : undefined;
  });
});

test('what does not succeed within maxAge has failed', async () => {
  const location = (await ask('/impatient/fail')).headers.get('location')!;
  const status = await ended(location);
  assert.equal(status.state, 'failed');
  assert.ok(status.attempts >= 2 && status.attempts <= 6, `${status.attempts} attempts`);
});

test('a body beyond the bound is refused, an answer beyond it is cut and says so', async () => {
  const response = await ask('/work/x', { body: 'x'.repeat(1024 * 1024 + 1) });
  assert.equal(response.status, 413);
  assert.match(((await response.json()) as { error: { message: string } }).error.message, /VIRGA_LIMIT_ASYNC_REQUEST_BYTES/);
  assert.equal((await ask('/work/x', { body: 'x'.repeat(1024 * 1024) })).status, 202);
  const large = await ended((await ask('/work/large')).headers.get('location')!);
  const answer = await fetch(`${virga.edgeUrl}${large.answer}`);
  assert.equal(answer.headers.get('x-virga-truncated'), '1');
  assert.equal((await answer.bytes()).length, 1024 * 1024);
});

test('50 requests with one idempotency key are one invocation; another request with it is refused', async () => {
  const headers = { 'idempotency-key': '"order-17"' };
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask('/work/once?key=once', { body: 'pay', headers })));
  const locations = new Set(answers.map((answer) => answer.headers.get('location')));
  assert.deepEqual([answers.every(({ status }) => status === 202), locations.size], [true, 1]);
  const location = [...locations][0]!;
  await ended(location);
  // Sent again when it has ended: the same one.
  assert.equal((await ask('/work/once?key=once', { body: 'pay', headers })).headers.get('location'), location);
  const other = await ask('/work/once?key=once', { body: 'pay more', headers });
  assert.equal(other.status, 422);
  assert.equal(((await other.json()) as { error: { code: string } }).error.code, 'idempotency_key_reused');
  const strange = await ask('/work/once', { headers: { 'idempotency-key': 'x'.repeat(300) } });
  assert.equal(strange.status, 400);
  const runs = await eventually(async () => {
    const lines = await linesOf('work', 'key=once');
    return lines.length > 0 ? lines : undefined;
  });
  assert.equal(runs.length, 1);
});

test('the command line takes, follows, shows, lists and cancels', async () => {
  const taken = await virga.cli(['invoke', 'told', '--project', 'shop', '--async', '--data', '{"n":1}', '--key', 'cli-1']);
  assert.equal(taken.code, 0, taken.stderr);
  assert.match(taken.stdout, /^inv_[0-9a-z]{26}\n$/);
  const again = await virga.cli(['invoke', 'told', '--project', 'shop', '--async', '--wait', '--data', '{"n":1}', '--key', 'cli-1']);
  assert.deepEqual([again.code, again.stdout.trim()], [0, '{"done":{"n":1}}']);
  const shown = await virga.cli(['invocation', taken.stdout.trim(), '--project', 'shop']);
  assert.match(shown.stdout, /succeeded, 1 attempt/);
  const failed = await virga.cli(['invoke', 'told', '--project', 'shop', '--async', '--wait', '--data', '{"fail":true}']);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /threw an error.*2 attempts/s);
  const listed = await virga.cli(['invocations', 'told', '--async', '--project', 'shop', '--json']);
  assert.ok(listed.json<Item[]>().some(({ state, attempts }) => state === 'failed' && attempts === 2));
  const nowhere = await virga.cli(['invoke', 'tolt', '--project', 'shop', '--async']);
  assert.match(nowhere.stderr, /did you mean 'told'/);
  const late = await virga.cli(['invocation', taken.stdout.trim(), '--project', 'shop', '--cancel']);
  assert.match(late.stderr, /has succeeded already/);
});

test('one that waits for its next attempt can be cancelled', async () => {
  const location = (await ask('/impatient/fail')).headers.get('location')!;
  const id = location.split('/').at(-1)!;
  await eventually(async () => ((await statusOf(location)).attempts > 0 ? true : undefined));
  const answer = await eventually(async () => {
    const { status, body } = await control<Item>(`async-invocations/${id}`, { method: 'DELETE' });
    return status === 200 ? body : undefined;
  });
  assert.equal(answer.state, 'cancelled');
  assert.equal((await fetch(`${virga.edgeUrl}${location}/answer`)).status, 404);
});

test('the outcome goes to a queue, to a topic and to a function, with what was asked and answered', async () => {
  const good = await control<Status>('functions/told/invoke-async', { method: 'POST', body: '{"n":7}' });
  const message = await eventually(async () => {
    const { body } = await control<{ items: { body: string }[] }>('queues/good/messages?body=true');
    return body.items.map((item) => JSON.parse(item.body)).find(({ subject }) => subject === good.body.id);
  });
  assert.deepEqual(
    [message.type, message.data.request.json, message.data.response.json, message.data.attempts],
    ['virga.invocation.succeeded', { n: 7 }, { done: { n: 7 } }, 1],
  );
  const bad = await control<Status>('functions/told/invoke-async', { method: 'POST', body: '{"fail":true}' });
  const heard = await eventually(async () => (await linesOf('sorry', bad.body.id))[0]);
  assert.match(heard, /virga\.invocation\.failed/);
  const spread = await control<Status>('functions/spread/invoke-async', { method: 'POST', body: '{"n":8}' });
  const published = await eventually(async () => (await linesOf('heard', spread.body.id))[0]);
  assert.match(published, /virga\.topic\.message/);
});

test('what its caller proved itself with is not kept', async () => {
  const location = (await ask('/work/secret', { headers: { authorization: 'Bearer hush', cookie: 'a=hush' } })).headers.get('location')!;
  const { id } = await ended(location);
  const { body } = await control<Detail>(`async-invocations/${id}`);
  assert.equal(body.asked?.method, 'POST');
  assert.ok(!JSON.stringify(body).includes('hush'));
});

test('the edge is killed in the middle of 200 calls: each succeeds, none is lost', async () => {
  const locations = await Promise.all(
    Array.from({ length: 200 }, async (_, n) => {
      const response = await ask(`/work/slow?key=kill${n}`, { body: String(n) });
      assert.equal(response.status, 202);
      return response.headers.get('location')!;
    }),
  );
  assert.equal(new Set(locations).size, 200);
  process.kill(virga.pids()['edge']![0]!, 'SIGKILL');
  const ids = new Set(locations.map((location) => location.split('/').at(-1)!));
  const done = await eventually(async () => {
    const items: Item[] = [];
    for (let cursor = ''; ;) {
      const { body } = await control<{ items: Item[]; next: string | null }>(`async-invocations?function=work&limit=1000${cursor}`);
      items.push(...body.items.filter(({ id }) => ids.has(id)));
      if (body.next === null) break;
      cursor = `&cursor=${body.next}`;
    }
    return items.length === 200 && items.every(({ state }) => state === 'succeeded') ? items : undefined;
  }, 30_000);
  assert.equal(done.length, 200);
});
