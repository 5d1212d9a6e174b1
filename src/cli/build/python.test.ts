import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseManifest } from '../manifest/manifest.ts';
import { buildFunctions } from './build.ts';
import { TestingProject } from './testing-project.ts';

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

test('a Python function carries its folder, without what belongs to this machine or to other functions', async () => {
  using project = new TestingProject({
    'functions/main.py': 'import part\n\ndef handler(event, context):\n    return part.value\n',
    'functions/part.py': 'value = 1\n',
    'functions/templates/page.html': '<p>',
    'functions/__pycache__/part.pyc': 'x',
    'functions/.venv/bin/python': 'x',
    'functions/.env': 'SECRET=1',
    'functions/node_modules/x/index.js': 'x',
    'functions/hello.ts': 'export const handler = () => 1;\n',
    'functions/other.py': 'def handler(event, context): pass\n',
    'shared/table.csv': 'a,b\n',
  });
  const text =
    'project: p\nfunctions:\n  f: {source: functions/main.py, handler: handler, include: [shared/*.csv]}\n  g: {source: functions/other.py}\n';
  const [built] = await buildFunctions(parseManifest(text, join(project.folder, 'virga.yaml')), {
    workFolder: project.folder,
    cacheFolder: project.folder,
    only: new Set(['f']),
  });
  assert.equal(built!.handler, 'main.py#handler');
  assert.deepEqual(filesIn(project.unpack(built!)), ['main.py', 'part.py', 'shared/table.csv', 'templates/page.html']);
});

test('the handler of AWS Lambda names its file from the top of the artifact, and a layer lies under opt', async () => {
  using project = new TestingProject({
    'service/src/orders.py': 'from src.prices import price\n\ndef create(event, context):\n    return price\n',
    'service/src/prices.py': 'price = 1\n',
    'layers/shared/python/shared.py': 'value = 1\n',
    'layers/shared/.env': 'SECRET=1',
  });
  const slashed = await project.build('service/src/orders.py', 'form: lambda, handler: src/orders.create, layers: [layers/shared/]');
  assert.equal(slashed.handler, 'src/orders.py#create');
  assert.deepEqual(filesIn(project.unpack(slashed)), ['opt/python/shared.py', 'src/orders.py', 'src/prices.py']);
  assert.ok(slashed.sources.includes(join(project.folder, 'layers/shared')));
  assert.equal((await project.build('service/src/orders.py', 'form: lambda, handler: src.orders.create')).handler, 'src/orders.py#create');
  assert.equal((await project.build('service/src/orders.py', 'form: lambda, handler: orders.create')).handler, 'orders.py#create');
});

test('a syntax error is told at the build, with its line', async () => {
  using project = new TestingProject({ 'main.py': 'def handler(event, context)\n    return 1\n' });
  await assert.rejects(project.build('main.py'), { code: 'build_failed', message: /main\.py:1: SyntaxError: expected ':'\n/ });
});

test('a link that leaves the folder is refused', async () => {
  using project = new TestingProject({ 'functions/main.py': 'def handler(event, context): pass\n' });
  symlinkSync('/etc/hostname', join(project.folder, 'functions/host'));
  await assert.rejects(project.build('functions/main.py'), {
    code: 'build_failed',
    message: /functions\/host is a link to \/etc\/hostname, outside of its folder/,
  });
});

test('the packages of requirements.txt are installed beside the code', async () => {
  using project = new TestingProject({
    'main.py': 'import greeter\n\ndef handler(event, context):\n    return greeter.text\n',
    'requirements.txt': '# from a folder of the project\n--no-index\n--find-links ./wheels\ngreeter==1.0\n',
  });
  makeWheel(project, "text = 'hi'\n");
  const built = await project.build('main.py');
  const unpacked = project.unpack(built);
  const files = filesIn(unpacked);
  assert.ok(files.includes('.packages/greeter.py') && files.includes('.packages/greeter-1.0.dist-info/METADATA'), files.join());
  assert.ok(!files.some((file) => file.includes('wheels/..') || file.startsWith('.packages/bin/')));
  const script = "import sys; sys.path[:0] = ['.', '.packages']; import main; print(main.handler(None, None))";
  assert.equal(execFileSync('python3', ['-B', '-c', script], { cwd: unpacked, encoding: 'utf8' }).trim(), 'hi');
  // The cache answers the second time, and with the same bytes.
  project.write({ 'wheels/greeter-1.0-py3-none-any.whl': 'broken' });
  const again = await project.build('main.py');
  assert.ok(filesIn(project.unpack(again)).includes('.packages/greeter.py'));
});

test('what pip cannot install is told in its words', async () => {
  using project = new TestingProject({
    'main.py': 'def handler(event, context): pass\n',
    'requirements.txt': '--no-index\nno-such-package==1.0\n',
  });
  await assert.rejects(project.build('main.py'), {
    code: 'build_failed',
    message: /requirements\.txt: pip could not install the packages:\n.*no-such-package==1\.0/s,
  });
});

/** A wheel is a zip; Python is here anyway. */
function makeWheel(project: TestingProject, code: string): void {
  project.write({ 'wheels/.keep': '' });
  const script = `import sys, zipfile
with zipfile.ZipFile('wheels/greeter-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('greeter.py', sys.argv[1])
    wheel.writestr('greeter-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: greeter\\nVersion: 1.0\\n')
    wheel.writestr('greeter-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('greeter-1.0.dist-info/RECORD', 'greeter.py,,\\ngreeter-1.0.dist-info/METADATA,,\\ngreeter-1.0.dist-info/WHEEL,,\\ngreeter-1.0.dist-info/RECORD,,\\n')
`;
  execFileSync('python3', ['-c', script, code], { cwd: project.folder });
}
