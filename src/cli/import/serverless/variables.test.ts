import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ImportFiles } from '../files.ts';
import { Report } from '../report.ts';
import { entryOf, scalar } from '../tree.ts';
import type { Mapping, Tree } from '../tree.ts';
import { Variables } from './variables.ts';
import { partsOf } from './variable-syntax.ts';

let outside: string;
let folder: string;

before(() => {
  outside = mkdtempSync(join(tmpdir(), 'virga-variables-'));
  folder = join(outside, 'service');
  mkdirSync(join(folder, 'config'), { recursive: true });
  writeFileSync(join(outside, 'elsewhere.yml'), 'a: outside\n');
  symlinkSync('../elsewhere.yml', join(folder, 'link.yml'));
  writeFileSync(join(folder, 'config/dev.yml'), 'table: orders-${sls:stage}\nlist: [a, b]\nnested: ${file(config/more.json):deep}\n');
  writeFileSync(join(folder, 'config/more.json'), '{"deep": {"value": "${self:service}"}}');
  writeFileSync(join(folder, 'version.txt'), '1.2.3\n');
  writeFileSync(join(folder, 'code.js'), 'throw new Error("run")');
  writeFileSync(
    join(folder, 'serverless.yml'),
    `
service: shop
custom:
  a: 1
  again: \${self:custom.a}
  list: [x, y]
  map: {inner: value}
  stages: {dev: {name: development}, prod: {name: production}}
  loop: \${self:custom.pool}
  pool: \${self:custom.loop}
  dbPassword: hunter2
  wide: \${self:custom.wider}\${self:custom.wider}
  wider: "${'x'.repeat(200_000)}"
provider: {name: aws, stage: "\${opt:stage, 'dev'}", region: eu-west-1}
params:
  default: {color: red, size: 1}
  prod: {color: blue}
`,
  );
});
after(() => rmSync(outside, { recursive: true, force: true }));

function resolved(text: string, options: { stage?: string; given?: Record<string, string> } = {}): string {
  const files = new ImportFiles(folder);
  const root = files.tree('serverless.yml') as Mapping;
  const variables = new Variables({
    root,
    files,
    report: new Report(),
    stage: options.stage,
    given: new Map(Object.entries(options.given ?? {})),
  });
  const shown = (tree: Tree): string => {
    const one = variables.resolve(tree);
    if (one.kind === 'list') return `[${one.items.map(shown).join(', ')}]`;
    if (one.kind === 'mapping') return `{${[...one.entries].map(([key, entry]) => `${key}: ${shown(entry.value)}`).join(', ')}}`;
    if (one.kind === 'unresolved') return `${one.secret ? 'secret' : 'unresolved'}: ${one.reason}`;
    return one.kind === 'scalar' ? (one.value === null ? 'nothing' : one.text) : 'call';
  };
  return shown(scalar(text, { file: 'serverless.yml', line: 7 }));
}

