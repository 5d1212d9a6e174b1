// Projects as people have them, imported: the manifest and every line of the report are those beside them in golden/. After a change
// that is meant, `VIRGA_GOLDEN=write bin/node --test src/cli/import/golden.test.ts` writes them anew, for the diff to be read.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { parseManifest } from '../manifest/manifest.ts';
import { Terminal } from '../terminal.ts';
import { importProject } from './import.ts';
import { reportText } from './report-text.ts';

const GOLDEN = join(import.meta.dirname, 'golden');

interface Case {
  folder: string;
  name?: string;
  file: string;
  stage?: string;
  parameters?: Record<string, string>;
  scaffold?: boolean;
  /** Files of the project that are only looked for; or with what is in them. */
  files: (string | [name: string, text: string])[];
}

const CASES: Case[] = [
  {
    folder: 'serverless-shop',
    file: 'serverless.yml',
    files: ['src/orders.ts', 'src/orders.test.ts', 'src/images.js', 'reports/main.py', 'templates/mail.html', 'layers/shared/nodejs/x.js'],
  },
  {
    folder: 'serverless-shop',
    name: 'prod',
    file: 'serverless.yml',
    stage: 'prod',
    parameters: { webhookSecret: 'whatever-it-is' },
    files: ['src/orders.ts', 'src/images.js', 'reports/main.py', 'templates/mail.html', 'layers/shared/nodejs/x.js'],
  },
  { folder: 'serverless-jobs', file: 'serverless.yml', stage: 'prod', files: ['handlers/http.py', 'handlers/nightly.py', 'data/a.csv'] },
  {
    folder: 'sam-orders',
    file: 'template.yaml',
    files: [
      'orders/app.ts',
      'report/main.py',
      'tool/main.go',
      '.aws-sam/build/ToolFunction/bootstrap',
      'dist/packaged.zip',
      'layers/deps/nodejs/x.js',
    ],
  },
  {
    folder: 'sam-orders',
    name: 'prod',
    file: 'template.yaml',
    parameters: { Stage: 'prod', VpcId: 'vpc-1' },
    files: ['orders/app.ts', 'report/main.py', 'dist/packaged.zip', 'layers/deps/nodejs/x.js'],
  },
  { folder: 'sam-events', file: 'template.yaml', files: ['src/ship.js'] },
  {
    folder: 'cloudformation-api',
    file: 'template.json',
    files: ['build/hello/index.js', 'build/second/main.py', 'build/third/index.mjs'],
  },
  { folder: 'wrangler-api', file: 'wrangler.toml', files: ['src/index.ts'] },
  { folder: 'wrangler-api', name: 'production', file: 'wrangler.toml', stage: 'production', files: ['src/index.ts'] },
  { folder: 'wrangler-jsonc', file: 'wrangler.jsonc', files: ['src/worker.js'] },
  {
    folder: 'azure-v4',
    file: 'host.json',
    files: [
      [
        'src/index.ts',
        "import { app } from '@azure/functions';\n\napp.http('todo', { methods: ['GET'], authLevel: 'function', handler: async () => ({}) });\napp.timer('cleanup', {\n  schedule: '0 0 3 * * *',\n  handler: () => {},\n});\n",
      ],
    ],
  },
  { folder: 'azure-v3', file: 'host.json', files: ['dist/GetTodo/index.js'] },
  { folder: 'cloud-run', file: 'service.yaml', files: ['server.js'] },
  { folder: 'openapi-pets', file: 'openapi.yaml', files: ['functions/pets.ts'] },
  { folder: 'openapi-pets', name: 'scaffold', file: 'openapi.yaml', scaffold: true, files: [] },
];

for (const { folder, name, file, stage, parameters = {}, scaffold = false, files } of CASES) {
  test(`${folder}/${file}${name === undefined ? '' : `, ${name}`} becomes the manifest and the report beside it`, async () => {
    const temporary = mkdtempSync(join(tmpdir(), 'virga-golden-'));
    try {
      // The name of the folder is the name of some projects.
      const project = join(temporary, folder);
      cpSync(join(GOLDEN, folder), project, { recursive: true, filter: (path) => !/expected[^/]*$/.test(path) });
      if (existsSync(join(project, 'dot-dev-vars'))) renameSync(join(project, 'dot-dev-vars'), join(project, '.dev.vars'));
      for (const one of files) {
        const [path, text] = typeof one === 'string' ? [one, ''] : one;
        mkdirSync(dirname(join(project, path)), { recursive: true });
        writeFileSync(join(project, path), text);
      }
      const imported = await importProject(join(project, file), {
        stage,
        parameters: new Map(Object.entries(parameters)),
        output: undefined,
        scaffold,
      });
      for (const { path, text } of imported.scaffold) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
      }
      const streams = { out: new PassThrough(), err: new PassThrough() };
      const report = `${reportText(imported.items, new Terminal(streams))}\n`;
      const end = name === undefined ? '' : `-${name}`;
      holds(join(GOLDEN, folder, `expected${end}.virga.yaml`), imported.text);
      holds(join(GOLDEN, folder, `expected${end}.report.txt`), report);
      const manifest = parseManifest(imported.text, join(project, 'virga.yaml'));
      assert.deepEqual(
        manifest.functions.map((fn) => fn.name),
        imported.functions,
      );
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  });
}

function holds(file: string, text: string): void {
  if (process.env['VIRGA_GOLDEN'] === 'write') writeFileSync(file, text);
  assert.equal(text, readFileSync(file, 'utf8'));
}
