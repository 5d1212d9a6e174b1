// HTTP and direct invocations through the Python guest: events, answers, bodies and their credits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BODY_CHUNK_MAX, CREDIT_WINDOW } from '../../protocol/frames.ts';
import { GuestUnderTest } from './guest-under-test.ts';

const ECHO = 'def handler(event, context):\n    return event\n';

async function eventOf(guest: GuestUnderTest, request: Parameters<GuestUnderTest['http']>[0]): Promise<Record<string, unknown>> {
  const { body, error } = await guest.http(request).outcome;
  assert.equal(error, undefined);
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

test('a request arrives as an API Gateway event of payload version 2.0', async () => {
  await using guest = await GuestUnderTest.start({ code: ECHO });
  const { requestContext, ...event } = await eventOf(guest, {
    method: 'PUT',
    url: 'http://tour.localhost:8080/notes/a%20b?x=1&y=a%20b&x=2&empty=',
    headers: [
      'Host',
      'tour.localhost:8080',
      'User-Agent',
      'curl/8',
      'X-A',
      '1',
      'x-a',
      '2',
      'Content-Type',
      'text/plain',
      'Cookie',
      'a=1; b=2',
      'Cookie',
      'c=3',
    ],
    body: 'grüße',
    route: '/notes/{id}',
    params: { id: 'a b' },
  });
  assert.deepEqual(event, {
    version: '2.0',
    routeKey: 'PUT /notes/{id}',
    rawPath: '/notes/a%20b',
    rawQueryString: 'x=1&y=a%20b&x=2&empty=',
    cookies: ['a=1', 'b=2', 'c=3'],
    headers: { host: 'tour.localhost:8080', 'user-agent': 'curl/8', 'x-a': '1,2', 'content-type': 'text/plain' },
    queryStringParameters: { x: '1,2', y: 'a b', empty: '' },
    pathParameters: { id: 'a b' },
    body: 'grüße',
    isBase64Encoded: false,
  });
  const { time, timeEpoch, ...rest } = requestContext as { time: string; timeEpoch: number };
  assert.deepEqual(rest, {
    accountId: 'anonymous',
    apiId: 'tour',
    domainName: 'tour.localhost',
    domainPrefix: 'tour',
    http: { method: 'PUT', path: '/notes/a%20b', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'curl/8' },
    requestId: 'inv_1',
    routeKey: 'PUT /notes/{id}',
    stage: '$default',
  });
  assert.match(time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  assert.ok(Math.abs(timeEpoch - Date.now()) < 5_000);
});

test('a handler learns who calls, where somebody asked', async () => {
  const code =
    'import json\ndef handler(event, context):\n    return json.dumps([context.principal, event["requestContext"].get("authorizer")])\n';
  await using guest = await GuestUnderTest.start({ code });
  const principal = { kind: 'key', id: 'vk_4f8h2m6qj0', scopes: ['read'], claims: { name: 'Málaga' } };
  const known = await guest.http({ url: 'http://t.localhost/', route: '/', principal: JSON.stringify(principal) }).outcome;
  assert.deepEqual(JSON.parse(known.body.toString()), [
    principal,
    { lambda: { name: 'Málaga', principalId: 'vk_4f8h2m6qj0', scopes: 'read' } },
  ]);
  const nobody = await guest.http({ url: 'http://t.localhost/', route: '/' }).outcome;
  assert.deepEqual(JSON.parse(nobody.body.toString()), [null, null]);
});

test('what a request does not have is absent from its event', async () => {
  await using guest = await GuestUnderTest.start({ code: ECHO });
  const event = await eventOf(guest, { url: 'http://[::1]:8080/@tour/', route: '/' });
  for (const name of ['body', 'cookies', 'queryStringParameters', 'pathParameters']) assert.ok(!(name in event), name);
  assert.deepEqual([event['rawPath'], event['rawQueryString'], event['isBase64Encoded']], ['/@tour/', '', false]);
  assert.equal((event['requestContext'] as { domainName: string }).domainName, '[::1]');
});

test('bodies arrive as text where they are text, else as base64', async () => {
  await using guest = await GuestUnderTest.start({ code: ECHO });
  const binary = Buffer.from([0, 1, 254, 255]);
  for (const [headers, body, isBase64Encoded] of [
    [['content-type', 'application/json; charset=utf-8'], '{"ä":1}', false],
    [['content-type', 'application/problem+json'], '{}', false],
    [['content-type', 'application/x-www-form-urlencoded'], 'a=1', false],
    [['content-type', 'image/svg+xml'], '<svg/>', true],
    [[], 'no type', false],
    [['content-type', 'application/octet-stream'], 'text, who knows', true],
    [['content-type', 'text/plain'], binary, true],
    [['content-type', 'text/plain', 'content-encoding', 'gzip'], 'x', true],
    [['content-type', 'image/png'], binary, true],
  ] as [string[], string | Buffer, boolean][]) {
    const event = await eventOf(guest, { method: 'POST', headers, body });
    assert.equal(event['isBase64Encoded'], isBase64Encoded, headers.join());
    assert.deepEqual(Buffer.from(event['body'] as string, isBase64Encoded ? 'base64' : 'utf8'), Buffer.from(body));
  }
});

test('a large request body is collected, with credit granted as it arrives', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'import base64, hashlib\ndef handler(event, context):\n    return hashlib.sha256(base64.b64decode(event["body"])).hexdigest()\n',
  });
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256').update('first');
  const stream = guest.http({ method: 'POST', headers: ['content-type', 'application/zip'], body: 'first', bodyEnds: false });
  let sent = 5;
  for (let i = 0; i < 64; i++) {
    // As the host does: nothing is sent that was not granted.
    await guest.until(() => CREDIT_WINDOW + stream.grantedBytes - sent >= BODY_CHUNK_MAX);
    const chunk = Buffer.alloc(BODY_CHUNK_MAX, i);
    hash.update(chunk);
    sent += chunk.length;
    guest.sendBody(stream, chunk, false);
  }
  guest.sendBody(stream, '', true);
  assert.equal((await stream.outcome).body.toString(), hash.digest('hex'));
  assert.equal(stream.grantedBytes, sent);
});

