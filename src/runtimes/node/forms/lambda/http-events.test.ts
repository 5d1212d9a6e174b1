// Golden: HTTP requests as API Gateway and function URLs give them to functions, field by field against the examples in AWS's
// documentation, whose values are written here by hand. The requests are those that AWS's examples stand for. Types:
// @types/aws-lambda. Where an example has what needs an authorizer or a client certificate, which nobody has here, it is left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { APIGatewayProxyEvent, APIGatewayProxyEventV2, LambdaFunctionURLEvent } from 'aws-lambda';
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import { lambdaIdentity } from './environment.ts';
import type { LambdaIdentity } from './environment.ts';
import { fromLambdaResult, toLambdaEvent } from './events.ts';

const identity: LambdaIdentity = {
  ...lambdaIdentity({ project: 'api-id', function: 'my-function', version: 1, handler: 'index.js#handler', memoryMiB: 128, env: {} }),
  account: '123456789012',
};
const ID = 'inv_01jcwzr4k8q2v5m7n9p1r3s5t7';

function request(overrides: Partial<HttpRequestMeta> = {}): HttpRequestMeta {
  return {
    kind: 'http',
    id: ID,
    trace: '',
    method: 'POST',
    url: 'http://id.execute-api.us-east-1.amazonaws.com/my/path?parameter1=value1&parameter1=value2&parameter2=value',
    headers: ['header1', 'value1', 'header2', 'value1', 'header2', 'value2', 'user-agent', 'agent', 'cookie', 'cookie1; cookie2'],
    route: '/my/{parameter1}',
    params: { parameter1: 'value1' },
    client: '192.0.2.1',
    ...overrides,
  };
}

function eventOf<E>(httpEvent: string, meta: HttpRequestMeta, body = ''): E {
  return toLambdaEvent(meta, Buffer.from(body), { identity, httpEvent }) as E;
}

