// What becomes of a message by what its receiver answers, and by what this node lacks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirgaError } from '../../protocol/errors.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { Verdict } from '../deliver/delivery-kind.ts';
import { topologyOf } from '../topology.ts';
import type { WebhookAnswer } from './webhook-client.ts';
import { WebhookKind } from './webhook-kind.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const topology = topologyOf('shop', { topics: { prices: { subscriptions: [{ url: 'https://example.com/hook', secret: 'HOOK' }] } } });
const consumer = topology.consumers.find(({ kind }) => kind === 'webhook')!;
const message = { id: 'evt_1', body: '{"id":"evt_1"}' } as ReceivedMessage;

async function verdictOf(
  answer: WebhookAnswer | Error,
  { secrets = () => Promise.resolve([Buffer.from('x')]), gone = false }: { secrets?: () => Promise<Buffer[]>; gone?: boolean } = {},
): Promise<Verdict> {
  const kind = new WebhookKind({
    client: { post: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)) },
    topologyOf: () => (gone ? undefined : topology),
    secretsOf: secrets,
    now: () => NOW,
  });
  const [verdict] = await kind.deliver(consumer, [message], new AbortController().signal);
  return verdict!;
}

test('each answer leads where Standard Webhooks say', async () => {
  const cases: [status: number, retryAfter: string | undefined, as: Verdict['as'], quietMs: number | undefined][] = [
    [200, undefined, 'done', undefined],
    [299, '60', 'done', undefined],
    [302, '60', 'failed', undefined],
    [410, '60', 'dead', undefined],
    [500, '60', 'failed', undefined],
    [429, undefined, 'failed', undefined],
    [429, '60', 'failed', 60_000],
    [429, '0', 'failed', 0],
    [503, '9999999999', 'failed', 3_600_000],
    [503, 'Thu, 01 Jan 2026 00:00:30 GMT', 'failed', 30_000],
    [503, 'Wed, 31 Dec 2025 00:00:00 GMT', 'failed', 0],
    [503, 'soon', 'failed', undefined],
    [503, '-5', 'failed', undefined],
    [429, '1e3', 'failed', undefined],
  ];
  for (const [status, retryAfter, as, quietMs] of cases) {
    const verdict = await verdictOf({ status, retryAfter });
    assert.deepEqual([verdict.as, verdict.as === 'failed' ? verdict.quietMs : undefined], [as, quietMs], `${status} ${retryAfter}`);
  }
});

test('a secret that is missing is an attempt that failed; a database that is away is none', async () => {
  const missing = await verdictOf(
    { status: 200, retryAfter: undefined },
    { secrets: () => Promise.reject(new VirgaError('secret_not_found', 'the project has no secret HOOK')) },
  );
  assert.deepEqual(missing, { as: 'failed', error: 'the project has no secret HOOK' });
  const away = await verdictOf(
    { status: 200, retryAfter: undefined },
    { secrets: () => Promise.reject(Object.assign(new Error('connect ENOENT'), { code: 'ENOENT' })) },
  );
  assert.equal(away.as, 'later');
  assert.match(away.as === 'later' ? away.error! : '', /secrets cannot be read now: connect ENOENT/);
});

test('a subscription that was just taken away gets nothing, and no attempt is counted', async () => {
  assert.equal((await verdictOf({ status: 200, retryAfter: undefined }, { gone: true })).as, 'later');
});

test('a receiver that cannot be reached is named by the reason alone', async () => {
  const refused = await verdictOf(Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:443'), { code: 'ECONNREFUSED' }));
  assert.deepEqual(refused, { as: 'failed', error: 'the receiver cannot be reached: ECONNREFUSED' });
});
