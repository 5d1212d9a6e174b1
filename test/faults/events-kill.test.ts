// kill -9 of whatever is there, a hundred times, while ten thousand messages go through two queues: every message that was acknowledged
// is handled, messages of a group in order, and nothing is stuck. What handlers did is kept in a stream, which is durable like the queues:
// a handler that could write there and was killed before its answer counted is seen as a message that was handled twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVirga } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';

const ROUNDS = 100;
const MESSAGES = 10_000;
const BATCH = 10;
const GROUPS = 20;
/** How long all may take to be handled once the last blow has fallen. */
const SETTLED_MS = 120_000;
const ROLES = ['edge', 'control', 'launcher', 'postgres'];

const PROJECT = {
  'virga.yaml': `project: storm
queues:
  plain: {retry: {attempts: 1000, delay: 10ms, maxDelay: 200ms}}
  grouped: {fifo: true, retry: {attempts: 1000, delay: 10ms, maxDelay: 200ms}}
streams:
  handled: {partitions: 1}
functions:
  plain: {source: handler.mjs, triggers: [{queue: plain, batch: 20, concurrency: 4}]}
  grouped: {source: handler.mjs, triggers: [{queue: grouped, batch: 20, concurrency: 4}]}
`,
  'handler.mjs': `
export async function handler({ data }, context) {
  await new Promise((resolve) => setTimeout(resolve, 20));
  await context.stream('handled').appendBatch(data.messages.map(({ body, group }) => ({ key: data.queue, data: body, attributes: { group: group ?? '' } })));
}`,
};

/** Random, and the same again for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

async function ask<T>(virga: Virga, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/storm${path}`, {
    method,
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** Sends the same batch until it is acknowledged; the ids keep what was stored without an answer from being stored again. */
async function sendSurely(virga: Virga, queue: string, messages: object[]): Promise<void> {
  for (;;) {
    try {
      await ask(virga, 'POST', `/queues/${queue}/messages`, { messages });
      return;
    } catch {
      await sleep(20);
    }
  }
}

function strike(virga: Virga, role: string): void {
  for (const pid of virga.pids()[role] ?? []) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It went with its parent.
    }
  }
}

interface Handled {
  queue: string;
  group: string;
  n: number;
}

async function handledSoFar(virga: Virga): Promise<Handled[]> {
  const handled: Handled[] = [];
  for (let after = 0; ;) {
    const { items } = await ask<{ items: { key: string; data: string; attributes: Record<string, string>; position: number }[] }>(
      virga,
      'GET',
      `/streams/handled/records?partition=0&after=${after}&limit=1000`,
    );
    if (items.length === 0) return handled;
    for (const { key, data, attributes } of items) handled.push({ queue: key, group: attributes['group'] ?? '', n: Number(data) });
    after = items.at(-1)!.position;
  }
}

test(`${ROUNDS} blows of kill -9 while ${MESSAGES} messages go through: none is lost, groups keep their order`, async (t) => {
  const seed = Date.now() % 2 ** 32;
  t.diagnostic(`seed ${seed}`);
  const random = randomOf(seed);
  await using virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);

  let blows = 0;
  let gap = { began: performance.now(), ms: 0 };
  const half = MESSAGES / 2;
  // Each waits for its share of the time between the blows, so that messages are on their way all the while.
  const due = (sent: number): boolean => sent / half <= (blows + (performance.now() - gap.began) / Math.max(1, gap.ms)) / ROUNDS;
  const sendAll = async (queue: string, messageOf: (n: number) => object): Promise<void> => {
    for (let n = 0; n < half; n += BATCH) {
      while (!due(n)) await sleep(5);
      await sendSurely(
        virga,
        queue,
        Array.from({ length: BATCH }, (_, i) => messageOf(n + i)),
      );
    }
  };
  const sending = Promise.all([
    sendAll('plain', (n) => ({ body: String(n), deduplicationId: `p${n}` })),
    sendAll('grouped', (n) => ({ body: String(n), deduplicationId: `g${n}`, group: `g${n % GROUPS}` })),
  ]);
  const struck: Record<string, number> = {};
  for (; blows < ROUNDS; blows++) {
    gap = { began: performance.now(), ms: 200 + random() * 600 };
    await sleep(gap.ms);
    const role = ROLES[Math.floor(random() * ROLES.length)]!;
    struck[role] = (struck[role] ?? 0) + 1;
    strike(virga, role);
  }
  await sending;

  const until = Date.now() + SETTLED_MS;
  let handled: Handled[] = [];
  for (;;) {
    handled = await handledSoFar(virga).catch(() => handled);
    if (new Set(handled.map(({ queue, n }) => `${queue} ${n}`)).size === MESSAGES) break;
    assert.ok(
      Date.now() < until,
      `${handled.length} of ${MESSAGES} were handled ${SETTLED_MS / 1000} s after the last blow:\n${virga.log().slice(-3_000)}`,
    );
    await sleep(100);
  }
  const again = handled.length - MESSAGES;
  t.diagnostic(`struck: ${JSON.stringify(struck)}; handled twice: ${again} of ${MESSAGES}`);
  // At least once: what was handled when its outcome could not be kept comes again, and that is what was in flight at a blow.
  assert.ok(again <= ROUNDS * 2 * 4 * BATCH, `${again} messages were handled again`);
  assertOrder(handled.filter(({ queue }) => queue === 'grouped'));
  for (const queue of ['plain', 'grouped']) {
    const left = await settled(virga, queue);
    assert.deepEqual(
      { pending: left.pending, delayed: left.delayed, held: left.held, deadLetters: left.deadLetters },
      { pending: 0, delayed: 0, held: 0, deadLetters: 0 },
      queue,
    );
  }
});

/** A message of a group may come again, but never one before those ahead of it were handled. */
function assertOrder(handled: Handled[]): void {
  const last = new Map<string, number>();
  for (const { group, n } of handled) {
    const highest = last.get(group) ?? Number(group.slice(1)) - GROUPS;
    assert.ok(n <= highest + GROUPS, `of group ${group} ${n} was handled after ${highest}: what is between came later`);
    last.set(group, Math.max(highest, n));
  }
}

interface Stats {
  pending: number;
  delayed: number;
  held: number;
  deadLetters: number;
}

/** Handlers have answered; their outcomes may be on their way. */
async function settled(virga: Virga, queue: string): Promise<Stats> {
  const until = Date.now() + 10_000;
  for (;;) {
    const stats = await ask<Stats>(virga, 'GET', `/queues/${queue}`);
    if ((stats.pending === 0 && stats.held === 0 && stats.delayed === 0) || Date.now() > until) return stats;
    await sleep(50);
  }
}
