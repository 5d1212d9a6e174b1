import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { Terminal } from '../terminal.ts';
import { importProject } from './import.ts';
import { reportText } from './report-text.ts';
import { isSecretName, isSecretValue } from './secrets.ts';

test('names of secrets are known, however they are written', () => {
  for (const name of [
    'STRIPE_KEY',
    'stripeKey',
    'stripe-api-key',
    'API_KEY_STRIPE',
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'GITHUB_TOKEN',
    'githubToken',
    'DB_PASSWORD',
    'dbpassword',
    'PGPASSWORD',
    'DB_PASS',
    'CLIENT_SECRET',
    'SECRETS',
    'JWT_SIGNING_SECRET_OLD',
    'CREDENTIALS_JSON',
    'AzureWebJobsConnectionString',
    'SENTRY_DSN',
    'BASIC_AUTH',
    'TLS_PRIVATE_KEY_PEM',
    'SLACK_WEBHOOK',
  ])
    assert.equal(isSecretName(name), true, name);
  for (const name of [
    'STAGE',
    'TABLE_NAME',
    'KEYBOARD',
    'TOKEN_TTL',
    'SECRET_ARN',
    'PASSENGERS',
    'AUTHOR',
    'MONKEY_COUNT',
    'DB_HOST',
    'PORT',
  ])
    assert.equal(isSecretName(name), false, name);
});

test('values of secrets are known by their form, and by nobody having thought of them', () => {
  for (const value of [
    'sk_live_abcdefgh12345678',
    'ghp_abcdefghijklmnopqrst0123',
    'xoxb-123456789012-abcdef',
    'AKIAIOSFODNN7EXAMPLE',
    'AIzaSyA-abcdefghijklmnopqrstu',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc',
    'https://hooks.slack.com/services/T0/B0/x',
    'postgres://user:pw@db/x',
    'AccountName=a;AccountKey=b;',
    'https://x.example/a?sig=abc',
    '-----BEGIN RSA PRIVATE KEY-----\nMIIE',
    '{{resolve:ssm-secure:/x}}',
    '0f2ac74b498b48028cb68387c421e279',
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    '9f86d081-884c-4d65-9a2f-eaa0c55ad015',
    'prefix Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA== suffix',
  ])
    assert.equal(isSecretValue(value), true, value);
  for (const value of [
    'dev',
    'eu-central-1',
    'https://api.shop.example/v1/orders?page=1',
    'my-orders-table-production-2024',
    'Good day, virga-imported-u6vkh-c',
    'orders-dev-bucket-1x2y3z4w',
    'arn:aws:sqs:eu-central-1:000000000000:incoming-orders',
    'OrdersTableStreamHandlerFunction',
    'a text that is quite long, with several words in it',
    'postgres://db.internal:5432/orders',
    'no-reply@shop.example',
    '/var/task/templates/mail.html',
    'createOrder,listOrders,deleteOrder',
    '2026-01-31T12:00:00Z',
  ])
    assert.equal(isSecretValue(value), false, value);
});

/** Random as keys are: hashes, in the digits that keys are written with. */
const key = fc
  .record({ seed: fc.nat(), digits: fc.constantFrom('base64url', 'hex', 'base64'), length: fc.integer({ min: 24, max: 44 }) })
  .map(({ seed, digits, length }) => createHash('sha256').update(String(seed)).digest(digits).slice(0, length))
  // Of 100,000 without a digit or two some would pass for words.
  .filter((text) => (text.match(/\d/g)?.length ?? 0) >= 3);
const secretName = fc.constantFrom(
  'STRIPE_KEY',
  'githubToken',
  'DB_PASSWORD',
  'clientSecret',
  'API_KEY',
  'SESSION_SECRET',
  'awsSecretAccessKey',
);
/** As parameters of templates are called. */
const pascal = (name: string): string =>
  (/[a-z]/.test(name) ? name : name.toLowerCase()).replaceAll(/(?:^|_)([a-zA-Z])/g, (_, letter: string) => letter.toUpperCase());
/** Words that nobody would take for secret by themselves. */
const word = fc.stringMatching(/^[a-z]{8,12}zq[a-z]{4}$/);

