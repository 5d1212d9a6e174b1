// Cases of control.integration.test.ts. Records, log lines, followers, direct invocations.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { request, until } from './fixture.ts';
import type { Json, StartControl, TestControl } from './fixture.ts';
import { sweep } from './housekeeping.ts';

export function recordCases(start: StartControl): void {
  describe('invocations and logs', () => {
    let control: TestControl;
    before(async () => {
      control = await start();
      const artifact = await control.upload('export const handler = () => 1');
      await control.call('POST', '/v1/projects/tour/deployments', { json: request(artifact) });
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      await control.records.query('truncate invocations, log_lines');
    });

    const MINUTE = 60_000;

    async function recordInvocation(ageMs: number, outcome = 'ok', fn = 'hello'): Promise<string> {
      const at = Date.now() - ageMs;
      const id = idAt('inv', at);
      await control.records.query(
        `insert into invocations values ($1, 't', 'tour', $2, 1, 'http', $3, 200, 'GET /', null, to_timestamp($4::float8 / 1000),
           0.5, 20.25, 1, 2, 3.5, true, 6, 5000000000, 1, 2, 'sbx_1')`,
        [id, fn, outcome, at],
      );
      return id;
    }

    async function recordLine(text: string, options: { ageMs?: number; invocation?: string; fn?: string } = {}): Promise<string> {
      const at = Date.now() - (options.ageMs ?? 0);
      const id = options.ageMs === undefined ? newId('log') : idAt('log', at);
      await control.records.query(
        `insert into log_lines values ($1, to_timestamp($2::float8 / 1000), 'tour', $3, 1, $4, 'sbx_1', 'info', $5)`,
        [id, at, options.fn ?? 'hello', options.invocation ?? '', text],
      );
      return id;
    }

    /** An id of another time: newId never goes back, so its time part is replaced. */
    function idAt(prefix: 'inv' | 'log', ms: number): string {
      let time = '';
      for (let rest = Math.floor(ms), i = 0; i < 10; i++, rest = Math.floor(rest / 32))
        time = '0123456789abcdefghjkmnpqrstvwxyz'[rest % 32] + time;
      return `${prefix}_${time}${newId(prefix).slice(14)}`;
    }

    const texts = (body: { items: { text: string }[] }): string[] => body.items.map(({ text }) => text);

    test('invocations are listed newest first, by time and outcome, in pages', async () => {
      const old = await recordInvocation(20 * MINUTE);
      const failed = await recordInvocation(5 * MINUTE, 'function_error');
      const recent = await recordInvocation(1_000);
      await recordInvocation(1_000, 'ok', 'other');
      const path = '/v1/projects/tour/functions/hello/invocations';
      const ids = async (query: string): Promise<string[]> =>
        (await control.call('GET', `${path}?${query}`)).body.items.map(({ id }: { id: string }) => id);
      assert.deepEqual(await ids(''), [recent, failed, old]);
      assert.deepEqual(await ids('since=10m'), [recent, failed]);
      assert.deepEqual(await ids(`since=${new Date(Date.now() - MINUTE).toISOString()}`), [recent]);
      assert.deepEqual(await ids('outcome=failed'), [failed]);
      assert.deepEqual(await ids('outcome=function_error&since=1h'), [failed]);
      assert.deepEqual(await ids('outcome=ok'), [recent, old]);
      const first = (await control.call('GET', `${path}?limit=2`)).body;
      assert.deepEqual(await ids(`limit=2&cursor=${first.next}`), [old]);
      const record = first.items[0];
      assert.deepEqual(record.receipt, { queueMs: 0.5, sandboxMs: 20.25, loadMs: 1, initMs: 2, handlerMs: 3.5, cold: true, billedMs: 6 });
      assert.equal(record.peakMemoryBytes, 5_000_000_000);
      assert.ok(Math.abs(record.startedAt - (Date.now() - 1_000)) < 10_000);
    });

    test('a filter that makes no sense is refused with what would', async () => {
      const path = '/v1/projects/tour/functions/hello/invocations';
      for (const [query, message] of [
        ['since=yesterday', /how long ago \(90s, 10m, 2h, 7d\)/],
        ['since=2026-01-31T12:00', /with its zone/],
        ['since=10', /how long ago/],
        ['outcome=faild', /did you mean failed\?/],
      ] as const) {
        const { status, body } = await control.call('GET', `${path}?${query}`);
        assert.equal(status, 400, query);
        assert.match(body.error.message, message);
      }
      assert.equal((await control.call('GET', '/v1/projects/tour/functions/helo/invocations')).body.error.code, 'function_not_found');
      assert.equal((await control.call('GET', '/v1/projects/tour/logs?function=hello&cursor=x&last=3')).status, 400);
    });

    test('one invocation comes with its log lines', async () => {
      const id = await recordInvocation(10);
      await recordLine('first', { invocation: id });
      await recordLine('of another', { invocation: newId('inv') });
      await recordLine('second', { invocation: id });
      const { body } = await control.call('GET', `/v1/projects/tour/invocations/${id}`);
      assert.equal(body.invocation.id, id);
      assert.deepEqual(
        body.logs.map(({ text }: { text: string }) => text),
        ['first', 'second'],
      );
      assert.equal(body.logsCut, false);
      assert.equal((await control.call('GET', `/v1/projects/other/invocations/${id}`)).body.error.code, 'invocation_not_found');
      assert.equal((await control.call('GET', `/v1/projects/tour/invocations/${newId('inv')}`)).status, 404);
      assert.equal((await control.call('GET', '/v1/projects/tour/invocations/7')).status, 400);
    });

    test('log lines are listed oldest first, filtered and in pages', async () => {
      const invocation = newId('inv');
      const lines = ['a', 'b', 'c', 'd'];
      await recordLine('old', { ageMs: 20 * MINUTE });
      const ids = [];
      for (const text of lines) ids.push(await recordLine(text, { invocation, ...(text === 'c' && { fn: 'other' }) }));
      const list = async (query: string): Promise<Json> => (await control.call('GET', `/v1/projects/tour/logs?${query}`)).body;
      assert.deepEqual(texts(await list('')), ['old', ...lines]);
      assert.deepEqual(texts(await list('since=10m')), lines);
      assert.deepEqual(texts(await list(`function=hello&invocation=${invocation}`)), ['a', 'b', 'd']);
      assert.deepEqual(texts(await list('last=2')), ['c', 'd']);
      assert.deepEqual(texts(await list(`after=${ids[1]}`)), ['c', 'd']);
      const first = await list('limit=2&since=10m');
      assert.deepEqual(texts(first), ['a', 'b']);
      const second = await list(`limit=2&since=10m&cursor=${first.next}`);
      assert.deepEqual([texts(second), second.next], [['c', 'd'], null]);
    });

    test('a follower gets the last lines, then new ones as they come, and heartbeats; it stops when it leaves', async () => {
      await recordLine('before');
      const leave = new AbortController();
      const response = await fetch(`${control.url}/v1/projects/tour/logs?follow=true&last=1`, {
        headers: { authorization: `Bearer ${control.token}` },
        signal: leave.signal,
      });
      assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
      assert.match(response.headers.get('x-virga-after')!, /^log_/);
      const lines = linesOf(response);
      assert.equal(JSON.parse(await nextText(lines)).text, 'before');
      await recordLine('one');
      await recordLine('two');
      assert.equal(JSON.parse(await nextText(lines)).text, 'one');
      assert.equal(JSON.parse(await nextText(lines)).text, 'two');
      assert.equal((await lines.next()).value, '');
      assert.equal(control.needs.followers.size, 1);
      leave.abort();
      await until('the follower is gone', () => Promise.resolve(control.needs.followers.size === 0));
    });

    test('following begins now, and the number of followers is bounded', async () => {
      await recordLine('before');
      const leave = new AbortController();
      const follow = (): Promise<Response> =>
        fetch(`${control.url}/v1/projects/tour/logs?follow=true`, {
          headers: { authorization: `Bearer ${control.token}` },
          signal: leave.signal,
        });
      const followers = await Promise.all(Array.from({ length: 4 }, follow));
      const refused = await follow();
      assert.equal(refused.status, 503);
      assert.match(((await refused.json()) as { error: { message: string } }).error.message, /4 connections follow logs already/);
      await recordLine('after');
      for (const follower of followers) assert.equal(JSON.parse(await nextText(linesOf(follower))).text, 'after');
      leave.abort();
      await until('the followers have left', () => Promise.resolve(control.needs.followers.size === 0));
      assert.equal((await control.call('GET', '/v1/projects/nowhere/logs?follow=true')).body.error.code, 'project_not_found');
      assert.equal((await control.call('HEAD', '/v1/projects/tour/logs?follow=true')).status, 200);
    });

    test('records past their retention go, the others stay', async () => {
      await recordInvocation(25 * 60 * MINUTE);
      const kept = await recordInvocation(23 * 60 * MINUTE);
      await recordLine('old', { ageMs: 25 * 60 * MINUTE });
      await recordLine('kept', { ageMs: 23 * 60 * MINUTE });
      const swept = await sweep(control.needs, new AbortController().signal);
      assert.deepEqual([swept.invocations, swept.logLines], [1, 1]);
      assert.equal((await control.call('GET', '/v1/projects/tour/functions/hello/invocations')).body.items[0].id, kept);
    });

    test('an invocation passes through to the edge and back, with payload, version and request id', async () => {
      control.edge.onInvoke = async (incoming, outgoing, url) => {
        const chunks: Buffer[] = [];
        try {
          for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
        } catch {
          return; // Control gave a payload up that is too large.
        }
        outgoing.setHeader('content-type', 'application/json');
        outgoing.end(
          JSON.stringify({
            query: url.search,
            type: incoming.headers['content-type'],
            id: incoming.headers['x-request-id'],
            trace: incoming.headers['traceparent'],
            bytes: Buffer.concat(chunks).length,
          }),
        );
      };
      const path = '/v1/projects/tour/functions/hello/invoke';
      const headers = { 'content-type': 'image/png', 'x-request-id': 'abc', traceparent: '00-1-2-01' };
      const { status, body } = await control.call('POST', `${path}?version=7`, { body: new Uint8Array(900_000), headers });
      assert.equal(status, 200);
      assert.deepEqual(body, {
        query: '?project=tour&function=hello&version=7',
        type: 'image/png',
        id: 'abc',
        trace: '00-1-2-01',
        bytes: 900_000,
      });
      assert.equal((await control.call('POST', path)).body.type, 'application/json');
      assert.equal((await control.call('POST', path, { body: new Uint8Array(1_000_001) })).status, 413);
      const streamed = new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(100_000)) });
      assert.equal((await control.call('POST', path, { body: streamed })).body.error.code, 'request_too_large');
      assert.equal((await control.call('POST', `${path}?version=one`)).status, 400);
    });

    test("an AWS client's context goes on as JSON in ASCII, and one that is none is refused", async () => {
      control.edge.onInvoke = (incoming, outgoing) => {
        incoming.resume();
        outgoing.setHeader('content-type', 'application/json');
        outgoing.end(JSON.stringify(incoming.headers['x-client-context'] ?? null));
      };
      const path = '/v1/projects/tour/functions/hello/invoke';
      const sent = async (header: string) => control.call('POST', path, { headers: { 'x-amz-client-context': header } });
      const base64 = (text: string): string => Buffer.from(text).toString('base64');
      assert.equal((await sent(base64('{"custom": {"a": "zwölf"}}'))).body, '{"custom":{"a":"zw\\u00f6lf"}}');
      for (const wrong of [base64('[1]'), base64('{'), 'none at all', base64(`{"a":"${'x'.repeat(3_000)}"}`)]) {
        const { status, body } = await sent(wrong);
        assert.deepEqual([status, body.error.code], [400, 'invalid_request']);
        assert.match(body.error.message, /^x-amz-client-context (?:is not a JSON object in base64|has 4\d\d\d bytes; at most 3583)/);
      }
    });

    test('what the edge refuses comes back as it is, also before the payload was read', async () => {
      control.edge.onInvoke = (_incoming, outgoing) => {
        outgoing.writeHead(429, { 'content-type': 'application/json', 'retry-after': '3' });
        outgoing.end(JSON.stringify({ error: { code: 'function_overloaded', message: 'full', fault: 'caller', requestId: 'x' } }));
      };
      const { status, body, headers } = await control.call('POST', '/v1/projects/tour/functions/hello/invoke', {
        body: new Uint8Array(1_000_000),
      });
      assert.equal(status, 429);
      assert.equal(headers.get('retry-after'), '3');
      assert.equal(body.error.code, 'function_overloaded');
    });

    test('a client that leaves aborts its invocation', async () => {
      const called = Promise.withResolvers<void>();
      const aborted = Promise.withResolvers<void>();
      control.edge.onInvoke = (incoming, outgoing) => {
        incoming.resume();
        outgoing.on('close', () => aborted.resolve());
        called.resolve();
      };
      const leave = new AbortController();
      const call = control.call('POST', '/v1/projects/tour/functions/hello/invoke', { body: '{}', signal: leave.signal });
      await called.promise;
      leave.abort();
      await assert.rejects(call);
      await aborted.promise;
    });

    test('an edge that is away makes an invocation unavailable', async () => {
      control.edge.onInvoke = (incoming) => void incoming.socket.destroy();
      const { status, body } = await control.call('POST', '/v1/projects/tour/functions/hello/invoke', { body: '{}' });
      assert.equal(status, 503);
      assert.equal(body.error.code, 'unavailable');
      assert.match(body.error.message, /the edge does not answer/);
    });

    async function* linesOf(response: Response): AsyncGenerator<string, void, undefined> {
      let rest = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream() as never) as unknown as AsyncIterable<string>) {
        rest += chunk;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        yield* lines;
      }
    }

    /** The next line that is not a heartbeat. */
    async function nextText(lines: AsyncGenerator<string, void, undefined>): Promise<string> {
      for (;;) {
        const { value } = await lines.next();
        if (value === undefined) throw new Error('the stream ended');
        if (value !== '') return value;
      }
    }
  });
}