test('results are inferred as API Gateway does', async () => {
  await using guest = await GuestUnderTest.start({ code: 'import base64\ndef handler(event, context):\n    return eval(event["body"])\n' });
  const json = ['content-type', 'application/json'];
  const text = ['content-type', 'text/plain;charset=UTF-8'];
  const binary = ['content-type', 'application/octet-stream'];
  for (const [result, status, headers, body] of [
    ['{"a": [1, None, True]}', 200, json, '{"a":[1,null,true]}'],
    ['"plain ü"', 200, json, 'plain ü'],
    ['None', 200, json, 'null'],
    ['[1.5, (2, 3)]', 200, json, '[1.5,[2,3]]'],
    ['b"\\x00\\x01"', 200, binary, '\0\u0001'],
    ['{"statusCode": 204}', 204, [], ''],
    ['{"statusCode": 204, "body": "dropped"}', 204, text, ''],
    ['{"statusCode": "201", "body": "made"}', 201, text, 'made'],
    ['{"statusCode": 200, "body": {"a": 1}}', 200, json, '{"a":1}'],
    [
      '{"statusCode": 404, "headers": {"Content-Type": "text/html", "x-n": 5, "x-none": None}, "body": "<p>"}',
      404,
      ['Content-Type', 'text/html', 'x-n', '5'],
      '<p>',
    ],
    [
      '{"statusCode": 200, "headers": {"x": ["1", "2"]}, "cookies": ["a=1; Path=/", "b=2"], "body": ""}',
      200,
      ['x', '1', 'x', '2', 'set-cookie', 'a=1; Path=/', 'set-cookie', 'b=2'],
      '',
    ],
    [
      '{"statusCode": 200, "headers": {"x": "caf\\xe9"}, "body": base64.b64encode(b"\\x00\\x01").decode(), "isBase64Encoded": True}',
      200,
      ['x', 'café', ...binary],
      '\0\u0001',
    ],
    ['{"statusCode": 200, "body": bytearray(b"\\x00\\x01")}', 200, binary, '\0\u0001'],
    ['{"price": __import__("decimal").Decimal("1.25"), 5: "number as key"}', 200, json, '{"price":1.25,"5":"number as key"}'],
    ['"half a pair: \\ud83d"', 200, json, 'half a pair: ?'],
  ] as [string, number, string[], string][]) {
    const outcome = await guest.http({ method: 'POST', body: result }).outcome;
    assert.deepEqual([outcome.error, outcome.status, outcome.headers, outcome.body.toString()], [undefined, status, headers, body], result);
  }
});