const AWS_SOURCES: ((secret: { name: string; named: string; random: string }) => Record<string, string>)[] = [
  ({ name, named, random }) => ({
    'serverless.yml': `service: s
custom:
  ${name}: ${named}
  nested: {${name}: ${named}, other: '${random}'}
  connection: "postgres://u:\${self:custom.${name}}@host"
provider:
  name: aws
  runtime: nodejs24.x
  environment:
    ${name}: ${named}
    PLAIN: ${random}
    VIA: \${self:custom.${name}}
    WITHIN: "a-\${self:custom.nested.${name}}-b"
    CONNECTION: \${self:custom.connection}
    FILE: \${file(secrets.yml):${name}}
    OTHER: \${self:custom.nested.other}
    DEFAULT: \${env:X, '${random}'}
    LIST: [${named}, '${random}']
  apiGateway: {apiKeys: [{name: k, value: ${named}}]}
  tags: {note: '${random}'}
  ${name}: ${named}
functions:
  f:
    handler: f.handler
    description: 'the key is ${random}'
    environment: {${name}: '${named}', X: '${random}'}
    events:
      - http: {path: a, method: get, authorizer: {name: a, token: '${random}'}}
      - schedule: {rate: 'rate(1 day)', input: {${name}: ${named}}}
      - unknown: ${random}
    unknownKey: ${random}
resources: {Resources: {S: {Type: 'AWS::SecretsManager::Secret', Properties: {SecretString: ${named}}}}}
`,
    'secrets.yml': `${name}: ${named}\n`,
    'f.js': '',
  }),
  ({ name, named, random }) => ({
    'template.yaml': `Parameters:
  P: {Type: String, NoEcho: true, Default: ${named}}
  ${pascal(name)}: {Type: String, Default: ${named}}
Mappings: {M: {a: {${name}: ${named}}}}
Globals: {Function: {Runtime: nodejs24.x, Environment: {Variables: {${name}: ${named}, PLAIN: ${random}}}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Metadata: {Note: ${random}}
    Properties:
      Handler: f.handler
      CodeUri: .
      Description: 'it is ${random}'
      Tags: {x: ${random}}
      Unknown: ${random}
      Environment:
        Variables:
          A: !Ref P
          B: !Sub 'x\${P}y'
          C: !Join ['-', [a, !Ref ${pascal(name)}]]
          D: !FindInMap [M, a, ${name}]
          E: !Base64 ${random}
          G: !Sub ['\${a}', {a: ${random}}]
      Events: {S: {Type: Schedule, Properties: {Schedule: rate(1 day), Input: ${random}}}, U: {Type: Other, Properties: {a: ${named}}}}
  Secret: {Type: 'AWS::SecretsManager::Secret', Properties: {SecretString: ${named}}}
Outputs: {O: {Value: ${named}}}
`,
    'f.js': '',
  }),
  ({ name, named, random }) => ({
    'wrangler.toml': `name = "w"
main = "w.js"
unknown = "${random}"
[vars]
${name} = "${named}"
PLAIN = "${random}"
NESTED = { ${name} = "${named}" }
[[kv_namespaces]]
binding = "KV"
id = "${random}"
[env.other.vars]
${name} = "${named}"
`,
    '.dev.vars': `${name}=${named}\nPLAIN2="${random}"\nTHIRD=${named}\n`,
    'w.js': '',
  }),
  ({ name, named, random }) => ({
    'host.json': `{"version": "2.0", "unknown": "${random}", "extensions": {"http": {"hsts": "${named}"}}}`,
    'local.settings.json': `{"Values": {"${name}": "${named}", "AzureWebJobsStorage": "${random}", "PLAIN": "${named}"}, "ConnectionStrings": {"a": "${random}"}}`,
    'package.json': '{"main": "a.js"}',
    'a.js': `app.http('x', { handler: () => '${random}' });`,
  }),
  ({ name, named, random }) => ({
    'service.yaml': `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: s, annotations: {note: ${random}}}
spec:
  template:
    spec:
      containers:
        - image: i
          command: [node, s.js]
          env:
            - {name: ${name}, value: ${named}}
            - {name: PLAIN, value: ${random}}
            - {name: REF, valueFrom: {secretKeyRef: {name: x, key: ${random}}}}
`,
    's.js': '',
  }),
];

test('no secret reaches the manifest or the report, wherever it stands in the file', async () => {
  const property = fc.asyncProperty(fc.constantFrom(...AWS_SOURCES), secretName, word, key, async (source, name, named, random) => {
    const files = source({ name, named, random });
    const folder = mkdtempSync(join(tmpdir(), 'virga-secrets-'));
    try {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
      const imported = await importProject(folder, { stage: undefined, parameters: new Map(), output: undefined });
      const terminal = new Terminal({ out: new PassThrough(), err: new PassThrough() });
      const said = `${imported.text}\n${JSON.stringify(imported)}\n${reportText(imported.items, terminal)}`;
      for (const secret of [named, random, Buffer.from(random).toString('base64')])
        assert.ok(!said.includes(secret), `${secret} in\n${said}`);
      assert.equal(imported.functions.length, 1, said);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  await fc.assert(property, { numRuns: 200 });
});
