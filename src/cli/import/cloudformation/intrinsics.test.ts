import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entryOf } from '../tree.ts';
import type { Mapping, Tree } from '../tree.ts';
import { yamlTree } from '../yaml-tree.ts';
import { Intrinsics } from './intrinsics.ts';

const TEMPLATE = `
Parameters:
  Stage: {Type: String, Default: dev}
  Bare: {Type: String}
  Zones: {Type: CommaDelimitedList, Default: 'a, b,c'}
  Looked: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /x}
  Hidden: {Type: String, NoEcho: true, Default: hunter2}
  ApiKey: {Type: String, Default: hunter3}
  Number: {Type: Number, Default: 010}
Mappings:
  Sizes: {dev: {memory: 128, name: 'small'}, eu-west-1: {memory: 1}}
Conditions:
  Dev: !Equals [!Ref Stage, dev]
  Prod: {'Fn::Equals': [{Ref: Stage}, prod]}
  Neither: !And [!Not [!Condition Dev], !Not [{Condition: Prod}]]
  Unknown: !Equals [!Ref Bare, x]
  DevOrUnknown: !Or [!Condition Unknown, !Condition Dev]
  ProdAndUnknown: !And [!Condition Unknown, !Condition Prod]
  Loop: !Not [!Condition Loop]
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
`;

const root = yamlTree(TEMPLATE, 'template.yaml');
const mapping = (key: string): Mapping => entryOf(root, key) as Mapping;

function evaluated(value: string, given: Record<string, string> = {}): string {
  const intrinsics = new Intrinsics({
    parameters: mapping('Parameters'),
    mappings: mapping('Mappings'),
    conditions: mapping('Conditions'),
    resources: mapping('Resources'),
    given: new Map(Object.entries(given)),
    pseudo: { 'AWS::Region': 'us-east-1', 'AWS::AccountId': '000000000000', 'AWS::StackName': 'shop' },
  });
  const shown = (tree: Tree): string => {
    const one = intrinsics.resolve(tree);
    if (one.kind === 'list') return `[${one.items.map(shown).join(', ')}]`;
    if (one.kind === 'mapping') return `{${[...one.entries].map(([key, entry]) => `${key}: ${shown(entry.value)}`).join(', ')}}`;
    if (one.kind === 'unresolved') return `${one.secret ? 'secret' : 'unresolved'} (line ${one.at.line}): ${one.reason}`;
    return one.kind === 'scalar' ? (one.value === null ? 'nothing' : one.text) : 'call';
  };
  return shown(entryOf(yamlTree(`Value: ${value}`, 'template.yaml'), 'Value')!);
}

