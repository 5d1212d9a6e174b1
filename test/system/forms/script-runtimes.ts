// What Bun and Deno have in common, as tests: their examples are the same project, written for each. Registered by bun.test.ts and
// deno.test.ts. Invariant: where the runtime is not installed, the refusal at deploy is what is tested, and nothing is left out in
// silence.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import {
  CLOUD_EVENT,
  assertCarriesLargeBody,
  assertEchoes,
  assertStreamsBothWays,
  chunksOf,
  cloudEvent,
  invoke,
  logOf,
} from './clients.ts';

interface Expectation {
  runtime: 'bun' | 'deno';
  /** As the runtime calls itself. */
  version: RegExp;
  /** Its words for a package that is not there. */
  missing: RegExp;
}

export function testScriptRuntime({ runtime, version, missing }: Expectation): void {
  describe(`runtime ${runtime}`, { concurrency: 1 }, () => {
    let virga: Virga;
    let installed = false;
    before(async () => {
      virga = await startVirga();
      const status = (await virga.cli(['status', '--json'])).json<{
        edge: { sandbox: { runtimes: { name: string; version: string | null; remedy: string | null }[] } };
      }>();
      const found = status.edge.sandbox.runtimes.find(({ name }) => name === runtime)!;
      installed = found.remedy === null;
      const deployed = await virga.cli(['deploy', join(ROOT, 'examples', runtime)]);
      if (installed) assert.equal(deployed.code, 0, deployed.stderr);
      else
        assert.match(
          deployed.stderr,
          new RegExp(`asks for runtime ${runtime}, which this node does not have: .*npm ci --prefix runtimes/${runtime}`),
        );
    });
    after(() => virga[Symbol.asyncDispose]());
    const whenInstalled = (name: string, run: () => Promise<void>): void => {
      test(name, async (t) => {
        if (!installed) return t.diagnostic(`${runtime} is not installed here: npm ci --prefix runtimes/${runtime}`);
        await run();
      });
    };

    whenInstalled('`export default { fetch }` answers, with a module beside it and TypeScript as it is', async () => {
      const response = await virga.fetch(runtime, '/hello/Ada');
      assert.equal(response.status, 200);
      const answer = (await response.json()) as { message: string; runtime: string };
      assert.equal(answer.message, 'Hello, Ada!');
      assert.match(answer.runtime, version);
      assert.match((await virga.cli(['status'])).stdout, new RegExp(`runtimes .*${answer.runtime}`));
    });

    whenInstalled('a Hono app runs with the package from npm, unmodified', async () => {
      assert.equal((await virga.fetch(runtime, '/notes/7')).status, 404);
      assert.equal((await virga.fetch(runtime, '/notes/7', { method: 'PUT', body: 'milk' })).status, 204);
      assert.equal(await (await virga.fetch(runtime, '/notes/7')).text(), 'milk');
      assert.deepEqual(await (await virga.fetch(runtime, '/notes')).json(), { 7: 'milk' });
    });

    whenInstalled('an event is a POST to /, and what it answers is the result', async () => {
      const event = await invoke(virga, 'hello', runtime, cloudEvent('com.example.made', { a: 1 }), CLOUD_EVENT);
      assert.deepEqual(event.result?.json, { type: 'com.example.made', data: { a: 1 } });
      assert.deepEqual(
        event.logs.map(({ text }) => text),
        ['event com.example.made'],
      );
      const plain = await invoke(virga, 'hello', runtime, [1, 2]);
      assert.deepEqual(plain.result?.json, { type: null, data: [1, 2] });
      const refused = await invoke(virga, 'hello', runtime, cloudEvent('com.example.refused', {}), CLOUD_EVENT);
      assert.match(refused.error!.message, /the program answered the event with status 422/);
    });

    whenInstalled('a program that listens itself streams both ways', () =>
      assertStreamsBothWays(virga, runtime, '/live/echo', (text) => text),
    );

    whenInstalled('a body of 20 MB comes back as it went', () => assertCarriesLargeBody(virga, runtime, '/live/echo'));

    whenInstalled('server-sent events arrive when they are sent', async () => {
      const response = await virga.fetch(runtime, '/live/ticks');
      const chunks: { text: string; ms: number }[] = [];
      for await (const chunk of chunksOf(response.body!)) chunks.push(chunk);
      assert.equal(chunks.map(({ text }) => text).join(''), 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
      assert.ok(chunks.length > 1, 'all came at once');
    });

    whenInstalled('a WebSocket carries texts, bytes, pings and the closing handshake', () => assertEchoes(virga, runtime, '/live/socket'));

    whenInstalled('many requests are answered at once by one instance', async () => {
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, i) => virga.fetch(runtime, '/live/echo', { method: 'POST', body: `body ${i}` })),
      );
      const texts = await Promise.all(answers.map((answer) => answer.text()));
      assert.deepEqual(
        texts,
        texts.map((_, i) => `body ${i}`),
      );
    });

    whenInstalled('a program that ends in a call fails that call alone', async () => {
      const response = await virga.fetch(runtime, '/live/crash');
      assert.equal(response.status, 502);
      assert.match(await response.text(), /'live' crashed: its process exited with code 4 during the call/);
      assert.equal(await (await virga.fetch(runtime, '/live')).text(), 'live');
    });

    whenInstalled('what it cannot import is a load error that says so, and SIGTERM is heard', async () => {
      const manifest = `project: more
defaults: { runtime: ${runtime}, idle: 0s }
functions:
  broken: { source: broken.ts, http: /broken }
  brief: { source: live.ts, http: /brief }
`;
      const live = await readFile(join(ROOT, 'examples', runtime, 'functions', 'live.ts'), 'utf8');
      const broken = "import pad from 'left-pad';\nexport default { fetch: () => new Response(pad('a', 3)) };";
      const deployed = await virga.deploy({ 'virga.yaml': manifest, 'broken.ts': broken, 'live.ts': live });
      assert.equal(deployed.code, 0, deployed.stderr);
      const response = await virga.fetch('more', '/broken');
      assert.equal(response.status, 502);
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      assert.equal(error.code, 'function_load_failed');
      assert.match(error.message, missing);
      assert.equal(await (await virga.fetch('more', '/brief')).text(), 'live');
      await logOf(virga, 'brief', 'more', /SIGTERM: stopping/);
    });
  });
}
