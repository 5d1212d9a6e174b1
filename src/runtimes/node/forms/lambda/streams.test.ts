// Black box: handlers given to awslambda.streamifyResponse(), in the real guest, on both Nodes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NODES } from '../../scripted-host.ts';
import { requestIdOf } from './environment.ts';
import { LambdaUnderTest } from './lambda-under-test.ts';

const FILES = {
  'streams.mjs': `
    import { pipeline } from 'node:stream/promises';
    import { Readable } from 'node:stream';
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const big = () => Readable.from((function* () { for (let i = 0; i < 40; i++) yield Buffer.alloc(16 * 1024, 97 + (i % 26)); })());
    const { promise: gone, resolve: go } = Promise.withResolvers();
    const handlers = {
      plain: async (event, stream) => {
        if (event.go) { go(); return void stream.end(); }
        stream.write('one '); await gone; stream.write(Buffer.from('two ')); stream.end('three');
      },
      typed: async (event, stream) => { stream.setContentType('text/html'); stream.end('<p>'); },
      from: async (event, stream) => {
        const answer = awslambda.HttpResponseStream.from(stream, { statusCode: 202, headers: { 'content-type': 'text/plain', 'x-n': 7 }, cookies: ['a=1', 'b=2'] });
        answer.write({ an: 'object' }); answer.end();
      },
      pipeline: async (event, stream) => pipeline(big(), stream),
      pipe: async (event, stream) => { big().pipe(stream); },
      empty: async (event, stream) => { awslambda.HttpResponseStream.from(stream, { statusCode: 302, headers: { location: '/' } }).end(); },
      prelude: async (event, stream) => {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        stream.write('{"statusCode":203,"headers":'); stream.write('{"x-by":"hand"}}\\0\\0\\0'); stream.write('\\0\\0\\0\\0\\0bo'); stream.end('dy');
      },
      early: async () => { throw new RangeError('early'); },
      late: async (event, stream) => { stream.write('begun'); await pause(20); throw new RangeError('late'); },
      sync: (event, stream) => { stream.write('x'); },
      afterwards: async (event, stream) => { stream.end('x'); throw new RangeError('afterwards'); },
      unfinished: async (event, stream) => { stream.write('x'); },
      value: async (event, stream) => { stream.end('x'); return 'ignored'; },
      wrong: async (event, stream) => { awslambda.HttpResponseStream.from(stream, { statusCode: 'fine' }); },
      other: async (event, stream) => { awslambda.HttpResponseStream.from({}, {}); },
      tooLate: async (event, stream) => { stream.write('x'); stream.setContentType('text/plain'); },
      endless: async (event, stream) => {
        await pipeline(Readable.from((async function* () { for (;;) { yield 'tick '; await pause(2); } })()), stream).catch((error) => console.log('ended by', error.code));
      },
      context: async (event, stream, context) => stream.end(JSON.stringify({ id: context.awsRequestId, done: typeof context.done })),
    };
    for (const name in handlers) handlers[name] = awslambda.streamifyResponse(handlers[name]);
    export { handlers };
    export const marked = Object.assign(async (event, stream) => stream.end('by its mark'), { [Symbol.for('aws.lambda.runtime.handler.streaming')]: 'response' });
    export const strange = Object.assign(async () => {}, { [Symbol.for('aws.lambda.runtime.handler.streaming')]: 'request' });
  `,
};

