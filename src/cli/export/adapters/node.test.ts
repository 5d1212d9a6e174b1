// The adapter, called as AWS Lambda's Node.js runtime calls it. That whole zips answer as the project does is in test/system/export.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapt } from './node.ts';

const FACTS = { project: 'p', function: 'f' };
const aws = {
  awsRequestId: '8f1c2d3e-0000-4000-8000-123456789abc',
  functionVersion: '7',
  functionName: 'stack-f',
  getRemainingTimeInMillis: () => 5_000,
};

function http(more: object = {}): object {
  return {
    version: '2.0',
    rawPath: '/a b/ü',
    rawQueryString: 'x=1',
    headers: { host: 'api.example', 'content-type': 'text/plain' },
    cookies: ['a=1', 'b=2'],
    pathParameters: { id: '7' },
    requestContext: { domainName: 'api.example', http: { method: 'POST' } },
    body: 'aGk=',
    isBase64Encoded: true,
    ...more,
  };
}

interface Context {
  invocationId: string;
  version: number;
  params: object;
  traceparent: string;
  functionName: string;
  signal: AbortSignal;
  waitUntil(promise: Promise<unknown>): void;
}

test('web style: an event of an HTTP API is a Request, a Response its result', async () => {
  const handler = adapt(
    {
      default: {
        async fetch(request: Request, context: Context) {
          const headers = new Headers({ 'x-trace': context.traceparent, 'content-type': 'text/plain' });
          headers.append('set-cookie', 'c=3');
          const { invocationId, version, params, functionName } = context;
          return new Response(
            JSON.stringify([
              request.method,
              request.url,
              request.headers.get('cookie'),
              await request.text(),
              invocationId,
              version,
              params,
              functionName,
            ]),
            { status: 202, headers },
          );
        },
      },
    },
    FACTS,
  );
  process.env['_X_AMZN_TRACE_ID'] = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
  try {
    const result = (await handler(http(), aws)) as { body: string; headers: Record<string, string> };
    assert.deepEqual(
      { ...result, body: JSON.parse(result.body) as unknown },
      {
        statusCode: 202,
        headers: { 'content-type': 'text/plain', 'x-trace': '00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01' },
        cookies: ['c=3'],
        isBase64Encoded: false,
        body: ['POST', 'https://api.example/a%20b/%C3%BC?x=1', 'a=1; b=2', 'hi', aws.awsRequestId, 7, { id: '7' }, 'stack-f'],
      },
    );
  } finally {
    delete process.env['_X_AMZN_TRACE_ID'];
  }
});

test('bytes come in base64, also those that only say that they are text', async () => {
  for (const type of ['image/png', 'text/plain']) {
    const handler = adapt({ fetch: () => new Response(Uint8Array.of(0xff, 0xfe), { headers: { 'content-type': type } }) }, FACTS);
    const { body, isBase64Encoded } = (await handler(http(), aws)) as { body: string; isBase64Encoded: boolean };
    assert.deepEqual({ body, isBase64Encoded }, { body: '//4=', isBase64Encoded: true });
  }
});

test('other events go to `event`, else to fetch as a POST, whose body is the result', async () => {
  const event = { Records: [1] };
  const own = adapt({ default: { fetch: () => new Response('no'), event: (given: unknown) => ({ given }) } }, FACTS);
  assert.deepEqual(await own(event, aws), { given: event });
  const posted = adapt(
    { default: { fetch: async (request: Request) => Response.json({ method: request.method, body: await request.json() }) } },
    FACTS,
  );
  assert.deepEqual(await posted(event, aws), { method: 'POST', body: event });
  assert.equal(await adapt({ default: { fetch: () => new Response('text') } }, FACTS)(event, aws), 'text');
});

test('handler style gets the event as it is; values, promises and callbacks are its result, failures its failure', async () => {
  const called = (handler: unknown): Promise<unknown> => adapt({ handler }, FACTS)({ n: 1 }, aws);
  assert.deepEqual(await called((event: unknown) => event), { n: 1 });
  assert.equal(await called(async () => 'later'), 'later');
  assert.equal(
    await called((_e: unknown, _c: unknown, done: (error: null, result: string) => void) => void setImmediate(() => done(null, 'called'))),
    'called',
  );
  await assert.rejects(
    called((_e: unknown, _c: unknown, done: (error: string) => void) => done('broken')),
    { message: 'broken' },
  );
  await assert.rejects(
    called(() => {
      throw new RangeError('thrown');
    }),
    { name: 'RangeError', message: 'thrown' },
  );
});

test('the signal comes before the deadline, and no timer keeps the instance', async () => {
  let seen: AbortSignal | undefined;
  const handler = adapt(
    {
      async handler(_event: unknown, context: Context) {
        seen = context.signal;
        await new Promise((resolve) => seen!.addEventListener('abort', resolve));
        return (seen.reason as Error).name;
      },
    },
    FACTS,
  );
  assert.equal(await handler({}, { ...aws, getRemainingTimeInMillis: () => 110 }), 'TimeoutError');
  const idle = adapt({ handler: (_event: unknown, context: Context) => context.signal.aborted }, FACTS);
  assert.equal(await idle({}, aws), false);
});

test('what waitUntil was given is done first, also what that gives it; a rejection is logged', async (t) => {
  const logged = t.mock.method(console, 'error', () => {});
  const done: string[] = [];
  const handler = adapt(
    {
      handler(_event: unknown, context: Context) {
        context.waitUntil(
          new Promise<void>((resolve) => {
            setImmediate(() => {
              done.push('first');
              context.waitUntil(Promise.resolve().then(() => done.push('second')));
              resolve();
            });
          }),
        );
        context.waitUntil(Promise.reject(new Error('lost')));
        return 'result';
      },
    },
    FACTS,
  );
  assert.equal(await handler({}, aws), 'result');
  assert.deepEqual(done, ['first', 'second']);
  assert.equal(logged.mock.callCount(), 1);
});

test('code that exports nothing to call, or no Response, says so', async () => {
  assert.throws(() => adapt({ other: 1 }, FACTS), { message: 'the code exports nothing that can be called: it exports other' });
  assert.throws(() => adapt({ other: 1 }, { ...FACTS, handler: 'mine' }), {
    message: "the code exports no callable 'mine': it exports other",
  });
  await assert.rejects(adapt({ fetch: () => 'text' }, FACTS)(http(), aws), {
    message: /^fetch\(\) returned a value of type string; it must return a Response/,
  });
});
