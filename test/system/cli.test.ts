// The command line against a real Virga: what every command says to bad input, and that nothing is half-applied.
import assert from 'node:assert/strict';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCli, startVirga, temporaryFolder, writeFiles } from './virga.ts';
import type { Virga } from './virga.ts';

const GOOD = {
  'virga.yaml': 'project: good\nfunctions:\n  hello:\n    source: hello.ts\n    http: GET /\n  failing:\n    source: failing.ts\n',
  'hello.ts': "export const handler = async (event) => ({ hello: event?.name ?? 'nobody' });\n",
  'failing.ts':
    "interface Event { n: number }\n\nexport const handler = async (event: Event) => {\n  throw new RangeError('on purpose');\n};\n",
};

let virga: Virga;
let folder: string;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(GOOD);
  assert.equal(deployed.code, 0, deployed.stderr);
  folder = await temporaryFolder('virga-cli-');
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const UNKNOWN_ID = `inv_${'0'.repeat(26)}`;
const BAD: { args: string[]; code: 1 | 2; says: RegExp }[] = [
  { args: ['nonsense'], code: 2, says: /unknown command 'nonsense'/ },
  { args: ['start', '--edge-port', 'many'], code: 2, says: /--edge-port is 'many'/ },
  { args: ['dev', 'nowhere'], code: 2, says: /there is no folder "nowhere"/ },
  { args: ['dev', '.'], code: 1, says: /there is no virga\.yaml/ },
  { args: ['deploy', 'nowhere'], code: 2, says: /there is no folder "nowhere"/ },
  { args: ['deploy', '.'], code: 1, says: /there is no virga\.yaml/ },
  { args: ['diff', '.'], code: 1, says: /there is no virga\.yaml/ },
  { args: ['rollback', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['rollback', '--project', 'good'], code: 1, says: /deployment/ },
  { args: ['rollback', '--project', 'good', '--to', '424242'], code: 1, says: /424242/ },
  { args: ['remove', 'nobody', '--yes'], code: 1, says: /nobody/ },
  { args: ['remove', 'good'], code: 2, says: /--yes/ },
  { args: ['projects', 'extra'], code: 2, says: /too many arguments/ },
  { args: ['functions', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['functions', '--project', 'No Body'], code: 2, says: /--project is "No Body"/ },
  { args: ['versions', 'nothing', '--project', 'good'], code: 1, says: /nothing/ },
  { args: ['deployments', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['invoke', 'nothing', '--project', 'good'], code: 1, says: /nothing/ },
  { args: ['invoke', 'hello', '--project', 'good', '--version', '99'], code: 1, says: /99/ },
  { args: ['invoke', 'hello', '--project', 'good', '--data', '{'], code: 2, says: /not JSON/ },
  { args: ['logs', 'nothing', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['logs', '--follow', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['logs', '--project', 'good', '--since', 'then'], code: 2, says: /--since is "then"/ },
  { args: ['invocations', 'nothing', '--project', 'nobody'], code: 1, says: /nobody/ },
  { args: ['invocation', UNKNOWN_ID, '--project', 'good'], code: 1, says: new RegExp(UNKNOWN_ID) },
  { args: ['status', '--nonsense'], code: 2, says: /unknown option '--nonsense'/ },
  { args: ['login', 'nonsense'], code: 2, says: /the URL is "nonsense"/ },
  { args: ['init', '/proc/nowhere'], code: 1, says: /\/proc\/nowhere/ },
  { args: ['reference', 'nonsense'], code: 2, says: /Allowed choices/ },
];

for (const { args, code, says } of BAD) {
  test(`virga ${args.join(' ').replace(UNKNOWN_ID, 'with an unknown id')} says what is wrong and exits ${code}`, async () => {
    const result = await virga.cli(args, { cwd: folder });
    assert.match(result.stderr, says);
    assert.doesNotMatch(result.stderr, /\n\s+at .*\.ts:\d/, 'a stack is for what nobody foresaw');
    assert.deepEqual([result.code, result.stdout], [code, '']);
  });
}

test('a manifest with mistakes, or code that does not build, changes nothing', async () => {
  const served = (await virga.cli(['functions', '--project', 'good', '--json'])).stdout;
  const project = join(folder, 'broken');
  await mkdir(project);
  await writeFiles(project, { ...GOOD, 'virga.yaml': `${GOOD['virga.yaml']}    memroy: 5\n  other: { source: none.ts }\n` });
  const manifest = await virga.cli(['deploy', project]);
  assert.match(manifest.stderr, /virga\.yaml:8:5: functions\.failing has no key 'memroy'; did you mean 'memory'\?/);
  assert.match(manifest.stderr, /virga\.yaml:9:20: functions\.other\.source is "none\.ts": there is no such file/);
  await writeFiles(project, {
    ...GOOD,
    'hello.ts': 'export const handler = (;\n',
    'failing.ts': "import 'not-installed';\nexport const handler = 1;\n",
  });
  const build = await virga.cli(['deploy', project]);
  assert.match(build.stderr, /function 'hello' cannot be built:\n\s+hello\.ts:1:/);
  assert.match(build.stderr, /function 'failing' cannot be built: failing\.ts:1:\d+: the package 'not-installed' is not installed/);
  assert.deepEqual([manifest.code, manifest.stdout, build.code, build.stdout], [1, '', 1, '']);
  assert.equal((await virga.cli(['functions', '--project', 'good', '--json'])).stdout, served);
});

test('a setting that no node could hold to is refused whole', async () => {
  const project = join(folder, 'greedy');
  await mkdir(project);
  await writeFiles(project, {
    ...GOOD,
    'virga.yaml': GOOD['virga.yaml'].replace('    http: GET /\n', '    memory: 64 GiB\n').replace('good', 'greedy'),
  });
  const result = await virga.cli(['deploy', project]);
  assert.deepEqual([result.code, result.stdout], [1, '']);
  assert.match(result.stderr, /hello.*(65536|64 GiB)/);
  assert.doesNotMatch((await virga.cli(['projects'])).stdout, /greedy/);
});

test('a function that throws makes invoke exit 1 and name the author’s line', async () => {
  const result = await virga.cli(['invoke', 'failing', '--project', 'good']);
  assert.deepEqual([result.code, result.stdout], [1, '']);
  assert.match(result.stderr, /RangeError: on purpose[\s\S]*\(function_error\)/);
  assert.match(result.stderr, /failing\.ts:4/);
});

test('diff says what would change, and exits 1 for it only when asked', async () => {
  const project = join(folder, 'changed');
  await mkdir(project);
  await writeFiles(project, { ...GOOD, 'virga.yaml': GOOD['virga.yaml'].replace('http: GET /', 'timeout: 5s') });
  const diff = await virga.cli(['diff', project, '--json']);
  assert.equal(diff.code, 0, diff.stderr);
  const { changed, dryRun, changes } = diff.json<{
    changed: boolean;
    dryRun: boolean;
    changes: { kind: string; name: string; change: string }[];
  }>();
  assert.deepEqual([changed, dryRun], [true, true]);
  assert.deepEqual(changes.find((change) => change.name === 'hello')?.change, 'update');
  assert.equal((await virga.cli(['diff', project, '--exit-code'])).code, 1);
  assert.deepEqual(await (await virga.fetch('good', '/')).json(), { hello: 'nobody' });
});

test('a wrong token, and a data folder that may not be read, each say so', async () => {
  const wrong = await runCli(['projects'], { env: { VIRGA_URL: virga.controlUrl, VIRGA_TOKEN: 'vrg_wrong' } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /token/);
  const stale = join(folder, 'stale');
  await mkdir(stale);
  await writeFile(join(stale, 'endpoint.json'), '{}');
  const result = await runCli(['projects'], { env: { VIRGA_DATA: stale } });
  assert.match(result.stderr, /endpoint\.json does not name a control API/);
  await chmod(stale, 0o700);
});

test('a project made by init deploys, answers and is removed', async () => {
  const project = join(folder, 'Fresh Project');
  const init = await virga.cli(['init', project]);
  assert.deepEqual([init.code, init.stdout.trim().split('\n').length], [0, 2]);
  assert.equal((await virga.cli(['init', project])).code, 1, 'it never overwrites');
  const deployed = await virga.cli(['deploy', project]);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.deepEqual(await (await virga.fetch('fresh-project', '/?name=Ada')).json(), { message: 'Hello, Ada!' });
  assert.equal((await virga.cli(['remove', 'fresh-project', '--yes'])).code, 0);
  assert.equal((await virga.fetch('fresh-project', '/')).status, 404);
});
