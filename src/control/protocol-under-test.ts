// Cases of control.integration.test.ts. What holds for every operation: tokens, request ids, unknown paths, malformed requests, faults of the platform.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { StartControl, TestControl } from './fixture.ts';

export function protocolCases(start: StartControl): void {
  describe('the protocol', () => {
    let control: TestControl;
    before(async () => {
      control = await start();
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    test('health and the OpenAPI document need no token, everything else does', async () => {
      assert.deepEqual((await control.call('GET', '/v1/health', { token: null })).body, { status: 'ok' });
      const document = (await control.call('GET', '/v1/openapi.json', { token: null })).body;
      assert.equal(document.openapi, '3.1.0');
      for (const [path, operations] of Object.entries<Record<string, { security?: unknown }>>(document.paths)) {
        for (const [method, operation] of Object.entries(operations)) {
          const concrete = path.replace('{sha256}', 'a'.repeat(64)).replaceAll(/\{\w+\}/g, 'x');
          const { status, body, headers } = await control.call(method.toUpperCase(), concrete, { token: null });
          if (operation.security === undefined) continue;
          assert.equal(status, 401, `${method} ${path}`);
          assert.equal(body.error.code, 'unauthorized');
          assert.equal(headers.get('www-authenticate'), 'Bearer realm="virga"');
        }
      }
    });

    test('a token that is wrong in any way is refused', async () => {
      for (const authorization of [
        '',
        'Bearer',
        'Bearer x',
        `Basic ${btoa('a:b')}`,
        `Bearer ${control.token}x`,
        `Bearer vrg_${'a'.repeat(43)}`,
      ]) {
        const { status, body } = await control.call('GET', '/v1/projects', { headers: { authorization } });
        assert.equal(status, 401, authorization);
        assert.match(body.error.message, /token/);
      }
      assert.equal((await control.call('GET', '/v1/projects')).status, 200);
      assert.equal((await control.call('GET', `/v1/projects?token=${control.token}`, { token: null })).status, 401);
    });

    test('a sane request id is kept, another is replaced, and every answer has one', async () => {
      const kept = await control.call('GET', '/v1/health', { headers: { 'x-request-id': 'my-request.1' } });
      assert.equal(kept.headers.get('x-request-id'), 'my-request.1');
      for (const id of ['with space', 'x'.repeat(200), '<script>']) {
        const made = await control.call('GET', '/v1/nothing', { headers: { 'x-request-id': id } });
        assert.match(made.headers.get('x-request-id')!, /^req_[0-9a-z]{26}$/);
        assert.equal(made.body.error.requestId, made.headers.get('x-request-id'));
      }
    });

    test('an unknown path is 404 and a wrong method 405 with what is allowed', async () => {
      const unknown = await control.call('GET', '/v2/projects');
      assert.equal(unknown.status, 404);
      assert.equal(unknown.body.error.code, 'not_found');
      assert.match(unknown.body.error.message, /\/v2\/projects/);
      const wrong = await control.call('PATCH', '/v1/projects/tour');
      assert.equal(wrong.status, 405);
      assert.deepEqual(wrong.headers.get('allow')!.split(', ').sort(), ['DELETE', 'GET', 'HEAD']);
      assert.equal((await control.call('OPTIONS', '/v1/projects')).status, 405);
      const head = await control.call('HEAD', '/v1/projects');
      assert.equal(head.status, 200);
      assert.equal(head.body, undefined);
    });

    test('all problems of a request come in one answer, with place, value and suggestion', async () => {
      const settings = { runtime: 'nodejs62', handler: '../x', memroyMiB: 1, timeoutMs: 1.5, env: { 'a b': 'x', ok: 4 } };
      const json = { functions: { Hello: {}, hello: { artifact: 'abc', settings } }, route: [] };
      const { status, body } = await control.call('POST', '/v1/projects/Tour/deployments?dryrun=true', { json });
      assert.equal(status, 400);
      assert.equal(body.error.code, 'invalid_request');
      assert.equal(body.error.fault, 'caller');
      const problems = new Map<string, { message: string; value?: unknown }>(
        body.error.detail.map((problem: { path: string }) => [problem.path, problem]),
      );
      assert.match(problems.get('project')!.message, /lower-case letters/);
      assert.match(problems.get('?dryrun')!.message, /did you mean 'dryRun'/);
      assert.match(problems.get('route')!.message, /did you mean 'routes'/);
      assert.match(problems.get('routes')!.message, /is missing; it must be an array/);
      assert.equal(problems.get('functions.Hello')!.value, 'Hello');
      assert.match(problems.get('functions.hello.artifact')!.message, /sha256/);
      assert.match(
        problems.get('functions.hello.settings.runtime')!.message,
        /one of nodejs26, nodejs24, python3, .*; did you mean nodejs26\?/,
      );
      assert.equal(problems.get('functions.hello.settings.runtime')!.value, 'nodejs62');
      assert.match(problems.get('functions.hello.settings.memroyMiB')!.message, /did you mean 'memoryMiB'/);
      assert.match(problems.get('functions.hello.settings.timeoutMs')!.message, /whole number/);
      assert.match(problems.get('functions.hello.settings.env.ok')!.message, /must be a string/);
      assert.match(problems.get('functions.hello.settings.env.a b')!.message, /environment variable/);
      assert.match(body.error.message, /and \d+ more problems/);
    });

    test('a body that is not JSON, not announced as JSON, or too large is refused with the reason', async () => {
      const path = '/v1/artifacts/missing';
      const json = { headers: { 'content-type': 'application/json' } };
      const cases: [Parameters<TestControl['call']>[2], number, RegExp][] = [
        [{ ...json, body: '{"sha256":[' }, 400, /not valid JSON/],
        [{ ...json, body: '' }, 400, /not valid JSON/],
        [{ ...json, body: new Uint8Array([0x7b, 0xff, 0x7d]) }, 400, /not valid UTF-8/],
        [{ ...json, body: '[]' }, 400, /the body must be an object/],
        [{ ...json, body: '{"__proto__":{},"sha256":[]}' }, 400, /__proto__/],
        [{ ...json, body: '{"\\u005f_proto__":{},"sha256":[]}' }, 400, /__proto__/],
        [{ headers: { 'content-type': 'text/plain' }, body: '{}' }, 400, /content-type must be application\/json \(got 'text\/plain'\)/],
        [{ body: new Uint8Array([0x7b, 0x7d]) }, 400, /content-type must be application\/json \(got none\)/],
        [{ headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' }, body: '{}' }, 400, /content-encoding 'gzip'/],
        [{ ...json, body: ' '.repeat(1_000_001) }, 413, /1000001 bytes.*at most 1000000/],
        [
          { ...json, body: new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(100_000).fill(0x20)) }) },
          413,
          /more than 1000000/,
        ],
      ];
      for (const [options, status, message] of cases) {
        const answer = await control.call('POST', path, options);
        assert.equal(answer.status, status, String(message));
        assert.match(answer.body.error.message, message);
      }
      const fine = await control.call('POST', path, {
        headers: { 'content-type': 'Application/JSON; charset="UTF-8"' },
        body: '{"sha256":[]}',
      });
      assert.deepEqual(fine.body, { missing: [] });
    });

    test('the same query parameter twice, an unknown one and a bad limit are refused', async () => {
      for (const [query, message] of [
        ['limit=1&limit=2', /given 2 times/],
        ['limit=0', /from 1 to 1000/],
        ['limit=1001', /from 1 to 1000/],
        ['limit=ten', /whole number/],
        ['limt=1', /did you mean 'limit'/],
        ['cursor=abc', /not a cursor of this list/],
        [`cursor=${Buffer.from('["versions/a/b","1"]').toString('base64url')}`, /not a cursor of this list/],
      ] as const) {
        const { status, body } = await control.call('GET', `/v1/projects?${query}`);
        assert.equal(status, 400, query);
        assert.match(body.error.message, message);
      }
    });

    test('names that could break out of their place are refused or not found', async () => {
      for (const name of ['%00', '..%2f..', "x'%3b--", 'constructor%2f', 'a'.repeat(41), '%ff']) {
        const { status, body } = await control.call('GET', `/v1/projects/${name}`);
        assert.equal(status, 400, name);
        assert.equal(body.error.code, 'invalid_request');
      }
      assert.equal((await control.call('GET', '/v1/projects/constructor')).body.error.code, 'project_not_found');
    });

    test('what is not HTTP gets a JSON error, and so do headers that are too large', async () => {
      for (const [text, message] of [
        ['nonsense\r\n\r\n', /not HTTP/],
        [`GET /v1/health HTTP/1.1\r\nhost: x\r\nx-big: ${'x'.repeat(20_000)}\r\n\r\n`, /more than 16384 bytes/],
      ] as const) {
        const socket = connect(Number(new URL(control.url).port), '127.0.0.1');
        socket.end(text);
        let answer = '';
        socket.setEncoding('utf8').on('data', (chunk) => (answer += chunk));
        await once(socket, 'close');
        assert.match(answer, /^HTTP\/1.1 400 Bad Request\r\n/);
        assert.match(answer, message);
        assert.equal(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error.code, 'invalid_request');
      }
    });

    test('a fault of the platform tells the caller nothing but the request id, and the log everything', async () => {
      await control.records.query('alter table projects rename column created_at to gone');
      try {
        const { status, body } = await control.call('GET', '/v1/projects');
        assert.equal(status, 500);
        assert.equal(body.error.code, 'internal');
        assert.doesNotMatch(JSON.stringify(body), /created_at/);
        assert.ok(control.log.some((line) => line.includes('created_at') && line.includes(body.error.requestId)));
      } finally {
        await control.records.query('alter table projects rename column gone to created_at');
      }
    });

    test('status shows the edge, and null while it is away', async () => {
      const { body } = await control.call('GET', '/v1/status');
      assert.equal(body.edge.sandbox.driver, 'bubblewrap');
      assert.match(body.postgres.version, /^\d+/);
      assert.equal(body.node, 'test');
      assert.ok(body.postgres.databaseBytes > 0);
      control.edge.silent = true;
      assert.equal((await control.call('GET', '/v1/status')).body.edge, null);
      control.edge.silent = false;
    });
  });
}
