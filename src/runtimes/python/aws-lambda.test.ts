// The form `lambda` of the Python guest, black box: code as it was written for AWS Lambda finds what it finds there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestUnderTest } from './guest-under-test.ts';
import type { GuestOptions } from './guest-under-test.ts';

function lambda(code: GuestOptions['code'], handler: string, init: GuestOptions['init'] = {}): Promise<GuestUnderTest> {
  return GuestUnderTest.start({ code, init: { form: 'lambda', handler, ...init } });
}

test('the handler is imported by its name from the top of the code, as a module of its package', async () => {
  const code = {
    'pkg/app.py':
      'import top\nfrom . import beside\nfrom pkg.beside import V\ndef handler(event, context):\n    return [__name__, __file__.endswith("/pkg/app.py"), top.V, beside.V, V]\n',
    'pkg/beside.py': 'V = 1',
    'pkg/only.py': '',
    'top.py': 'V = 2',
    'whole/__init__.py': 'def handler(event, context):\n    return __name__\n',
    'my-fn.py': 'def go(event, context):\n    return __name__\n',
    'json.py': 'import json\ndef handler(event, context):\n    return json.dumps("the standard one")\n',
  };
  await using guest = await lambda(code, 'pkg/app.py#handler');
  assert.deepEqual(await guest.result(), ['pkg.app', true, 2, 1, 1]);
  for (const [handler, result] of [
    ['whole/__init__.py#handler', 'whole'],
    ['my-fn.py#go', 'my-fn'],
    ['json.py#handler', '"the standard one"'],
  ] as const) {
    await using other = await lambda(code, handler);
    assert.equal(await other.result(), result);
  }
});

test('only the top of the code and layers are on the search path before the standard library', async () => {
  await using guest = await lambda(
    {
      'src/app.py':
        'import sys, layered, packaged\ntry:\n    import beside\nexcept ImportError as error:\n    beside = str(error)\ndef handler(event, context):\n    return [sys.path[:3], layered.V, packaged.V, beside]\n',
      'src/beside.py': '',
      'opt/python/layered.py': 'V = "of a layer"',
      'opt/python/packaged.py': 'V = "of the upper folder"',
      [`opt/python/lib/python${await pythonVersion()}/site-packages/packaged.py`]: 'V = "installed"',
    },
    'src/app.py',
  );
  const [path, layered, packaged, beside] = (await guest.result()) as [string[], string, string, string];
  const root = guest.codeFolder;
  assert.deepEqual(path, [root, `${root}/opt/python/lib/python${await pythonVersion()}/site-packages`, `${root}/opt/python`]);
  assert.deepEqual([layered, packaged, beside], ['of a layer', 'installed', "No module named 'beside'"]);
});

async function pythonVersion(): Promise<string> {
  await using guest = await GuestUnderTest.start({
    code: 'import sys\ndef handler(event, context):\n    return "%d.%d" % sys.version_info[:2]\n',
  });
  return (await guest.result()) as string;
}

