// Names, ids and traces of a function in AWS Lambda's terms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../../../../lib/ids.ts';
import { contextOf, lambdaEnvironment, lambdaHandler, lambdaIdentity, requestIdOf, traceHeaderOf } from './environment.ts';

const INIT = {
  project: 'shop',
  function: 'orders',
  version: 4,
  handler: 'src/index.mjs#handler',
  memoryMiB: 256,
  env: {},
  codeFolder: '/code',
  concurrency: 1,
  runtime: 'nodejs26',
};
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

test('a request id is a UUID that holds the id of its invocation', () => {
  assert.match(requestIdOf(newId('inv')), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  // All but the 6 bits of the time that are zero until 2109.
  const bits = fc.bigInt({ min: 0n, max: (1n << 122n) - 1n });
  fc.assert(
    fc.property(bits, (value) => {
      let id = '';
      for (let rest = value, i = 0; i < 26; i++, rest >>= 5n) id = DIGITS.charAt(Number(rest & 31n)) + id;
      const uuid = BigInt(`0x${requestIdOf(`inv_${id}`).replaceAll('-', '')}`);
      const binary = uuid.toString(2).padStart(128, '0');
      assert.equal(BigInt(`0b${binary.slice(0, 48)}${binary.slice(52, 64)}${binary.slice(66)}`), value);
      assert.deepEqual([binary.slice(48, 52), binary.slice(64, 66)], ['1000', '10']);
    }),
  );
  assert.equal(requestIdOf('inv_1'), '00000000-0000-8000-8000-000000000001');
});

// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
test('a traceparent in the words of X-Ray', () => {
  const traceparent = '00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01';
  assert.equal(traceHeaderOf(traceparent), 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1');
  assert.match(traceHeaderOf(traceparent.replace(/1$/, '0')), /;Sampled=0$/);
  assert.equal(traceHeaderOf(''), '');
});

test('the handler as it stands in the settings of Lambda', () => {
  assert.equal(lambdaHandler('src/index.mjs#handler'), 'src/index.handler');
  assert.equal(lambdaHandler('index.js#api.orders'), 'index.api.orders');
  assert.equal(lambdaHandler('index.cjs'), 'index.handler');
  assert.equal(lambdaHandler('main.py#handler'), 'main.handler');
  assert.equal(lambdaHandler('bootstrap#hello.handler'), 'bootstrap.hello.handler');
});

test('identity and environment: names, ARN, region, folders', () => {
  const identity = lambdaIdentity(INIT, { now: new Date(Date.UTC(2026, 0, 2)), random: 'f'.repeat(32) });
  assert.deepEqual(identity, {
    region: 'us-east-1',
    account: '000000000000',
    project: 'shop',
    functionName: 'orders',
    functionVersion: '4',
    functionArn: 'arn:aws:lambda:us-east-1:000000000000:function:orders',
    memoryLimitInMB: '256',
    logGroupName: '/aws/lambda/orders',
    logStreamName: `2026/01/02/[4]${'f'.repeat(32)}`,
    handler: 'src/index.handler',
  });
  const environment = lambdaEnvironment(INIT, identity);
  assert.equal(environment['LAMBDA_TASK_ROOT'], '/var/task');
  assert.equal(environment['LD_LIBRARY_PATH'], '/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib');
  assert.equal(environment['PATH'], '/usr/local/bin:/usr/bin:/bin:/opt/bin');
  assert.equal(environment['AWS_LAMBDA_MAX_CONCURRENCY'], undefined);
  assert.equal(lambdaEnvironment({ ...INIT, concurrency: 8 })['AWS_LAMBDA_MAX_CONCURRENCY'], '8');
});

test("the function's own variables win where AWS lets them", () => {
  const own = { PATH: '/own', NODE_PATH: '/own', TZ: 'Europe/Madrid', AWS_REGION: 'eu-west-1', _HANDLER: 'own', AWS_ACCESS_KEY_ID: 'own' };
  const added = lambdaEnvironment({ ...INIT, env: own });
  for (const name of ['PATH', 'NODE_PATH', 'TZ', 'AWS_ACCESS_KEY_ID']) assert.equal(added[name], undefined, name);
  assert.deepEqual([added['_HANDLER'], added['AWS_REGION'], added['AWS_DEFAULT_REGION']], ['src/index.handler', 'eu-west-1', 'eu-west-1']);
  // A runtime that is not Lambda's own has no name and no libraries of Node's.
  const { runtime: _, ...provided } = INIT;
  const other = lambdaEnvironment(provided);
  assert.deepEqual([other['AWS_EXECUTION_ENV'], other['NODE_PATH']], [undefined, undefined]);
});

test('the facts of an invocation', () => {
  const invocation = { meta: { id: 'inv_1', trace: '' }, remainingMs: 1500.7 };
  assert.deepEqual(contextOf(lambdaIdentity(INIT), invocation, 1_000_000), {
    awsRequestId: '00000000-0000-8000-8000-000000000001',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:orders',
    traceHeader: '',
    deadlineMs: 1_001_500,
  });
});