/** The moment is checked, then replaced by that of the example. */
function atTheTime<E>(event: E, keys: [time: string, epoch: string], [time, epoch]: [string, number]): E {
  const context = (event as { requestContext: Record<string, unknown> }).requestContext;
  const now = new Date();
  const said = String(context[keys[0]]);
  assert.match(said, /^\d\d\/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  assert.equal(new Date(said.replace(':', ' ')).getTime(), Math.floor(Number(context[keys[1]]) / 1000) * 1000);
  assert.ok(Math.abs(Number(context[keys[1]]) - now.getTime()) < 60_000);
  context[keys[0]] = time;
  context[keys[1]] = epoch;
  return event;
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
test('payload format 2.0, as documented', () => {
  const expected: APIGatewayProxyEventV2 = {
    version: '2.0',
    routeKey: 'POST /my/{parameter1}',
    rawPath: '/my/path',
    rawQueryString: 'parameter1=value1&parameter1=value2&parameter2=value',
    cookies: ['cookie1', 'cookie2'],
    headers: { header1: 'value1', header2: 'value1,value2', 'user-agent': 'agent' },
    queryStringParameters: { parameter1: 'value1,value2', parameter2: 'value' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api-id',
      domainName: 'id.execute-api.us-east-1.amazonaws.com',
      domainPrefix: 'id',
      http: { method: 'POST', path: '/my/path', protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'agent' },
      requestId: ID,
      routeKey: 'POST /my/{parameter1}',
      stage: '$default',
      time: '12/Mar/2020:19:03:58 +0000',
      timeEpoch: 1_583_348_638_390,
    },
    body: 'Hello from Lambda',
    pathParameters: { parameter1: 'value1' },
    isBase64Encoded: false,
  };
  const event = eventOf<APIGatewayProxyEventV2>('2.0', request(), 'Hello from Lambda');
  assert.deepEqual(atTheTime(event, ['time', 'timeEpoch'], ['12/Mar/2020:19:03:58 +0000', 1_583_348_638_390]), expected);
});

test('payload format 2.0: what a request does not have is not there', () => {
  const event = eventOf<APIGatewayProxyEventV2>('2.0', request({ url: 'http://a.test/', headers: [], params: {}, route: '/' }));
  assert.deepEqual(Object.keys(event).toSorted(), [
    'headers',
    'isBase64Encoded',
    'rawPath',
    'rawQueryString',
    'requestContext',
    'routeKey',
    'version',
  ]);
});

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html and, of REST APIs,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html. Of several values of a
// parameter AWS's abridged example shows the first; API Gateway gives the last, as the example with `multivalueName` shows.
test('payload format 1.0, as documented', () => {
  const expected: APIGatewayProxyEvent & { version: string } = {
    version: '1.0',
    resource: '/my/path',
    path: '/my/path',
    httpMethod: 'GET',
    headers: { header1: 'value1', header2: 'value2', 'User-Agent': 'user-agent' },
    multiValueHeaders: { header1: ['value1'], header2: ['value1', 'value2'], 'User-Agent': ['user-agent'] },
    queryStringParameters: { parameter1: 'value2', parameter2: 'value' },
    multiValueQueryStringParameters: { parameter1: ['value1', 'value2'], parameter2: ['value'] },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api-id',
      authorizer: { claims: null, scopes: null },
      domainName: 'id.execute-api.us-east-1.amazonaws.com',
      domainPrefix: 'id',
      extendedRequestId: ID,
      httpMethod: 'GET',
      identity: {
        accessKey: null,
        accountId: null,
        apiKey: null,
        apiKeyId: null,
        caller: null,
        clientCert: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp: '192.0.2.1',
        user: null,
        userAgent: 'user-agent',
        userArn: null,
      },
      path: '/my/path',
      protocol: 'HTTP/1.1',
      requestId: ID,
      requestTime: '04/Mar/2020:19:15:17 +0000',
      requestTimeEpoch: 1_583_349_317_135,
      // As HTTP APIs give it: https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
      resourceId: 'GET /my/path',
      resourcePath: '/my/path',
      stage: '$default',
    },
    pathParameters: null,
    stageVariables: null,
    body: 'Hello from Lambda!',
    isBase64Encoded: false,
  };
  const headers = ['header1', 'value1', 'header2', 'value1', 'header2', 'value2', 'user-agent', 'user-agent'];
  const event = eventOf<APIGatewayProxyEvent>(
    '1.0',
    request({ method: 'GET', route: '/my/path', params: {}, headers }),
    'Hello from Lambda!',
  );
  assert.deepEqual(atTheTime(event, ['requestTime', 'requestTimeEpoch'], ['04/Mar/2020:19:15:17 +0000', 1_583_349_317_135]), expected);
});

test('payload format 1.0: the last of several values, null for what is missing, headers under both spellings', () => {
  const url = 'http://a.test/hello/world?name=me&multivalueName=you&multivalueName=me';
  const event = eventOf<APIGatewayProxyEvent>(
    '1.0',
    request({ url, headers: ['content-type', 'text/plain', 'x-api-key', 'k', '__proto__', 'x'] }),
  );
  assert.deepEqual(event.queryStringParameters, { name: 'me', multivalueName: 'me' });
  assert.deepEqual(event.multiValueQueryStringParameters, { name: ['me'], multivalueName: ['you', 'me'] });
  assert.equal(event.body, null);
  assert.deepEqual(event.pathParameters, { parameter1: 'value1' });
  assert.deepEqual([event.headers['Content-Type'], event.headers['content-type']], ['text/plain', 'text/plain']);
  assert.deepEqual([event.multiValueHeaders['content-type'], event.headers['x-api-key']], [['text/plain'], 'k']);
  assert.equal(JSON.stringify(event.headers), '{"Content-Type":"text/plain","x-api-key":"k"}');
  const none = eventOf<APIGatewayProxyEvent>('1.0', request({ url: 'http://a.test/' }));
  assert.deepEqual([none.queryStringParameters, none.multiValueQueryStringParameters], [null, null]);
});

// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html. Without IAM nobody is known to call: the account is
// `anonymous`, and authentication, authorizer, pathParameters and stageVariables, which function URLs set to null, are left out.
test('function URL, as documented', () => {
  const expected: LambdaFunctionURLEvent = {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/my/path',
    rawQueryString: 'parameter1=value1&parameter1=value2&parameter2=value',
    cookies: ['cookie1', 'cookie2'],
    headers: { header1: 'value1', header2: 'value1,value2', 'user-agent': 'agent' },
    queryStringParameters: { parameter1: 'value1,value2', parameter2: 'value' },
    requestContext: {
      accountId: 'anonymous',
      apiId: 'api-id',
      domainName: 'url-id.lambda-url.us-west-2.on.aws',
      domainPrefix: 'url-id',
      http: { method: 'POST', path: '/my/path', protocol: 'HTTP/1.1', sourceIp: '123.123.123.123', userAgent: 'agent' },
      requestId: '64ce7f04-9a2e-82d9-9a1e-a9b0703c9747',
      routeKey: '$default',
      stage: '$default',
      time: '12/Mar/2020:19:03:58 +0000',
      timeEpoch: 1_583_348_638_390,
    },
    body: 'Hello from client!',
    isBase64Encoded: false,
  };
  const url = 'http://url-id.lambda-url.us-west-2.on.aws/my/path?parameter1=value1&parameter1=value2&parameter2=value';
  const meta = request({ url, client: '123.123.123.123', route: '/{path+}', params: {} });
  const event = eventOf<LambdaFunctionURLEvent>('function-url', meta, 'Hello from client!');
  assert.deepEqual(atTheTime(event, ['time', 'timeEpoch'], ['12/Mar/2020:19:03:58 +0000', 1_583_348_638_390]), expected);
});

test('the body is text or base64, and the trace is in a header', () => {
  for (const httpEvent of ['2.0', '1.0', 'function-url']) {
    const trace = '00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01';
    const meta = request({ headers: ['content-type', 'image/png'], trace });
    const event = toLambdaEvent(meta, Buffer.from([1, 0, 255]), { identity, httpEvent }) as APIGatewayProxyEvent;
    assert.deepEqual([event.body, event.isBase64Encoded], ['AQD/', true]);
    assert.equal(event.headers['x-amzn-trace-id'], 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1');
  }
});

const responseOf = (httpEvent: string, result: unknown) => {
  const { status, headers, body } = fromLambdaResult(result, { meta: request(), event: {}, httpEvent });
  return { status, headers, body: body.toString() };
};

// The table in https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
test('responses of format 2.0: structured or inferred', () => {
  const json = ['content-type', 'application/json'];
  assert.deepEqual(responseOf('2.0', 'Hello from Lambda!'), { status: 200, headers: json, body: 'Hello from Lambda!' });
  assert.deepEqual(responseOf('2.0', { message: 'Hello from Lambda!' }), {
    status: 200,
    headers: json,
    body: '{"message":"Hello from Lambda!"}',
  });
  assert.deepEqual(
    responseOf('2.0', {
      cookies: ['cookie1', 'cookie2'],
      statusCode: 201,
      headers: { headername: 'headervalue' },
      body: 'AQID',
      isBase64Encoded: true,
    }),
    {
      status: 201,
      headers: ['headername', 'headervalue', 'set-cookie', 'cookie1', 'set-cookie', 'cookie2', 'content-type', 'text/plain;charset=UTF-8'],
      body: '\x01\x02\x03',
    },
  );
});

// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html: of 'Hello, world!' the client sees 15 bytes, with the quotes.
test('responses of function URLs: a text that is all of the result is JSON too', () => {
  const json = ['content-type', 'application/json'];
  assert.deepEqual(responseOf('function-url', 'Hello, world!'), { status: 200, headers: json, body: '"Hello, world!"' });
  assert.deepEqual(responseOf('function-url', { message: 'Hello, world!' }).body, '{"message":"Hello, world!"}');
  const custom = { statusCode: 201, headers: { 'My-Custom-Header': 'Custom Value' }, body: '{}', cookies: ['Cookie_1=Value1'] };
  assert.deepEqual(responseOf('function-url', custom), {
    status: 201,
    headers: ['My-Custom-Header', 'Custom Value', 'set-cookie', 'Cookie_1=Value1', ...json],
    body: '{}',
  });
});

// "If you specify values for both headers and multiValueHeaders, API Gateway merges them into a single list. If the same
// key-value pair is specified in both, only the values from multiValueHeaders will appear in the merged list."
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
test('responses of format 1.0: headers of one and of several values, and nothing inferred', () => {
  const headers = { 'X-One': 'a', 'set-cookie': 'b=2', 'x-number': 7 };
  const multiValueHeaders = { 'Set-Cookie': ['a=1', 'b=2'] };
  assert.deepEqual(responseOf('1.0', { statusCode: 200, headers, multiValueHeaders, body: 'x' }), {
    status: 200,
    headers: ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-One', 'a', 'x-number', '7', 'content-type', 'application/json'],
    body: 'x',
  });
  assert.deepEqual(responseOf('1.0', { statusCode: '204', headers: null, body: null }), { status: 204, headers: [], body: '' });
  const message = (result: unknown): string => {
    try {
      return JSON.stringify(responseOf('1.0', result));
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  assert.match(message('plain'), /^BadResponse: its result is 'plain'; with httpEvent: '1\.0' it must be an object with statusCode/);
  assert.match(message({ message: 'x' }), /its result is an object without statusCode/);
  assert.match(message(undefined), /its result is undefined/);
  assert.match(message({ statusCode: 200, body: { a: 1 } }), /its body is an object; it must be a string/);
  assert.match(message({ statusCode: 200, multiValueHeaders: ['x'] }), /its multiValueHeaders are an array/);
});
