// What a route makes of a request: who asked is the gateway's to say, and keys of one caller are not another's.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Publisher } from '../../events/publish.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import type { Route } from '../../protocol/settings.ts';
import type { GatewayRequest } from '../stage.ts';
import { PublishTarget } from './publish-target.ts';

interface Asked {
  headers?: Record<string, string>;
  body?: string | Buffer;
  principal?: string;
}

async function asked(target: Partial<Route>, { headers = {}, body = '', principal }: Asked) {
  const sent: Record<string, unknown>[] = [];
  const keep = async (_project: string, ...args: unknown[]): Promise<object[]> => {
    sent.push(...(args.at(-1) as Record<string, unknown>[]));
    return [];
  };
  const publisher = { send: keep, publish: keep, publishEvents: keep } as unknown as Publisher;
  const route: Route = { path: '/orders', methods: ['POST'], ...target };
  const request = {
    project: 'shop',
    route: route.path,
    method: 'POST',
    target: '/orders',
    params: {},
    incoming: { headers },
    header: (name: string) => headers[name],
    ...(principal === undefined ? {} : { principal: { kind: 'jwt', id: principal, scopes: [], claims: {} } }),
  } as unknown as GatewayRequest;
  const made = PublishTarget.of(route, { publisher, limits: { messageBytesMax: 1_000 }, now: () => 0 })!;
  const answer = await made.answer(request, Buffer.from(body));
  return { answer, sent };
}

describe('an event of a route', () => {
  const types: [string, string | Buffer, Partial<CloudEvent>][] = [
    ['application/json', '{"n":12345678901234567890}', {}],
    ['application/vnd.shop+json; charset=utf-8', '{"n":1}', { data: { n: 1 } }],
    ['text/plain', 'ü', { data: 'ü' }],
    ['text/plain; charset=iso-8859-1', Buffer.from([0xfc]), { data_base64: '/A==' }],
    ['image/png', Buffer.from([0x89, 0x50]), { data_base64: 'iVA=' }],
  ];
  for (const [type, body, expected] of types)
    test(type, async () => {
      const { sent } = await asked({ event: { type: 'order.placed' } }, { headers: { 'content-type': type }, body });
      const { data, data_base64, datacontenttype } = sent[0]!;
      assert.equal(datacontenttype, type);
      if (Object.keys(expected).length === 0) assert.equal(JSON.stringify(data), body);
      else assert.deepEqual({ ...(data === undefined ? {} : { data }), ...(data_base64 === undefined ? {} : { data_base64 }) }, expected);
    });

  test('what is no media type makes no event', async () => {
    const { answer, sent } = await asked({ event: { type: 'order.placed' } }, { headers: { 'content-type': 'x' }, body: 'x' });
    assert.match(String((answer as { error?: Error }).error), /'datacontenttype': expected a media type/);
    assert.deepEqual(sent, []);
  });

  test('says who asked, and never what the client says of that', async () => {
    const body = '{"type":"order.placed","principal":"root"}';
    const headers = { 'content-type': 'application/json' };
    assert.equal((await asked({ event: true }, { headers, body, principal: 'ada' })).sent[0]!['principal'], 'ada');
    assert.equal(Object.hasOwn((await asked({ event: true }, { headers, body })).sent[0]!, 'principal'), false);
  });
});

test('an Idempotency-Key is of its caller', async () => {
  const idOf = async (principal: string | undefined, key: string): Promise<unknown> => {
    const { sent } = await asked(
      { queue: 'orders' },
      { headers: { 'idempotency-key': key }, ...(principal === undefined ? {} : { principal }) },
    );
    return sent[0]!['deduplicationId'];
  };
  assert.equal(await idOf(undefined, '"k-1"'), 'k-1');
  assert.equal(await idOf('ada', 'k-1'), await idOf('ada', '"k-1"'));
  assert.notEqual(await idOf('ada', 'k-1'), await idOf('bob', 'k-1'));
  const { answer } = await asked({ queue: 'orders' }, { headers: { 'idempotency-key': 'ü' } });
  assert.match(String((answer as { error?: Error }).error), /Idempotency-Key/);
});
