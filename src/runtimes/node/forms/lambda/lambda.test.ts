// Black box: Lambda functions in every style, in the real guest with its chunks, on both Nodes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { NODES } from '../../scripted-host.ts';
import { requestIdOf } from './environment.ts';
import { LambdaUnderTest } from './lambda-under-test.ts';

const FILES: Record<string, string> = {
  'callback.cjs': `
    exports.later = (event, context, callback) => { setTimeout(() => callback(null, { late: event }), 5); };
    exports.atOnce = (event, context, callback) => callback(null, 'at once');
    exports.throws = () => { throw new RangeError('thrown'); };
    exports.fails = (event, context, callback) => { setTimeout(() => callback(new TypeError('by callback')), 1); };
    exports.text = (event, context, callback) => callback('only text');
    exports.silent = () => { setTimeout(() => {}, 5); };
    exports.value = () => 'ignored';
    exports.first = (event, context, callback) => { callback(null, 1); callback(null, 2); callback(new Error('late')); };
    exports.waits = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = event.waits;
      const order = [];
      setTimeout(() => order.push('timer'), 60);
      callback(null, order);
    };
    exports.stuck = (event, context, callback) => { globalThis.held = setInterval(() => {}, 1000); callback(null, 1); };
    exports.done = (event, context) => { setTimeout(() => {}, 60_000); context.done(null, 'done'); };
    exports.succeed = (event, context) => { setTimeout(() => {}, 60_000); context.succeed({ ok: true }); };
    exports.fail = (event, context) => context.fail(new Error('by fail'));
    exports.failNothing = (event, context) => context.fail();
    exports.nested = { api: { orders: async () => 'nested' } };
    exports.plain = 7;
  `,
  'async.mjs': `
    import { createServer } from 'node:http';
    export const echo = async (event, context) => ({ event, context, copy: { ...context } });
    export const promise = () => new Promise((resolve) => setTimeout(resolve, 5, 'promised'));
    export const throws = async () => { throw new RangeError('thrown'); };
    export const leaves = async () => { setTimeout(() => {}, 60_000); return 'at once'; };
    const { promise: another, resolve: go } = Promise.withResolvers();
    export const forAnother = async (event) => (event.go ? go('settled') : another);
    export const never = () => new Promise(() => {});
    export const thenable = () => ({ then: (resolve) => resolve('thenable') });
    export const remaining = async (event, { getRemainingTimeInMillis }) => getRemainingTimeInMillis();
    export const callbackFirst = async (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; callback(null, 'callback'); return 'promise'; };
    export const environment = async () => process.env;
    export const trace = async () => { await new Promise((resolve) => setTimeout(resolve, 5)); return [process.env._X_AMZN_TRACE_ID, '_X_AMZN_TRACE_ID' in process.env]; };
    export const traceAtInit = [process.env._X_AMZN_TRACE_ID ?? null];
    export const readsTraceAtInit = async () => traceAtInit;
    export const http = async (event) => event.rawPath === '/empty' ? { statusCode: 204 } : { statusCode: 201, headers: { 'x-a': 'b' }, body: 'made' };
    export const wrong = async () => ({ statusCode: 'fine' });
  `,
  'store.mjs': `
    globalThis.awslambda.InvokeStore = { run(facts, call) { this.current = facts; return call(); } };
    export const handler = async () => globalThis.awslambda.InvokeStore.current[Symbol.for('_AWS_LAMBDA_REQUEST_ID')];
  `,
  'index.js': `exports.handler = async () => require('layered');`,
  'layer/nodejs/node_modules/layered/index.js': `module.exports = 'from the layer';`,
  'wants-sdk.mjs': `import { S3 } from '@aws-sdk/client-s3'; export const handler = async () => S3;`,
  'wants-old-sdk.cjs': `const AWS = require('aws-sdk'); exports.handler = async () => AWS;`,
  'preloaded.cjs': `globalThis.preloaded = 'yes';`,
  'reads-preloaded.mjs': `export const handler = async () => globalThis.preloaded;`,
};

const TRACE = '00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01';

