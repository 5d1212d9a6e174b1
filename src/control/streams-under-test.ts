// Cases of control.integration.test.ts. Streams as operators see them: what is kept, who has read how far, looking, waiting, seeking.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { topologyOf } from '../events/topology.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { Json, StartControl } from './fixture.ts';
import { withQueues } from './queues-under-test.ts';
import type { WithQueues } from './queues-under-test.ts';

const EVENTS: EventsSection = {
  streams: { clicks: { partitions: 2, retention: '1d', maxBytes: '1 MiB' }, empty: { partitions: 1 } },
  triggers: { hello: [{ stream: 'clicks', from: 'oldest' }] },
};

export function streamCases(start: StartControl): void {
  describe('streams', () => {
    let shop: WithQueues;
    const topology = topologyOf('shop', EVENTS, ['hello']);
    const { spec } = topology.streams.get('clicks')!;
    before(async () => {
      shop = await withQueues(start, EVENTS);
      const { bus } = shop.control.needs;
      await bus.hold(spec, 'hello', { max: 2, leaseMs: 1_000, from: 'oldest' });
      await bus.hold(spec, 'gone', { max: 2, leaseMs: 1, from: 'oldest' });
    });
    after(async () => {
      await shop.control[Symbol.asyncDispose]();
    });
    const append = async (...records: [key: string, data: string][]): Promise<void> => {
      const json = { records: records.map(([key, data]) => ({ key, data })) };
      const { status, body } = await shop.call('POST', '/streams/clicks/records', { json });
      assert.equal(status, 202, JSON.stringify(body));
    };
    const look = async (query = ''): Promise<Json> => {
      const { status, body } = await shop.call('GET', `/streams/clicks/records${query}`);
      assert.equal(status, 200, JSON.stringify(body));
      return body;
    };
    const datas = ({ items }: Json): string[] => items.map((one: Json) => one.data);

    test('a stream is shown with what is kept, how fast it comes, and how far each function has read', async () => {
      await append(['a', '1'], ['b', '2'], ['a', '3'], ['c', '4'], ['d', '5'], ['e', '6']);
      const { bus } = shop.control.needs;
      const [hold] = await bus.hold(spec, 'hello', { max: 1, leaseMs: 60_000, from: 'oldest' });
      await bus.commit(spec.key, 'hello', hold!, { position: 1, state: null, leaseMs: 60_000 });
      const { body } = await shop.call('GET', '/streams/clicks');
      assert.deepEqual(
        [body.name, body.state, body.records, body.limits, body.perSecond, body.partitions.length],
        ['clicks', 'active', 6, { retentionMs: 86_400_000, bytes: 1_048_576 }, 0.1, 2],
      );
      assert.ok(body.bytes > 0 && Date.parse(body.oldestAt) <= Date.parse(body.newestAt));
      assert.deepEqual(
        body.consumers.map((one: Json) => [one.function, one.state, one.lag, one.lagMs >= 0]),
        [
          ['gone', 'removed', 6, true],
          ['hello', 'active', 5, true],
        ],
      );
      assert.deepEqual(
        body.consumers.map((one: Json) => one.missed),
        [0, 0],
      );
      assert.deepEqual([body.consumers[1].partitions[0].position, body.consumers[1].partitions[0].heldUntil === null], [1, false]);
      const list = await shop.call('GET', '/streams');
      assert.deepEqual(
        list.body.items.map((one: Json) => [one.name, one.records, one.oldestAt === null]),
        [
          ['clicks', 6, false],
          ['empty', 0, true],
        ],
      );
    });

    test('records are looked at from anywhere, of all partitions or one, of a key, and page by page', async () => {
      assert.deepEqual(datas(await look()).toSorted(), ['1', '2', '3', '4', '5', '6']);
      assert.deepEqual(datas(await look('?key=a')), ['1', '3']);
      const paged: string[] = [];
      for (let next = ''; ;) {
        const page = await look(`?limit=2${next === '' ? '' : `&after=${next}`}`);
        paged.push(...datas(page));
        if (page.end) break;
        ({ next } = page);
      }
      assert.deepEqual(paged.toSorted(), ['1', '2', '3', '4', '5', '6']);
      const { partition } = (await look('?key=a')).items[0];
      const own = await look(`?partition=${partition}`);
      assert.deepEqual(
        own.items.map((one: Json) => one.position),
        own.items.map((_: Json, index: number) => index + 1),
      );
      assert.deepEqual(datas(await look(`?partition=${partition}&from=2`)), datas(own).slice(1));
      assert.deepEqual(datas(await look(`?partition=${partition}&after=1`)), datas(own).slice(1));
      assert.deepEqual(datas(await look(`?partition=${partition}&last=1`)), datas(own).slice(-1));
      assert.deepEqual([datas(await look('?from=1h')).length, datas(await look('?from=newest')).length], [6, 0]);
      assert.deepEqual(datas(await look(`?from=${new Date(Date.now() + 60_000).toISOString()}`)), []);
    });

    test('who waits gets a record when it is appended, and none at the end of the wait', async () => {
      const { next } = await look('?from=newest');
      const waiting = look(`?after=${next}&waitMs=20000&key=w`);
      await append(['v', 'not this'], ['w', 'this']);
      const answer = await waiting;
      assert.deepEqual(datas(answer), ['this']);
      assert.deepEqual(datas(await look(`?after=${answer.next}&waitMs=30`)), []);
    });

    test('a function is sent to the oldest, the newest, a time or a position', async () => {
      const seek = async (json: Json): Promise<Json[]> => {
        const { status, body } = await shop.call('POST', '/streams/clicks/consumers/hello/seek', { json });
        assert.equal(status, 200, JSON.stringify(body));
        return body.partitions;
      };
      const positions = async (): Promise<number[]> => {
        const { body } = await shop.call('GET', '/streams/clicks');
        return body.consumers[1].partitions.map((one: Json) => one.position);
      };
      const { partitions } = (await shop.call('GET', '/streams/clicks')).body;
      await seek({ to: 'newest' });
      assert.deepEqual(
        await positions(),
        partitions.map((one: Json) => one.newest),
      );
      assert.deepEqual(
        (await seek({ to: 'oldest' })).map(({ to }) => to),
        [0, 0],
      );
      assert.deepEqual(await seek({ to: '2', partition: 0 }), [{ partition: 0, from: 0, to: 1 }]);
      await seek({ to: '1h' });
      assert.deepEqual(await positions(), [0, 0]);
    });

    test('what does not exist is refused with what does', async () => {
      const cases: [string, string, Json, number, string, RegExp][] = [
        ['GET', '/streams/click', undefined, 404, 'stream_not_found', /no stream 'click'; did you mean 'clicks'\?/],
        ['GET', '/streams/click/records', undefined, 404, 'stream_not_found', /did you mean 'clicks'\?/],
        ['GET', '/streams/clicks/records?partition=2', undefined, 400, 'invalid_request', /from 0 to 1/],
        ['GET', '/streams/clicks/records?from=later', undefined, 400, 'invalid_request', /oldest, newest, a time/],
        ['GET', '/streams/clicks/records?from=3', undefined, 400, 'invalid_request', /needs `partition`/],
        ['GET', '/streams/clicks/records?after=3', undefined, 400, 'invalid_request', /needs `partition`/],
        ['GET', '/streams/clicks/records?after=0:1&from=oldest', undefined, 400, 'invalid_request', /does not go with/],
        ['GET', '/streams/clicks/records?after=x', undefined, 400, 'invalid_request', /`next` of an earlier answer/],
        ['GET', '/streams/clicks/records?partition=0&from=99', undefined, 400, 'invalid_request', /no position of partition 0/],
        ['GET', '/streams/clicks/records?waitMs=20001', undefined, 400, 'invalid_request', /at most 20000/],
        ['POST', '/streams/clicks/consumers/helo/seek', { to: 'oldest' }, 404, 'consumer_not_found', /did you mean 'hello'\?/],
        ['POST', '/streams/clicks/consumers/hello/seek', {}, 400, 'invalid_request', /to/],
        ['POST', '/streams/clicks/consumers/hello/seek', { to: '1' }, 400, 'invalid_request', /needs `partition`/],
        ['POST', '/streams/clicks/consumers/hello/seek', { to: 'oldest', partition: 7 }, 400, 'invalid_request', /from 0 to 1/],
      ];
      for (const [method, path, json, status, code, message] of cases) {
        const answer = await shop.call(method, path, json === undefined ? {} : { json });
        assert.deepEqual([answer.status, answer.body.error.code], [status, code], `${method} ${path}: ${JSON.stringify(answer.body)}`);
        assert.match(answer.body.error.message, message);
      }
    });

    test('what is gone before a function came to it is counted', async () => {
      const { bus } = shop.control.needs;
      const { spec: full } = topology.streams.get('empty')!;
      await bus.hold(full, 'late', { max: 1, leaseMs: 1, from: 'oldest' });
      const records = Array.from({ length: 20 }, (_, n) => ({ id: `rec_${n}`, partitionKey: 'k', data: 'x'.repeat(100), attributes: {} }));
      // Room is made when more comes.
      for (const some of [records.slice(1), records.slice(0, 1)]) await bus.append({ ...full, bytesMax: 1_000 }, some);
      const { body } = await shop.call('GET', '/streams/empty');
      const { missed, lag } = body.consumers.find((one: Json) => one.function === 'late');
      assert.ok(missed >= 10, `${missed} missed`);
      assert.deepEqual([missed + lag, body.records], [20, lag]);
    });
  });
}
