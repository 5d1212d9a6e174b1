// Cases of control.integration.test.ts. Uploads, whole and broken, and the housekeeping that removes what nothing needs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { archive, request, sha256Of, until } from './fixture.ts';
import type { StartControl, TestControl } from './fixture.ts';
import { sweep } from './housekeeping.ts';

export function artifactCases(start: StartControl): void {
  describe('artifacts', () => {
    let control: TestControl;
    before(async () => {
      control = await start({ artifactGraceMs: 0, deploymentsKept: 3 });
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    const put = (sha256: string, body: NonNullable<RequestInit['body']>, headers = {}): ReturnType<TestControl['call']> =>
      control.call('PUT', `/v1/artifacts/${sha256}`, { body, headers });
    const missing = async (sha256: string): Promise<boolean> =>
      (await control.call('POST', '/v1/artifacts/missing', { json: { sha256: [sha256] } })).body.missing.length > 0;

    /** Nothing of this artifact is anywhere, and nothing half-written. */
    async function assertNothingOf(sha256: string): Promise<void> {
      assert.ok(await missing(sha256));
      const left = await Promise.all(
        ['blobs', 'artifacts'].map((name) => readdir(join(control.folder, name), { recursive: true }).catch(() => [])),
      );
      const names = left.flat().filter((path) => path.includes(sha256) || path.includes('unpacking') || /^incoming\/./.test(path));
      assert.deepEqual(names, []);
    }

    test('an artifact is stored and unpacked at upload, and uploading it again succeeds', async () => {
      const bytes = archive({ 'index.mjs': 'export default 1', 'lib/a.txt': 'a' });
      const sha256 = sha256Of(bytes);
      assert.ok(await missing(sha256));
      const first = await put(sha256, bytes, { 'content-type': 'application/octet-stream' });
      assert.equal(first.status, 201);
      assert.deepEqual(first.body, { sha256, bytes: bytes.length });
      assert.ok(existsSync(join(control.folder, 'artifacts', sha256, 'lib', 'a.txt')));
      assert.equal((await put(sha256, bytes)).status, 200);
      assert.equal(await missing(sha256), false);
    });

    test('uploads of the same artifact at the same time all succeed', async () => {
      const bytes = archive({ 'index.mjs': 'export default 2', 'big.bin': randomBytes(500_000) });
      const answers = await Promise.all(Array.from({ length: 6 }, () => put(sha256Of(bytes), bytes)));
      assert.deepEqual(
        answers.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, 200, 200, 200, 200, 201],
      );
    });

    test('10 MB with another hash than promised are refused and leave nothing', async () => {
      const bytes = archive({ 'big.bin': randomBytes(10_000_000) });
      const promised = sha256Of(Buffer.from('something else'));
      const { status, body } = await put(promised, bytes);
      assert.equal(status, 422);
      assert.equal(body.error.code, 'artifact_invalid');
      assert.match(body.error.message, new RegExp(sha256Of(bytes)));
      await assertNothingOf(promised);
    });

    test('what is not a gzip-compressed tar, or would write outside of its folder, is refused at upload and leaves nothing', async () => {
      for (const bytes of [
        Buffer.from('hello'),
        randomBytes(2_000),
        archive({ '../evil': 'x' }),
        archive({ '/etc/evil': 'x' }),
        archive({ a: 'x'.repeat(50_000) }).subarray(0, 60),
      ]) {
        const sha256 = sha256Of(bytes);
        const { status, body } = await put(sha256, bytes);
        assert.equal(status, 422, body.error.message);
        assert.equal(body.error.code, 'artifact_invalid');
        await assertNothingOf(sha256);
      }
      const bad = Buffer.from('bad at the same time');
      const answers = await Promise.all(Array.from({ length: 4 }, () => put(sha256Of(bad), bad)));
      assert.ok(answers.every(({ status }) => status === 422));
      await assertNothingOf(sha256Of(bad));
    });

    test('an artifact that is too large, packed or unpacked, is refused with the limit', async () => {
      const announced = await put('a'.repeat(64), Buffer.alloc(12_000_001));
      assert.equal(announced.status, 413);
      assert.match(announced.body.error.message, /12000001 bytes.*at most 12000000/);
      const streamed = await put('a'.repeat(64), new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(1_000_000)) }));
      assert.equal(streamed.status, 413);
      await assertNothingOf('a'.repeat(64));
      const bomb = archive({ 'zeros.bin': Buffer.alloc(21_000_000) });
      const { status, body } = await put(sha256Of(bomb), bomb);
      assert.equal(status, 413);
      assert.equal(body.error.code, 'artifact_too_large');
      await assertNothingOf(sha256Of(bomb));
    });

    test('a name that is no sha256, another content type and a missing token are refused before the body is read', async () => {
      const bytes = Buffer.alloc(10_000_000);
      assert.equal((await put('A'.repeat(64), bytes)).status, 400);
      assert.equal((await put('a'.repeat(64), bytes, { 'content-type': 'application/json' })).body.error.code, 'invalid_request');
      const { status } = await control.call('PUT', `/v1/artifacts/${'a'.repeat(64)}`, { body: bytes, token: null });
      assert.equal(status, 401);
    });

    test('an upload that breaks off leaves nothing, and the next one of the same bytes succeeds', async () => {
      const bytes = archive({ 'big.bin': randomBytes(2_000_000) });
      const sha256 = sha256Of(bytes);
      const socket = connect(Number(new URL(control.url).port), '127.0.0.1');
      socket.write(
        `PUT /v1/artifacts/${sha256} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${control.token}\r\ncontent-length: ${bytes.length}\r\n\r\n`,
      );
      socket.write(bytes.subarray(0, 1_000_000));
      const incoming = join(control.folder, 'blobs', 'incoming');
      await until('the upload has begun', async () => (await readdir(incoming).catch(() => [])).length > 0);
      socket.destroy();
      await once(socket, 'close');
      await until('nothing of it is left', async () => (await readdir(incoming)).length === 0);
      await assertNothingOf(sha256);
      assert.equal((await put(sha256, bytes)).status, 201);
    });

    test('an upload of which nothing comes any more is given up', async () => {
      const { bodyIdleMs } = control.needs.limits;
      control.needs.limits.bodyIdleMs = 50;
      try {
        const socket = connect(Number(new URL(control.url).port), '127.0.0.1');
        socket.write(
          `PUT /v1/artifacts/${'b'.repeat(64)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${control.token}\r\ncontent-length: 1000\r\n\r\nabc`,
        );
        const [answer] = await once(socket.setEncoding('utf8'), 'data');
        socket.destroy();
        assert.match(answer, /^HTTP\/1.1 400 .*nothing of the body came for 50 ms/s);
        await assertNothingOf('b'.repeat(64));
      } finally {
        control.needs.limits.bodyIdleMs = bodyIdleMs;
      }
    });

    test('housekeeping keeps the versions that get requests beside the deployed one', async () => {
      const deploy = async (text: string, traffic: object): Promise<void> => {
        const json = request(await control.upload(text));
        const functions = { hello: { ...json.functions['hello'], ...traffic } };
        const { status } = await control.call('POST', '/v1/projects/staged/deployments', { json: { ...json, functions } });
        assert.equal(status, 201);
      };
      await deploy('staged one', {});
      await deploy('staged two', {});
      // Of these so many are kept that no other names the first two.
      const traffic = { live: { version: 1 }, shadow: { version: 2, percent: 1 } };
      for (const text of ['three', 'four', 'five']) await deploy(`staged ${text}`, traffic);
      await sweep(control.needs, new AbortController().signal);
      const { body } = await control.call('GET', '/v1/projects/staged/functions/hello/versions');
      assert.deepEqual(
        body.items.map(({ number, current }: { number: number; current: boolean }) => `${number} ${current}`),
        ['5 false', '4 false', '3 false', '2 false', '1 true'],
      );
    });

    test('housekeeping removes what nothing needs and keeps what a kept deployment or an upload needs', async () => {
      const deploy = async (text: string): Promise<string> => {
        const artifact = await control.upload(text);
        assert.equal((await control.call('POST', '/v1/projects/sweep/deployments', { json: request(artifact) })).status, 201);
        return artifact;
      };
      const [a, b, c, d, e] = [await deploy('a'), await deploy('b'), await deploy('c'), await deploy('d'), await deploy('e')];
      const unused = await control.upload('nobody');
      const orphan = Buffer.from('an upload that was cut off by a crash');
      await control.needs.blobs.put(sha256Of(orphan), Readable.from([orphan]), { maxBytes: 1_000 });
      const swept = await sweep(control.needs, new AbortController().signal);
      assert.equal(swept.deployments, 2);
      assert.equal(swept.versions, 2);
      assert.equal(swept.orphans, 1);
      for (const gone of [a, b, unused, sha256Of(orphan)]) await assertNothingOf(gone);
      for (const kept of [c, d, e]) assert.equal(await missing(kept), false);
      const back = await control.call('POST', '/v1/projects/sweep/rollback', { json: {} });
      assert.equal(back.status, 201);
      assert.equal(back.body.changes[0].version, 4);
      assert.equal(
        (await control.call('POST', '/v1/projects/sweep/deployments', { json: request(await control.upload('f')) })).body.changes[0]
          .version,
        6,
      );
    });

    test('the version that a run of a workflow began with is needed until the run has succeeded', async () => {
      const artifacts: string[] = [];
      for (const text of ['one', 'two', 'three', 'four', 'five']) {
        const artifact = await control.upload(`run ${text}`);
        artifacts.push(artifact);
        assert.equal((await control.call('POST', '/v1/projects/pinned/deployments', { json: request(artifact) })).status, 201);
      }
      const first = artifacts[0]!;
      const { records } = control;
      await records.query(
        `insert into workflow_runs (project, function, id, version, state, input, trigger, created_at, updated_at)
         values ('pinned', 'hello', 'run_1', 1, 'sleeping', 'null', 'api', now(), now())`,
      );
      await sweep(control.needs, new AbortController().signal);
      assert.equal(await missing(first), false);
      await records.query("update workflow_runs set state = 'succeeded', ended_at = now() where project = 'pinned'");
      await sweep(control.needs, new AbortController().signal);
      await assertNothingOf(first);
    });

    test('the artifact of a folder that a kept deployment serves is needed too, and has to be there', async () => {
      const deploy = (folders: Record<string, string> | undefined, path = '/{file+}', folder = 'public') =>
        control.call('POST', '/v1/projects/site/deployments', {
          json: { functions: {}, routes: [{ path, methods: null, static: { folder } }], ...(folders !== undefined && { folders }) },
        });
      const absent = await deploy({ public: 'c'.repeat(64) });
      assert.equal(absent.status, 409);
      assert.match(absent.body.error.message, /of the folder 'public' was not uploaded/);
      const sites = [];
      for (const text of ['one', 'two', 'three', 'four']) {
        const artifact = await control.upload(text);
        sites.push(artifact);
        assert.equal((await deploy({ public: artifact, unserved: artifact })).status, 201);
      }
      assert.equal((await deploy({ public: sites[3]! })).status, 200);
      await sweep(control.needs, new AbortController().signal);
      await assertNothingOf(sites[0]!);
      for (const kept of sites.slice(1)) assert.equal(await missing(kept), false);
      const back = await control.call('POST', '/v1/projects/site/rollback', { json: {} });
      assert.equal(back.status, 201);
      assert.deepEqual(
        back.body.changes
          .filter(({ change }: { change: string }) => change !== 'none')
          .map(({ kind, name }: { kind: string; name: string }) => [kind, name]),
        [['folder', 'public']],
      );
      for (const [answer, problem] of [
        [await deploy(undefined), /static\.folder.*not in `folders`/],
        [await deploy({ public: sites[3]! }, '/about'), /does not end with what names the file/],
        [await deploy({ '../x': sites[3]! }, '/{file+}', '../x'), /a folder inside the folder of the manifest/],
        [await deploy({ public: 'x' }), /must be a sha256/],
      ] as const) {
        assert.equal(answer.status, 400);
        assert.match(JSON.stringify(answer.body.error), problem);
      }
    });

    test('housekeeping leaves alone what is being uploaded or deployed at the same time', async () => {
      const stop = new AbortController();
      const sweeping = (async () => {
        while (!stop.signal.aborted) await sweep(control.needs, stop.signal);
      })();
      try {
        for (let n = 0; n < 12; n++) {
          const artifact = await control.upload(`export default ${n % 3}`);
          const { status, body } = await control.call('POST', '/v1/projects/busy/deployments', { json: request(artifact) });
          // The sweep may come between the two requests, since this test grants no grace: then it says what is missing.
          if (status === 409) assert.equal(body.error.code, 'artifacts_missing');
          else assert.ok(status === 201 || status === 200, JSON.stringify(body));
          const project = (await control.call('GET', '/v1/projects/busy')).body;
          if (status !== 409) assert.ok(existsSync(join(control.folder, 'artifacts', project.functions[0].artifact, 'index.mjs')));
        }
      } finally {
        stop.abort();
        await sweeping;
      }
    });
  });
}