test('the context has everything that AWS documents', async () => {
  await using guest = await lambda(
    `
import time
def handler(event, context):
    left = context.get_remaining_time_in_millis()
    time.sleep(0.05)
    context.custom = "set"
    return {
        "names": {name: getattr(context, name) for name in (
            "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id",
            "log_group_name", "log_stream_name", "client_context", "tenant_id", "custom")},
        "identity": [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],
        "left": left, "later": context.get_remaining_time_in_millis(), "int": type(left).__name__, "shown": repr(context),
    }
`,
    'main.py',
    { env: { AWS_REGION: 'eu-south-2' }, memoryMiB: 192 },
  );
  const result = JSON.parse((await guest.invoke({}, { timeoutMs: 20_000 }).outcome).body.toString());
  const { aws_request_id: id, log_stream_name: stream, ...names } = result.names;
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(stream, /^\d{4}\/\d\d\/\d\d\/\[3\][0-9a-f]{32}$/);
  assert.deepEqual(names, {
    function_name: 'f',
    function_version: '3',
    invoked_function_arn: 'arn:aws:lambda:eu-south-2:000000000000:function:f',
    memory_limit_in_mb: '192',
    log_group_name: '/aws/lambda/f',
    client_context: null,
    tenant_id: null,
    custom: 'set',
  });
  assert.deepEqual([result.identity, result.int], [[null, null], 'int']);
  assert.ok(result.left > 15_000 && result.left <= 20_000, String(result.left));
  assert.ok(result.later <= result.left - 50 && result.later > result.left - 2_000, `${result.left} then ${result.later}`);
  assert.match(result.shown, /^LambdaContext\(\[aws_request_id=/);
});

test('the client context is what the caller of a direct invocation said of itself', async () => {
  await using guest = await lambda(
    `
def handler(event, context):
    said = context.client_context
    return [said.client.installation_id, said.client.app_title, said.custom, said.env]
`,
    'main.py',
  );
  const clientContext = '{"client":{"installation_id":"i"},"custom":{"n":1}}';
  const meta = { kind: 'event', id: 'inv_1', trace: '', trigger: 'invoke', contentType: 'application/json', clientContext } as const;
  assert.deepEqual(JSON.parse((await guest.call(meta, '{}').outcome).body.toString()), ['i', null, { n: 1 }, null]);
});

test('the environment is that of Lambda; what the function sets of its own wins, but for names that AWS reserves', async () => {
  await using guest = await lambda(
    'import os, time\ndef handler(event, context):\n    return [dict(os.environ), os.environ.get("_X_AMZN_TRACE_ID"), time.tzname[0]]\n',
    'main.py#handler',
    { env: { GREETING: 'hi', TZ: 'Asia/Tokyo', AWS_LAMBDA_FUNCTION_NAME: 'other', AWS_DEFAULT_REGION: 'eu-west-1' } },
  );
  const [env, trace, zone] = (await guest.result()) as [Record<string, string>, string, string];
  const expected = {
    _HANDLER: 'main.handler',
    GREETING: 'hi',
    TZ: 'Asia/Tokyo',
    AWS_REGION: 'eu-west-1',
    AWS_DEFAULT_REGION: 'eu-west-1',
    AWS_LAMBDA_FUNCTION_NAME: 'f',
    AWS_LAMBDA_FUNCTION_VERSION: '3',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/f',
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    LAMBDA_TASK_ROOT: guest.codeFolder,
    LAMBDA_RUNTIME_DIR: '/var/runtime',
    PATH: '/usr/local/bin:/usr/bin:/bin:/opt/bin',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(env[name], value, name);
  assert.match(env['AWS_EXECUTION_ENV']!, /^AWS_Lambda_python3\.\d+$/);
  assert.equal('AWS_LAMBDA_MAX_CONCURRENCY' in env, false);
  assert.equal(trace, 'Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1');
  assert.equal(zone, 'JST');
});

test('logging is as Lambda leaves it: a root handler, level WARNING, basicConfig without effect', async () => {
  await using guest = await lambda(
    `
import logging
logging.basicConfig(level=logging.DEBUG, format="never %(message)s")
logger = logging.getLogger("orders")
def handler(event, context):
    logging.info("unseen")
    logging.warning("seen")
    logger.setLevel(logging.INFO)
    logger.info("of a logger")
    print("printed")
    if event.get("format"):
        logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(aws_request_id)s %(levelname)s %(message)s"))
        logger.error("formatted")
    return [len(logging.getLogger().handlers), context.aws_request_id]
`,
    'main.py',
  );
  const first = await guest.invoke({}).outcome;
  assert.deepEqual(
    first.logs.map(({ level, text }) => [level, text]),
    [
      [2, 'seen'],
      [1, 'of a logger'],
      [1, 'printed'],
    ],
  );
  const second = await guest.invoke({ format: true }).outcome;
  const [handlers, id] = JSON.parse(second.body.toString()) as [number, string];
  assert.equal(handlers, 1);
  assert.equal(second.logs.at(-1)!.text, `${id} ERROR formatted`);
  await using louder = await lambda('import logging\ndef handler(event, context):\n    logging.info("now seen")\n', 'main.py', {
    env: { AWS_LAMBDA_LOG_LEVEL: 'INFO' },
  });
  assert.deepEqual(
    (await louder.invoke({}).outcome).logs.map(({ text }) => text),
    ['now seen'],
  );
});

test('bytes, base64 and Decimal are answered as what they are', async () => {
  await using guest = await lambda(
    `
import base64, decimal
def handler(event, context):
    path = event.get("rawPath")
    if path == "/bytes":
        return b"\\x00\\xff"
    if path == "/body":
        return {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": b"\\x00\\xff"}
    if path == "/base64":
        return {"statusCode": 200, "body": base64.b64encode(b"\\x00\\xff").decode(), "isBase64Encoded": True}
    if path == "/wrong":
        return {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True}
    if event.get("bytes"):
        return b"\\x00\\xff"
    return {"price": decimal.Decimal("12.50")}
`,
    'main.py',
  );
  const get = (path: string) => guest.http({ url: `http://tour.localhost:8080${path}` }).outcome;
  for (const path of ['/bytes', '/body', '/base64']) assert.deepEqual((await get(path)).body, Buffer.from([0, 255]), path);
  assert.match((await get('/wrong')).error!.message, /isBase64Encoded is True, but body is not base64/);
  assert.deepEqual((await guest.invoke({ bytes: true }).outcome).body, Buffer.from([0, 255]));
  assert.deepEqual(await guest.result(), { price: 12.5 });
});

test('what a handler raises has its type, message and traceback; what it prints before is the log of the call', async () => {
  await using guest = await lambda(
    'class OrderError(Exception):\n    pass\ndef handler(event, context):\n    print("before")\n    raise OrderError("no such order")\n',
    'main.py',
  );
  const { error, logs } = await guest.invoke({}).outcome;
  assert.deepEqual([error!.name, error!.message], ['OrderError', 'no such order']);
  assert.match(error!.stack, /File ".*main\.py", line 5, in handler/);
  assert.doesNotMatch(error!.stack, /virga_guest/);
  assert.deepEqual(
    logs.map(({ text }) => text),
    ['before'],
  );
});

test('several calls at once each have their own context', async () => {
  await using guest = await lambda(
    `
import os, threading
meeting = threading.Barrier(3)
def handler(event, context):
    meeting.wait(10)
    return [context.aws_request_id, os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]]
`,
    'main.py',
    { concurrency: 3 },
  );
  const results = (await Promise.all([1, 2, 3].map(() => guest.result()))) as [string, string][];
  assert.equal(new Set(results.map(([id]) => id)).size, 3);
  assert.deepEqual(
    results.map(([, concurrency]) => concurrency),
    ['3', '3', '3'],
  );
});

for (const [name, code, handler, expected] of [
  [
    'an import of what only AWS brings',
    'import boto3\n',
    'main.py',
    /^'boto3' comes with AWS Lambda's runtime but is not in the function's code: add boto3 to its requirements\.txt/,
  ],
  ['an import of a part of it', 'from botocore.config import Config\n', 'main.py', /^'botocore' comes with .*: add botocore to/],
  ['an import of anything else', 'import nothing_here\n', 'main.py', /^No module named 'nothing_here'$/],
  [
    'a handler that is not there',
    'def other(event, context):\n    pass\n',
    'main.py#handler',
    /main\.py has no 'handler' \(it defines other\)/,
  ],
  ['a handler that is no function', 'handler = 7\n', 'main.py#handler', /'handler' in main\.py is of type int/],
] as const) {
  test(`${name} is told at the load`, async () => {
    await using guest = await lambda(code, handler);
    assert.match(guest.failed!.message, expected);
  });
}

test('a form that this runtime does not have is named', async () => {
  await using guest = await lambda('def handler(event, context):\n    pass\n', 'main.py', { form: 'azure' });
  assert.match(guest.failed!.message, /the Python runtime runs no code of the form 'azure'; it knows lambda/);
});

test('of the messages of a queue come again those that batchItemFailures name; nothing else of a result means anything', async () => {
  await using guest = await lambda(
    'import json\ndef handler(event, context):\n    return json.loads(event["Records"][0]["body"])\n',
    'main.py',
  );
  const answer = async (result: unknown): Promise<unknown> => {
    const message = { attributes: {}, attempt: 1, sentAt: 0, firstReceivedAt: 0 };
    const messages = [JSON.stringify(result), ''].map((body, at) => ({ id: `m${at + 1}`, body, ...message }));
    const event = { specversion: '1.0', id: 'm1', source: '/q', type: 'virga.queue.batch', data: { queue: 'q', messages } };
    const contentType = 'application/cloudevents+json';
    const { error, body } = await guest.invoke(undefined, { contentType, body: JSON.stringify(event) }).outcome;
    return error?.name ?? JSON.parse(body.toString());
  };
  const named = (itemIdentifier: unknown) => ({ batchItemFailures: [{ itemIdentifier }] });
  for (const [result, expected] of [
    [null, null],
    [{}, {}],
    [{ batchItemFailures: null }, { failed: [] }],
    [{ batchItemFailures: [] }, { failed: [] }],
    [named('m2'), { failed: ['m2'] }],
    [{ processed: 2, failed: 0 }, { failed: [] }],
    // AWS takes these for a batch that failed as a whole.
    [named('m3'), 'BadResponse'],
    [named(''), 'BadResponse'],
    [named(null), 'BadResponse'],
    [{ batchItemFailures: [{ id: 'm1' }] }, 'BadResponse'],
    [{ batchItemFailures: '' }, 'BadResponse'],
    [{ batchItemFailures: {} }, 'BadResponse'],
  ] as const)
    assert.deepEqual(await answer(result), expected, JSON.stringify(result));
});