test('what cannot be a response is a BadResponse that says why', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'import datetime\ndef loop():\n    x = []\n    x.append(x)\n    return x\ndef handler(event, context):\n    return eval(event["body"])\n',
  });
  for (const [result, message] of [
    [
      '{"items": [1, {"at": datetime.date(2026, 1, 2)}]}',
      /^the result\['items'\]\[1\]\['at'\] is of type date, which JSON cannot hold; convert it first$/,
    ],
    ['{(1, 2): 3}', /^the result has a key of type tuple/],
    ['[float("nan")]', /^the result\[0\] is nan, which JSON cannot hold$/],
    ['loop()', /nested deeper than 100 levels, or holds itself/],
    ['{1, 2}', /^the result is of type set/],
    ['(x for x in "ab")', /^the result is of type generator/],
    ['{"statusCode": 99}', /^statusCode is 99; it must be a whole number from 200 to 599$/],
    ['{"statusCode": "ok"}', /^statusCode is 'ok'/],
    ['{"statusCode": True}', /^statusCode is True/],
    ['{"statusCode": 200, "headers": ["a"]}', /^headers is of type list/],
    ['{"statusCode": 200, "headers": {"a b": "c"}}', /^'a b' cannot be the name of a header$/],
    ['{"statusCode": 200, "headers": {"a": "b\\r\\nset-cookie: x"}}', /^header a has a value that HTTP cannot carry/],
    ['{"statusCode": 200, "headers": {"a": "漢"}}', /^header a has a value that HTTP cannot carry/],
    ['{"statusCode": 200, "headers": {"a": object()}}', /^header a is of type object/],
    ['{"statusCode": 200, "headers": {"a": "x" * 2_000_000}}', /^the headers have \d+ bytes/],
    ['{"statusCode": 200, "cookies": "a=1"}', /^cookies is of type str/],
    ['{"statusCode": 200, "body": "not base64!", "isBase64Encoded": True}', /^isBase64Encoded is true, but body is not base64/],
    ['{"statusCode": 200, "body": object()}', /^body is of type object/],
    ['{"statusCode": 200, "body": {"a": b"x"}}', /^body\['a'\] is of type bytes/],
    ['{"statusCode": 200, "body": iter([5])}', /^body yielded a value of type int/],
  ] as [string, RegExp][]) {
    const { error } = await guest.http({ method: 'POST', body: result }).outcome;
    assert.equal(error?.name, 'BadResponse', result);
    assert.match(error.message, message);
  }
});

test('a direct invocation takes JSON, text or bytes, and answers JSON or bytes', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def handler(event, context):\n    return event if not isinstance(event, bytes) or event == b"raw" else [type(event).__name__, len(event)]\n',
  });
  const run = async (contentType: string, body: string | Buffer) => {
    const { headers, body: answer, error } = await guest.invoke(null, { contentType, body }).outcome;
    return [error?.message ?? headers[1], answer.toString()];
  };
  assert.deepEqual(await run('application/json', '{"statusCode":1}'), ['application/json', '{"statusCode":1}']);
  assert.deepEqual(await run('application/json', ''), ['application/json', '{}']);
  assert.deepEqual(await run('application/json', '"text"'), ['application/json', '"text"']);
  assert.deepEqual(await run('text/csv; charset=utf-8', 'a,ü'), ['application/json', '"a,ü"']);
  assert.deepEqual(await run('image/png', Buffer.from([1, 2])), ['application/json', '["bytes",2]']);
  assert.deepEqual(await run('image/png', 'raw'), ['application/octet-stream', 'raw']);
  assert.match((await run('application/json', '{"a":'))[0]!, /^the payload is not valid JSON: /);
});

