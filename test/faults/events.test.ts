// Events when things fail: Postgres restarted under load, a full disk, functions that always fail, hang or exit. What was acknowledged is
// handled or ends as a dead letter that can be looked at; what was not acknowledged is not there.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVirga } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';
import { fill, mountDisk, needsRoot, unmountDisk } from './small-disk.ts';

const WITHIN_MS = 40_000;
const DISK_MIB = 400;

const HANDLER = `
export async function handler({ data }, context) {
  await context.stream('handled').appendBatch(data.messages.map(({ body }) => ({ key: 'k', data: body })));
}`;
const PROJECT = {
  'virga.yaml': `project: faults
queues:
  numbers: {retry: {attempts: 1000, delay: 10ms, maxDelay: 200ms}}
streams:
  handled: {partitions: 1}
functions:
  numbers: {source: handler.mjs, triggers: [{queue: numbers, batch: 50}]}
`,
  'handler.mjs': HANDLER,
};

async function ask<T>(virga: Virga, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/faults${path}`, {
    method,
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  const answer = (await response.json()) as T & { error?: { code: string; message: string } };
  if (!response.ok) throw Object.assign(new Error(answer.error?.message), { code: answer.error?.code, status: response.status });
  return answer;
}

async function handledNumbers(virga: Virga): Promise<number[]> {
  const numbers: number[] = [];
  for (let after = 0; ;) {
    const { items } = await ask<{ items: { data: string; position: number }[] }>(
      virga,
      'GET',
      `/streams/handled/records?partition=0&after=${after}&limit=1000`,
    );
    if (items.length === 0) return numbers;
    numbers.push(...items.map(({ data }) => Number(data)));
    after = items.at(-1)!.position;
  }
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + WITHIN_MS;
  for (;;) {
    const answer = await look();
    if (answer !== undefined) return answer;
    assert.ok(Date.now() < end, `not within ${WITHIN_MS / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** Sends numbers in batches until told to stop; answers those that were acknowledged. */
function sender(virga: Virga): { readonly acknowledged: readonly number[]; stop(): Promise<number[]> } {
  const acknowledged: number[] = [];
  let stopped = false;
  const sending = (async () => {
    for (let n = 0; !stopped; n += 10) {
      const numbers = Array.from({ length: 10 }, (_, i) => n + i);
      try {
        await ask(virga, 'POST', '/queues/numbers/messages', { messages: numbers.map((number) => ({ body: String(number) })) });
        acknowledged.push(...numbers);
      } catch {
        await sleep(10);
      }
    }
  })();
  return {
    acknowledged,
    stop: async () => {
      stopped = true;
      await sending;
      return acknowledged;
    },
  };
}

async function assertAllHandled(virga: Virga, acknowledged: number[]): Promise<void> {
  await until(`all of ${acknowledged.length} messages are handled`, async () => {
    const handled = new Set(await handledNumbers(virga).catch(() => []));
    return acknowledged.every((n) => handled.has(n)) ? true : undefined;
  });
}

test('Postgres is restarted under load, three times: what was acknowledged is handled', async () => {
  await using virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  const sending = sender(virga);
  for (let i = 1; i <= 3; i++) {
    await until(`${i * 100} messages are acknowledged`, async () => (sending.acknowledged.length >= i * 100 ? true : undefined));
    // A fast shutdown: it ends the connections. The supervisor starts it again.
    for (const pid of virga.pids()['postgres'] ?? []) {
      try {
        process.kill(pid, 'SIGINT');
      } catch {
        // A child of it, which went first.
      }
    }
  }
  await until('400 messages are acknowledged', async () => (sending.acknowledged.length >= 400 ? true : undefined));
  const acknowledged = await sending.stop();
  await assertAllHandled(virga, acknowledged);
});

test(
  'on a full disk publishing is refused as disk_full; with room again it goes on, and what was acknowledged is handled',
  { skip: needsRoot },
  async () => {
    const disk = await mountDisk(DISK_MIB);
    try {
      const dataFolder = join(disk, 'data');
      mkdirSync(dataFolder);
      await using virga = await startVirga({ dataFolder });
      const deployed = await virga.deploy(PROJECT);
      assert.equal(deployed.code, 0, deployed.stderr);
      const acknowledged: number[] = [];
      const send = async (numbers: number[], filler = ''): Promise<void> => {
        await ask(virga, 'POST', '/queues/numbers/messages', {
          messages: numbers.map((n) => ({ body: String(n), attributes: { filler } })),
        });
        acknowledged.push(...numbers);
      };
      await send([1, 2, 3]);
      await assertAllHandled(virga, acknowledged);
      const empty = fill(disk);
      const refusal = await until('a publish is refused', () =>
        send([acknowledged.length + 1], 'x'.repeat(10_000)).then(
          () => undefined,
          (error: Error & { code?: string }) => error,
        ),
      );
      // Postgres may have stopped over the full disk before it could say why.
      assert.match(String(refusal.code), /^(?:disk_full|unavailable)$/, refusal.message);
      empty();
      await until('a publish succeeds again', () =>
        send([1_000_000]).then(
          () => true,
          () => undefined,
        ),
      );
      await assertAllHandled(virga, acknowledged);
      await virga.stop();
    } finally {
      await unmountDisk(disk);
    }
  },
);

interface DeadLetter {
  id: string;
  died: { from: string; reason: string };
  attempts: number;
  lastError: string;
}

test('a function that always fails, one that hangs and one that exits: each message ends as a dead letter with its reason, and others go on', async () => {
  await using virga = await startVirga();
  const bad = ['throws', 'hangs', 'exits'];
  const deployed = await virga.deploy({
    'virga.yaml': `project: faults
queues:
${bad.map((name) => `  ${name}: {retry: {attempts: 3, delay: 10ms}}`).join('\n')}
  numbers: {}
streams:
  handled: {partitions: 1}
functions:
${bad.map((name) => `  ${name}: {source: ${name}.mjs, timeout: 300ms, triggers: [{queue: ${name}}]}`).join('\n')}
  numbers: {source: handler.mjs, triggers: [{queue: numbers}]}
`,
    'throws.mjs': `export function handler() { throw new Error('it is Monday'); }`,
    'hangs.mjs': `export const handler = () => new Promise(() => setInterval(() => {}, 1000));`,
    'exits.mjs': `export const handler = () => process.exit(7);`,
    'handler.mjs': HANDLER,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  for (const queue of bad) await ask(virga, 'POST', `/queues/${queue}/messages`, { messages: [{ body: 'one' }] });
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  for (const n of numbers) await ask(virga, 'POST', '/queues/numbers/messages', { messages: [{ body: String(n) }] });
  await assertAllHandled(virga, numbers);
  const letters = await until('three dead letters', async () => {
    const { items } = await ask<{ items: DeadLetter[] }>(virga, 'GET', '/dead-letters');
    return items.length === 3 ? items : undefined;
  });
  for (const [name, expected] of [
    ['throws', /it is Monday/],
    ['hangs', /300 ms|0\.3 s|timeout/],
    ['exits', /exit|ended|7/],
  ] as const) {
    const letter = letters.find(({ died }) => died.from.includes(name));
    assert.ok(letter !== undefined, `no dead letter of ${name}: ${JSON.stringify(letters)}`);
    assert.equal(letter.died.reason, 'rejected', name);
    assert.match(letter.lastError, expected, name);
    assert.equal(letter.attempts, 3, name);
  }
});