for (const [value, expected, given] of [
  // Ref
  ['!Ref Stage', 'dev'],
  ['!Ref Stage', 'prod', { Stage: 'prod' }],
  ['{Ref: Stage}', 'dev'],
  ['!Ref Number', '010'],
  ['!Ref Zones', '[a, b, c]'],
  ['!Ref AWS::Region', 'us-east-1'],
  ['!Ref AWS::AccountId', '000000000000'],
  ['!Ref AWS::NoValue', 'nothing'],
  ['!Ref AWS::StackId', 'unresolved (line 1): !Ref AWS::StackId is known to AWS alone'],
  ['!Ref Bare', 'unresolved (line 1): the parameter Bare has no default; give it with --param Bare=…'],
  ['!Ref Bare', 'x', { Bare: 'x' }],
  ['!Ref Looked', "unresolved (line 1): the parameter Looked is read from AWS's Parameter Store; give it with --param Looked=…"],
  ['!Ref Hidden', 'secret (line 1): the parameter Hidden is a secret'],
  ['!Ref Hidden', 'secret (line 1): the parameter Hidden is a secret', { Hidden: 'given' }],
  ['!Ref ApiKey', 'secret (line 1): the parameter ApiKey is a secret'],
  ['!Ref Table', 'unresolved (line 1): !Ref Table is a resource of AWS (AWS::DynamoDB::Table)'],
  ['!Ref Nothing', 'unresolved (line 1): !Ref Nothing is nothing that this file declares'],
  // GetAtt
  ['!GetAtt Table.Arn', 'unresolved (line 1): !GetAtt Table.Arn is a resource of AWS (AWS::DynamoDB::Table)'],
  ['{"Fn::GetAtt": [Table, StreamArn]}', 'unresolved (line 1): !GetAtt Table.StreamArn is a resource of AWS (AWS::DynamoDB::Table)'],
  // Sub
  ['!Sub "${AWS::StackName}-${Stage}"', 'shop-dev'],
  ['!Sub "${!Stage} ${ Stage }"', '${Stage} dev'],
  ['!Sub ["${a}-${Stage}", {a: !Ref Zones}]', 'unresolved (line 1): !Sub has ${a} in it, which is no text'],
  ['!Sub ["${a}-${Stage}", {a: !Select [1, !Ref Zones]}]', 'b-dev'],
  ['!Sub "arn:${Table.Arn}"', 'unresolved (line 1): ${Table.Arn} is a resource of AWS (AWS::DynamoDB::Table)'],
  ['!Sub "https://${Hidden}@host"', 'secret (line 1): the parameter Hidden is a secret'],
  // Join, Split, Select, Length, Base64
  ['!Join ["-", [a, !Ref Stage, !Ref "AWS::NoValue", 1.10]]', 'a-dev-1.10'],
  ['!Join ["", !Ref Zones]', 'abc'],
  ['!Join ["/", [a, !GetAtt Table.Arn]]', 'unresolved (line 1): !GetAtt Table.Arn is a resource of AWS (AWS::DynamoDB::Table)'],
  ['!Join [":", !Split [",", "a,b"]]', 'a:b'],
  ['!Select [2, !Ref Zones]', 'c'],
  ['!Select ["0", [x]]', 'x'],
  ['!Select [5, [x]]', 'unresolved (line 1): !Select asks for item 5 of 1'],
  ['{"Fn::Length": [1, 2, 3]}', '3'],
  ['!Base64 abc', 'YWJj'],
  // If, conditions
  ['!If [Dev, yes, no]', 'yes'],
  ['!If [Prod, yes, !Ref "AWS::NoValue"]', 'nothing'],
  ['!If [Prod, yes, no]', 'yes', { Stage: 'prod' }],
  ['!If [Neither, yes, no]', 'yes', { Stage: 'test' }],
  ['!If [DevOrUnknown, yes, no]', 'yes'],
  ['!If [ProdAndUnknown, yes, no]', 'no'],
  ['!If [Unknown, yes, no]', 'unresolved (line 1): the condition Unknown cannot be known from the file'],
  ['!If [Loop, yes, no]', 'unresolved (line 1): the condition Loop cannot be known from the file'],
  ['!If [Absent, yes, no]', 'unresolved (line 1): the condition Absent cannot be known from the file'],
  ['!If [Dev, {a: !Ref Stage}, no]', '{a: dev}'],
  ['!Equals [!Ref Stage, dev]', 'true'],
  // FindInMap
  ['!FindInMap [Sizes, !Ref Stage, memory]', '128'],
  ['!FindInMap [Sizes, prod, memory]', 'unresolved (line 1): the mapping Sizes has no prod.memory'],
  ['{"Fn::FindInMap": [Sizes, prod, memory, {DefaultValue: 64}]}', '64'],
  // What only AWS knows
  ['!ImportValue shared', 'unresolved (line 1): !ImportValue is an output of another stack'],
  ['!GetAZs ""', 'unresolved (line 1): !GetAZs cannot be known from the file alone'],
  ['!Transform {Name: x}', 'unresolved (line 1): !Transform cannot be known from the file alone'],
  ['"{{resolve:secretsmanager:x}}"', 'secret (line 1): it is kept in a store of secrets'],
  ['!Sub "{{resolve:ssm-secure:${Stage}}}"', 'secret (line 1): it is kept in a store of secrets'],
] as [string, string, Record<string, string>?][]) {
  test(`${value}${given === undefined ? '' : ` with ${JSON.stringify(given)}`} is ${expected}`, () => {
    assert.equal(evaluated(value, given), expected);
  });
}

test('calls within calls, without end or without bound, stop', () => {
  const deep = `${'{"Fn::Base64": '.repeat(70)}x${'}'.repeat(70)}`;
  assert.match(evaluated(deep), /unresolved .*: !Base64 is nested without end/);
  const wide = `!Join ["", [${Array.from({ length: 2_000 }, () => `"${'x'.repeat(200)}"`).join(', ')}]]`;
  assert.match(evaluated(wide), /gives more than 262144 characters/);
});