for (const [kind, code] of [
  [
    'a generator',
    'def body():\n    yield "one "\n    yield b""\n    yield b"two "\n    yield "drei ü"\ndef handler(event, context):\n    return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": body()}\n',
  ],
  [
    'a list iterator',
    'def handler(event, context):\n    return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": iter(["one ", "two ", "drei ü"])}\n',
  ],
  [
    'an async generator of an async handler',
    'import asyncio\nasync def body():\n    yield "one "\n    await asyncio.sleep(0)\n    yield "two "\n    yield "drei ü"\nasync def handler(event, context):\n    return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": body()}\n',
  ],
  [
    'an async generator of a plain handler',
    'import asyncio\nasync def body():\n    yield "one "\n    await asyncio.sleep(0)\n    yield "two "\n    yield "drei ü"\ndef handler(event, context):\n    return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": body()}\n',
  ],
  [
    'a generator of an async handler',
    'def body():\n    yield "one "\n    yield "two "\n    yield "drei ü"\nasync def handler(event, context):\n    return {"statusCode": 200, "headers": {"content-type": "text/event-stream"}, "body": body()}\n',
  ],
] as const) {
  test(`a body may be ${kind}: each chunk is sent as it comes`, async () => {
    await using guest = await GuestUnderTest.start({ code });
    for (let round = 0; round < 2; round++) {
      const stream = guest.http();
      const { status, headers, body, error } = await stream.outcome;
      assert.deepEqual(
        [error, status, headers, body.toString()],
        [undefined, 200, ['content-type', 'text/event-stream'], 'one two drei ü'],
      );
      assert.deepEqual(stream.chunks.map((chunk) => chunk.toString()).filter(Boolean), ['one ', 'two ', 'drei ü']);
    }
  });
}

for (const [kind, concurrency, code] of [
  ['bytes', 1, 'def handler(event, context):\n    return {"statusCode": 200, "body": b"x" * 1_000_000}\n'],
  ['a generator', 1, 'def handler(event, context):\n    return {"statusCode": 200, "body": (b"x" * 100_000 for _ in range(10))}\n'],
  ['async bytes', 2, 'async def handler(event, context):\n    return {"statusCode": 200, "body": b"x" * 1_000_000}\n'],
  [
    'an async generator',
    2,
    'async def body():\n    for _ in range(10):\n        yield b"x" * 100_000\nasync def handler(event, context):\n    return {"statusCode": 200, "body": body()}\n',
  ],
] as const) {
  test(`a slow reader holds an answer up at the credit window: ${kind}`, async () => {
    await using guest = await GuestUnderTest.start({ code, withholdCredit: true, init: { concurrency } });
    const stream = guest.http();
    await guest.until(() => stream.receivedBytes >= CREDIT_WINDOW);
    guest.credit(stream, 10);
    await guest.until(() => stream.receivedBytes >= CREDIT_WINDOW + 10);
    if (concurrency > 1) {
      // The event loop serves others meanwhile.
      const other = guest.http();
      await guest.until(() => other.receivedBytes >= CREDIT_WINDOW);
      guest.cancel(other);
      assert.equal((await other.outcome).error?.name, 'Cancelled');
    }
    assert.equal(stream.receivedBytes, CREDIT_WINDOW + 10);
    guest.credit(stream, 1_000_000);
    assert.equal((await stream.outcome).body.length, 1_000_000);
  });
}

test('a generator is closed when the client leaves, and the next invocation runs', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
closed = 0
def body():
    global closed
    try:
        while True:
            yield b"x" * 65536
    finally:
        closed += 1
def handler(event, context):
    return {"statusCode": 200, "body": body()} if event["rawPath"] == "/stream" else closed
`,
    withholdCredit: true,
  });
  const stream = guest.http({ url: 'http://a.localhost/stream' });
  await guest.until(() => stream.receivedBytes >= CREDIT_WINDOW);
  guest.cancel(stream);
  assert.equal((await stream.outcome).error?.name, 'Cancelled');
  assert.equal((await guest.http().outcome).body.toString(), '1');
});

test('an error before the first chunk is clean; one after it ends the stream', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def body(n):\n    for _ in range(n):\n        yield "chunk"\n    raise ValueError("broken")\ndef handler(event, context):\n    return {"statusCode": 200, "body": body(int(event["rawPath"][1:]))}\n',
  });
  for (const chunks of [0, 2]) {
    const { status, body, error } = await guest.http({ url: `http://a.localhost/${chunks}` }).outcome;
    assert.deepEqual([status, body.toString(), error?.name], [chunks === 0 ? 0 : 200, 'chunk'.repeat(chunks), 'ValueError']);
    assert.match(error!.stack, /main.py", line 4, in body/);
  }
});

test('an answer to HEAD has no body', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def handler(event, context):\n    return {"statusCode": 200, "body": "page"}\n',
  });
  const { status, body, headers } = await guest.http({ method: 'HEAD' }).outcome;
  assert.deepEqual([status, body.length, headers[0]], [200, 0, 'content-type']);
});