for (const [text, expected, options] of [
  ['plain', 'plain'],
  ['${self:service}', 'shop'],
  ['${self:custom.again}', '1'],
  ['a-${self:custom.a}-${self:service}', 'a-1-shop'],
  ['${self:custom.list}', '[x, y]'],
  ['${self:custom.list.1}', 'y'],
  ['${self:custom.map}', '{inner: value}'],
  ['x${self:custom.map}', 'unresolved: the variable ${self:custom.map} is no text'],
  ['${self:custom.stages.${sls:stage}.name}', 'development'],
  ['${self:custom.stages.${sls:stage}.name}', 'production', { stage: 'prod' }],
  ['${self:custom.stages.${opt:stage, self:provider.stage, "x"}.name}', 'production', { stage: 'prod' }],
  ['${self:provider.stage}', 'dev'],
  ['${opt:stage, "test"}', 'test'],
  ["${opt:missing, opt:other, 'last'}", 'last'],
  ['${opt:missing, 12}', '12'],
  ['${opt:missing, true}', 'true'],
  ['${opt:missing, null}', 'nothing'],
  ["${opt:missing, ''}", ''],
  ['${opt:missing, ${self:service}}', 'shop'],
  ['${opt:missing, "${self:service}-x"}', 'shop-x'],
  ['${opt:missing}', 'unresolved: the variable ${opt:missing}: give it with --param missing=…'],
  ['${opt:missing}', 'given', { given: { missing: 'given' } }],
  ['${self:custom.absent}', 'unresolved: the variable ${self:custom.absent}: it has no value here'],
  ['${env:HOME}', 'unresolved: the variable ${env:HOME}: the environment is not read'],
  ["${env:LEVEL, 'info'}", 'info'],
  ['${env:LEVEL}', 'debug', { given: { LEVEL: 'debug' } }],
  ['${sls:instanceId}', 'unresolved: ${sls:instanceId} differs with each deployment'],
  ['${aws:region}', 'eu-west-1'],
  ['${aws:accountId}', '000000000000'],
  ['${param:color}', 'red'],
  ['${param:color}', 'blue', { stage: 'prod' }],
  ['${param:size}', '1', { stage: 'prod' }],
  ['${param:color}', 'green', { given: { color: 'green' } }],
  ['${param:none}', 'unresolved: the variable ${param:none}: give it with --param none=…'],
  ['${file(config/dev.yml):table}', 'orders-dev'],
  ['${file(./config/${sls:stage}.yml):list.0}', 'a'],
  ['${file(config/dev.yml):nested.value}', 'shop'],
  ['${file(config/dev.yml)}', '{table: orders-dev, list: [a, b], nested: {value: shop}}'],
  ['${file(version.txt)}', '1.2.3'],
  ["${file(none.yml):a, 'b'}", 'b'],
  ['${file(../elsewhere.yml):a}', 'unresolved: the variable ${file(../elsewhere.yml):a}: it has no value here'],
  ['${file(link.yml):a}', 'unresolved: the variable ${file(link.yml):a}: it has no value here'],
  ['${file(/etc/hostname)}', 'unresolved: the variable ${file(/etc/hostname)}: it has no value here'],
  ['${file(code.js):x}', 'unresolved: the file code.js is code, which an import does not run'],
  ['${strToBool(1)}', 'true'],
  ['${strToBool(no)}', 'false'],
  ['${ssm:/shop/key}', 'secret: ${ssm:…} is kept in a store of secrets'],
  ["${ssm:/shop/key, 'default'}", 'secret: ${ssm:…} is kept in a store of secrets'],
  ['x-${vault:a}', 'secret: ${vault:…} is kept in a store of secrets'],
  ['${cf:other.Output}', 'unresolved: ${cf:…} is an output of another stack, which an import does not ask'],
  ['${s3:bucket/key}', 'unresolved: ${s3:…} is an object in a bucket, which an import does not ask'],
  ['${git:branch}', 'unresolved: ${git:…} is of the repository, which an import does not ask'],
  ['${custom-plugin:x}', 'unresolved: ${custom-plugin:…} is of a plugin, which an import does not ask'],
  ['${self:custom.dbPassword}', 'secret: ${…dbPassword} is a secret'],
  ['postgres://${self:custom.dbPassword}@host', 'secret: ${…dbPassword} is a secret'],
  ['${param:token}', 'secret: ${…token} is a secret', { given: { token: 'x' } }],
  ['${self:custom.loop}', 'unresolved: its variables refer to each other without end'],
  ['${self:custom.wide}', 'unresolved: it becomes longer than 262144 characters'],
  // CloudFormation's own, left for it
  ['${AWS::Region}-${Table.Arn}-${Table}', '${AWS::Region}-${Table.Arn}-${Table}'],
  ['${self:service}-${AWS::Region}', 'shop-${AWS::Region}'],
  ['${unclosed', '${unclosed'],
] as [string, string, { stage?: string; given?: Record<string, string> }?][]) {
  test(`${text}${options === undefined ? '' : ` with ${JSON.stringify(options)}`} is ${expected}`, () => {
    assert.equal(resolved(text, options), expected);
  });
}

test('a default for the environment is told, and where', () => {
  const files = new ImportFiles(folder);
  const report = new Report();
  const variables = new Variables({ root: files.tree('serverless.yml') as Mapping, files, report, stage: undefined, given: new Map() });
  variables.resolve(scalar("${env:LEVEL, 'info'}", { file: 'serverless.yml', line: 7 }));
  assert.deepEqual(
    report.items().map(({ fate, line, what }) => [fate, line, what]),
    [['changed', 7, 'variable ${env:LEVEL}']],
  );
});

test('a text is cut where its variables are, whatever is in their quotes and brackets', () => {
  assert.deepEqual(partsOf("a${opt:x, 'b,c'}d"), [{ text: 'a' }, { sources: ['opt:x', "'b,c'"] }, { text: 'd' }]);
  assert.deepEqual(partsOf('${file(a,b.yml):c}'), [{ sources: ['file(a,b.yml):c'] }]);
  assert.deepEqual(partsOf('${self:a.${opt:b}}'), [{ sources: ['self:a.${opt:b}'] }]);
  assert.equal(entryOf(scalar(1, { file: '', line: 1 }), 'x'), undefined);
});