describe('Lambda functions', { concurrency: true }, () => {
  let lambda: LambdaUnderTest;
  before(async () => {
    lambda = await LambdaUnderTest.open(FILES);
  });
  after(() => lambda.close());

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 4 }, () => {
      const started = (handler: string, init?: Partial<InitPayload>) => lambda.start(binary, handler, init);
      const answerOf = (handler: string, event?: unknown) => lambda.answer(binary, handler, event);

      test('a callback answers, at once or later', async () => {
        assert.deepEqual(await answerOf('callback.cjs#later', { n: 1 }), { late: { n: 1 } });
        assert.equal(await answerOf('callback.cjs#atOnce'), 'at once');
        assert.equal(await answerOf('callback.cjs#first'), 1);
        assert.equal(await answerOf('callback.cjs#fails'), 'TypeError: by callback');
        assert.equal(await answerOf('callback.cjs#text'), 'Error: only text');
        assert.equal(await answerOf('callback.cjs#throws'), 'RangeError: thrown');
      });

      test('a callback waits for the empty event loop unless it is told not to', async () => {
        assert.deepEqual(await answerOf('callback.cjs#waits', { waits: true }), ['timer']);
        assert.deepEqual(await answerOf('callback.cjs#waits', { waits: false }), []);
        assert.equal(await answerOf('callback.cjs#silent'), null);
      });

      test('an answer that waits for a loop that never empties says so before its deadline', async () => {
        await using host = await started('callback.cjs#stuck');
        host.event({}, {}, { timeoutMs: 300 });
        const { text, level } = await host.log((record) => record.text.includes('callbackWaitsForEmptyEventLoop'));
        assert.match(text, /in which there is still: .*Timeout/);
        assert.equal(level, 'warn');
      });

      test('context.done, succeed and fail answer at once', async () => {
        assert.equal(await answerOf('callback.cjs#done'), 'done');
        assert.deepEqual(await answerOf('callback.cjs#succeed'), { ok: true });
        assert.equal(await answerOf('callback.cjs#fail'), 'Error: by fail');
        assert.equal(await answerOf('callback.cjs#failNothing'), 'Error: handled');
      });

      test('a promise answers when it settles, whatever is left in the event loop', async () => {
        assert.equal(await answerOf('async.mjs#promise'), 'promised');
        assert.equal(await answerOf('async.mjs#thenable'), 'thenable');
        assert.equal(await answerOf('async.mjs#leaves'), 'at once');
        assert.equal(await answerOf('async.mjs#throws'), 'RangeError: thrown');
        assert.equal(await answerOf('async.mjs#callbackFirst'), 'callback');
      });

      test('a promise that nothing can settle fails instead of running into its deadline', async () => {
        assert.match(String(await answerOf('async.mjs#never')), /^Runtime\.NodeJsExit: .*can never settle/);
        // With others beside it another may settle it.
        await using host = await started('async.mjs#forAnother', { concurrency: 2 });
        const waits = host.event({});
        await host.event({ go: true }).ended;
        assert.equal((await waits.ended).text, '"settled"');
      });

      test('a value that is no promise is ignored, and the log says so', async () => {
        await using host = await started('callback.cjs#value');
        assert.equal((await host.event({}).ended).text, 'null');
        assert.match((await host.log(({ level }) => level === 'warn')).text, /no promise, which Lambda ignores/);
      });

      test('many calls of one instance, with and without callbacks', async () => {
        await using host = await started('callback.cjs#later', { concurrency: 3 });
        for (let round = 0; round < 3; round++) {
          const calls = await Promise.all([1, 2, 3].map((n) => host.event({ n }).ended));
          assert.deepEqual(
            calls.map((call) => JSON.parse(call.text)),
            [1, 2, 3].map((n) => ({ late: { n } })),
          );
        }
      });

      test('the handler is found in objects, and what is there instead is named', async () => {
        assert.equal(await answerOf('callback.cjs#nested.api.orders'), 'nested');
        await assert.rejects(started('callback.cjs#nested.api.carts'), /the handler 'nested\.api\.carts' of callback\.cjs is not exported/);
        await assert.rejects(started('callback.cjs#plain'), /is no function but a value of type number.* 'later' \(function\)/);
        await assert.rejects(started('gone.js#handler'), /there is no file 'gone\.js'/);
      });

      test('the context is complete, and a copy of it too', async () => {
        await using host = await started('async.mjs#echo', { memoryMiB: 512, version: 7 });
        const id = 'inv_01jcwzr4k8q2v5m7n9p1r3s5t7';
        const { context, copy } = JSON.parse((await host.event({}, { id }, { timeoutMs: 9_000 }).ended).text);
        const { logStreamName, ...rest } = context;
        assert.deepEqual(rest, {
          callbackWaitsForEmptyEventLoop: true,
          functionName: 'hello',
          functionVersion: '7',
          invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:hello',
          memoryLimitInMB: '512',
          awsRequestId: requestIdOf(id),
          logGroupName: '/aws/lambda/hello',
        });
        assert.match(logStreamName, /^\d{4}\/\d\d\/\d\d\/\[7\][0-9a-f]{32}$/);
        assert.deepEqual(copy, context);
        const clientContext = '{"client":{"installationId":"i"},"custom":{"n":1},"env":{}}';
        const called = JSON.parse((await host.event({}, { clientContext }).ended).text);
        assert.deepEqual(called.context.clientContext, { client: { installationId: 'i' }, custom: { n: 1 }, env: {} });
        await using other = await started('async.mjs#remaining');
        const ms = Number((await other.event({}, {}, { timeoutMs: 9_000 }).ended).text);
        assert.ok(Number.isInteger(ms) && ms <= 9_000 && ms > 8_000, String(ms));
      });

      test("Lambda's environment is there, and what AWS reserves is not the function's to change", async () => {
        const env = {
          AWS_REGION: 'eu-west-1',
          LD_LIBRARY_PATH: '/own',
          AWS_LAMBDA_FUNCTION_NAME: 'other',
          PATH: '/usr/local/bin:/usr/bin:/bin',
        };
        await using host = await started('async.mjs#environment', { env, memoryMiB: 512, version: 7, concurrency: 1 });
        const seen = JSON.parse((await host.event({}).ended).text);
        const { AWS_LAMBDA_LOG_STREAM_NAME: stream, NODE_PATH: nodePath, PATH: path, ...rest } = seen;
        assert.match(stream, /^\d{4}\/\d\d\/\d\d\/\[7\][0-9a-f]{32}$/);
        assert.ok(path.endsWith(':/opt/bin') && path.includes('/usr/bin'), path);
        assert.match(nodePath, /^\/opt\/nodejs\/node26\/node_modules:\/opt\/nodejs\/node_modules:\/var\/runtime\/node_modules/);
        assert.deepEqual(rest, {
          _HANDLER: 'async.environment',
          AWS_DEFAULT_REGION: 'eu-west-1',
          AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs26.x',
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512',
          AWS_LAMBDA_FUNCTION_NAME: 'hello',
          AWS_LAMBDA_FUNCTION_VERSION: '7',
          AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
          AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/hello',
          AWS_REGION: 'eu-west-1',
          AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
          LAMBDA_RUNTIME_DIR: '/var/runtime',
          LAMBDA_TASK_ROOT: lambda.folder,
          LD_LIBRARY_PATH: '/own',
          TZ: 'UTC',
        });
      });

      test('each call sees its own trace, also with others beside it', async () => {
        await using host = await started('async.mjs#trace', { concurrency: 2 });
        const other = '00-aaaabbbbccccddddeeeeffff00001111-1111222233334444-00';
        const calls = [host.event({}, { trace: TRACE }), host.event({}, { trace: other })];
        const seen = await Promise.all(calls.map(async (call) => JSON.parse((await call.ended).text)));
        assert.deepEqual(seen, [
          ['Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1', true],
          ['Root=1-aaaabbbb-ccccddddeeeeffff00001111;Parent=1111222233334444;Sampled=0', true],
        ]);
        assert.deepEqual(await answerOf('async.mjs#readsTraceAtInit'), [null]);
      });

      test('an InvokeStore that a library has put there knows the invocation', async () => {
        await using host = await started('store.mjs');
        const call = await host.event({}).ended;
        assert.equal(call.text, JSON.stringify(requestIdOf(`inv_${call.stream}`)));
      });

      test('over HTTP the event and the result are those of API Gateway', async () => {
        await using host = await started('async.mjs#http');
        const made = await host.http('/x').ended;
        assert.deepEqual([made.meta!.status, made.header('x-a'), made.text], [201, ['b'], 'made']);
        assert.deepEqual((await host.http('/empty').ended).meta, { status: 204, headers: [] });
        assert.equal((await host.http('/x', { method: 'HEAD' }).ended).text, '');
        await using other = await started('async.mjs#wrong');
        const { error } = await other.http('/x').ended;
        assert.deepEqual(
          [error!.name, error!.message],
          ['BadResponse', "its statusCode is 'fine'; it must be a whole number from 200 to 599"],
        );
      });

      test('a layer is on the path, and what only AWS brings along is named', async () => {
        await using host = await started('index.js#handler', { env: { NODE_PATH: join(lambda.folder, 'layer/nodejs/node_modules') } });
        assert.equal((await host.event({}).ended).text, '"from the layer"');
        await assert.rejects(started('wants-sdk.mjs#handler'), /'@aws-sdk\/client-s3' comes with AWS Lambda's runtime/);
        await assert.rejects(started('wants-old-sdk.cjs#handler'), /'aws-sdk' comes with AWS Lambda's runtime/);
        await assert.rejects(
          started('async.mjs#echo', { env: { AWS_LAMBDA_EXEC_WRAPPER: '/opt/otel-handler' } }),
          /AWS_LAMBDA_EXEC_WRAPPER is '\/opt\/otel-handler'/,
        );
      });

      test('NODE_OPTIONS: what is to be loaded first is, what cannot be done is named', async () => {
        const NODE_OPTIONS = '--enable-source-maps --require ./preloaded.cjs --max-http-header-size=99';
        await using host = await started('reads-preloaded.mjs', { env: { NODE_OPTIONS } });
        assert.equal((await host.event({}).ended).text, '"yes"');
        const { text } = await host.log(({ level }) => level === 'warn');
        assert.match(text, /no effect with --max-http-header-size=99:/);
        await using other = await started('reads-preloaded.mjs', { env: { NODE_OPTIONS: '--import=./preloaded.cjs' } });
        assert.equal((await other.event({}).ended).text, '"yes"');
        assert.deepEqual(other.logs, []);
      });
    });
  }
});