describe('Lambda functions that stream', { concurrency: true }, () => {
  let lambda: LambdaUnderTest;
  before(async () => {
    lambda = await LambdaUnderTest.open(FILES);
  });
  after(() => lambda.close());

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 4 }, () => {
      const started = (handler: string, concurrency = 1) => lambda.start(binary, handler, { concurrency });

      test('a stream reaches the client as it is written', async () => {
        await using host = await started('streams.mjs#handlers.plain', 2);
        const call = host.http('/');
        await call.until(() => call.bodyBytes > 0);
        assert.deepEqual([call.text, call.meta], ['one ', { status: 200, headers: ['content-type', 'application/octet-stream'] }]);
        await host.event({ go: true }).ended;
        assert.equal((await call.ended).text, 'one two three');
        assert.equal((await host.event({}).ended).text, 'one two three');
      });

      test('the head of a stream: media type, metadata, by hand', async () => {
        const headOf = async (handler: string) => {
          await using host = await started(`streams.mjs#${handler}`);
          const call = await host.http('/').ended;
          assert.equal(call.error, undefined);
          return { ...call.meta!, text: call.text };
        };
        assert.deepEqual(await headOf('handlers.typed'), { status: 200, headers: ['content-type', 'text/html'], text: '<p>' });
        assert.deepEqual(await headOf('handlers.from'), {
          status: 202,
          headers: ['content-type', 'text/plain', 'x-n', '7', 'set-cookie', 'a=1', 'set-cookie', 'b=2'],
          text: '{"an":"object"}',
        });
        assert.deepEqual(await headOf('handlers.empty'), {
          status: 302,
          headers: ['location', '/', 'content-type', 'application/octet-stream'],
          text: '',
        });
        assert.deepEqual(await headOf('handlers.prelude'), {
          status: 203,
          headers: ['x-by', 'hand', 'content-type', 'application/octet-stream'],
          text: 'body',
        });
        assert.equal((await headOf('marked')).text, 'by its mark');
        const { id, done } = JSON.parse((await headOf('handlers.context')).text) as Record<string, string>;
        assert.deepEqual([id, done], [requestIdOf('inv_1'), 'undefined']);
      });

      test('a stream waits for a slow client, piped with and without waiting for it', async () => {
        for (const handler of ['pipeline', 'pipe']) {
          await using host = await started(`streams.mjs#handlers.${handler}`);
          const call = host.http('/', {}, { slow: true });
          await call.until(() => call.bodyBytes === call.granted);
          while (call.bodyBytes < 40 * 16 * 1024) {
            call.grant(64 * 1024);
            const wanted = Math.min(call.granted, 40 * 16 * 1024);
            await call.until(() => call.bodyBytes >= wanted);
            assert.ok(call.bodyBytes <= call.granted);
          }
          await call.ended;
          assert.equal(call.body.length, 40 * 16 * 1024);
        }
      });

      test('a HEAD request gets the head of the stream alone', async () => {
        await using host = await started('streams.mjs#handlers.from');
        const call = await host.http('/', { method: 'HEAD' }).ended;
        assert.deepEqual([call.meta!.status, call.text], [202, '']);
      });

      test('a client that leaves ends the stream', async () => {
        await using host = await started('streams.mjs#handlers.endless');
        const call = host.http('/');
        await call.until(() => call.bodyBytes > 10);
        call.cancel();
        assert.equal((await call.ended).error!.name, 'AbortError');
        await host.log(({ text }) => text === 'ended by ERR_STREAM_PREMATURE_CLOSE');
      });

      test('what is wrong with a stream is the error of the call', async () => {
        const errorOf = async (handler: string) => {
          await using host = await started(`streams.mjs#handlers.${handler}`);
          const { error } = await host.http('/').ended;
          return `${error?.name}: ${error?.message}`;
        };
        assert.equal(await errorOf('early'), 'RangeError: early');
        assert.equal(await errorOf('late'), 'RangeError: late');
        assert.equal(await errorOf('sync'), 'Error: Streaming does not support non-async handlers.');
        assert.equal(await errorOf('unfinished'), 'Error: Response stream is not finished.');
        assert.equal(await errorOf('wrong'), "BadResponse: its statusCode is 'fine'; it must be a whole number from 200 to 599");
        assert.match(await errorOf('other'), /TypeError: awslambda\.HttpResponseStream\.from\(\) takes the responseStream/);
        assert.equal(await errorOf('tooLate'), 'Error: Cannot set content-type, too late.');
        await assert.rejects(started('streams.mjs#strange'), /streams responses alone/);
        await using ended = await started('streams.mjs#handlers.afterwards');
        assert.equal((await ended.http('/').ended).text, 'x');
        await ended.log(({ text, level }) => level === 'error' && text.startsWith('RangeError: afterwards'));
        await using host = await started('streams.mjs#handlers.value');
        assert.equal((await host.http('/').ended).text, 'x');
        await host.log(({ text }) => text === 'Streaming handlers ignore return values.');
      });
    });
  }
});
