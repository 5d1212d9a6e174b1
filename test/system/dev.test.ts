// `virga dev`: one process that serves a project, follows its changes and its log.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanEnvironment, freePort, leftovers, ROOT, temporaryFolder, writeFiles } from './virga.ts';

const MANIFEST =
  'project: live\ngateway:\n  routes:\n    - { path: "/site/{file+}", static: { folder: site } }\nfunctions:\n  hello: { source: functions/hello.ts, http: GET / }\n  other: { source: functions/other.ts, http: GET /other }\n';
const hello = (text: string): string =>
  `import { mark } from '../lib/mark.ts';\nexport default { fetch: () => { console.log('said it'); return new Response(\`${text}\${mark}\`); } };\n`;

test('a change is served in under a second, a mistake leaves the old version serving, Ctrl-C leaves nothing', async () => {
  const folder = await temporaryFolder('virga-dev-');
  const dataFolder = join(folder, '.virga');
  const [edgePort, controlPort] = [await freePort(), await freePort()];
  await writeFiles(folder, {
    'virga.yaml': MANIFEST,
    'functions/hello.ts': hello('one'),
    'functions/other.ts': hello('other'),
    'lib/mark.ts': "export const mark = '.';\n",
    'site/page.html': 'first',
  });
  const child = spawn(
    join(ROOT, 'bin', 'virga'),
    ['dev', folder, '--data', dataFolder, '--edge-port', String(edgePort), '--control-port', String(controlPort)],
    {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const text = async (path = '/'): Promise<string> => await (await fetch(`http://127.0.0.1:${edgePort}/@live${path}`)).text();
  const until = async (what: () => boolean | Promise<boolean>, ms: number): Promise<number> => {
    const from = performance.now();
    while (!(await what())) {
      assert.ok(performance.now() - from < ms, `not within ${ms} ms:\n${stdout}\n${stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return performance.now() - from;
  };
  try {
    await until(() => /Watching/.test(stderr) || child.exitCode !== null, 30_000);
    assert.equal(child.exitCode, null, stderr);
    assert.deepEqual([await text(), await text('/other')], ['one.', 'other.']);
    await until(() => /said it/.test(stdout), 5_000);

    await writeFile(join(folder, 'functions/hello.ts'), hello('two'));
    const ms = await until(async () => (await text()) === 'two.', 5_000);
    assert.ok(ms < 1_000, `it took ${ms} ms`);
    await until(() => /redeployed hello in \d+ ms/.test(stderr), 2_000);

    await writeFile(join(folder, 'site/page.html'), 'second');
    await until(async () => (await text('/site/page.html')) === 'second', 5_000);
    await until(() => /redeployed site in \d+ ms/.test(stderr), 2_000);

    // A module that both use: both follow.
    await writeFile(join(folder, 'lib/mark.ts'), "export const mark = '!';\n");
    await until(async () => (await text()) === 'two!' && (await text('/other')) === 'other!', 5_000);

    await writeFile(join(folder, 'functions/hello.ts'), 'export default { fetch( };\n');
    await until(() => /function 'hello' cannot be built:\n\s+functions\/hello\.ts:1:/.test(stderr), 5_000);
    assert.equal(await text(), 'two!');
    await writeFile(join(folder, 'virga.yaml'), MANIFEST.replace('hello:', 'hello: [').replace('live', 'live'));
    await until(() => /virga\.yaml:\d+:\d+: /.test(stderr), 5_000);
    assert.equal(await text(), 'two!');
    await writeFile(join(folder, 'virga.yaml'), MANIFEST);
    await writeFile(join(folder, 'functions/hello.ts'), hello('three'));
    await until(async () => (await text()) === 'three!', 5_000);

    const ended = once(child, 'close');
    child.kill('SIGINT');
    const [code] = (await ended) as [number | null];
    assert.equal(code, 0, stderr);
    assert.deepEqual(leftovers(dataFolder), []);
  } finally {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
});
