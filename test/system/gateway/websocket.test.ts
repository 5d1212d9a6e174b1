// WebSockets that live at the gateway, with `ws` as the client: the chat of examples/chat, deployed as it is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Client, refusal } from './socket-client.ts';

const FORMS = {
  'virga.yaml': `
project: forms
functions:
  web:
    source: web.mjs
    http:
      - path: /web
        methods: [GET]
        websocket: {subprotocols: [one, two], maxMessage: 1 KiB}
  python:
    source: sockets.py
    http:
      - path: /python
        websocket: {}
  aws:
    source: aws.mjs
    form: lambda
    http:
      - path: /aws
        websocket: {routeSelection: $request.body.action}
  awspy:
    source: awspy.py
    form: lambda
    http:
      - path: /awspy
        websocket: {routeSelection: $request.body.action}
  sleepy:
    source: sleepy.mjs
    idle: 1s
    http:
      - path: /sleepy
        websocket: {}
        throttle: {rate: 2/h}
  plain:
    source: plain.mjs
    egress: none
    http: POST /send/{id}
`,
  'web.mjs': `export default {
    fetch: () => new Response('not for events'),
    event: ({ type, data }) => {
      if (type === 'virga.websocket.connect') return { status: 200, send: Buffer.from(data.connectionId), state: { agent: data.headers['user-agent'] } };
      if (type === 'virga.websocket.disconnect') return console.log('left with ' + data.code);
      if (data.isBinary) return Buffer.from(data.base64, 'base64').reverse();
      if (data.text === 'fail') throw new Error('no');
      return JSON.stringify([data.text, data.state, data.subprotocol ?? null]);
    },
  };`,
  'sockets.py': `
def handler(event, context):
    data = event["data"]
    if event["type"].endswith(".connect"):
        if data["query"].get("secret") != "yes":
            return {"status": 401, "body": "the secret?"}
        return {"groups": ["snakes"], "state": 1}
    if event["type"].endswith(".message"):
        context.connections.send(data["connectionId"], b"first")
        try:
            context.connections.send("con_none", "x")
        except Exception as error:
            code = error.code
        return {"send": "then " + code, "state": data["state"] + 1, "close": data["state"] == 2}
`,
  'aws.mjs': `export const handler = async (event) => {
    const { eventType, routeKey, connectionId } = event.requestContext;
    if (eventType === 'CONNECT') return { statusCode: event.queryStringParameters?.token === 'x' ? 200 : 403 };
    if (eventType === 'MESSAGE') await globalThis[Symbol.for('virga.connections')].send(connectionId, routeKey + ' ' + event.body);
    return { statusCode: 200, body: 'not for the client' };
  };`,
  'awspy.py': `
def handler(event, context):
    told = event["requestContext"]
    if told["eventType"] == "CONNECT":
        return {"statusCode": 200 if (event.get("queryStringParameters") or {}).get("token") == "x" else 403}
    if told["eventType"] == "MESSAGE":
        context.connections.send(told["connectionId"], told["routeKey"] + " " + event["body"])
    return {"statusCode": 200, "body": "not for the client"}
`,
  'sleepy.mjs': `const bornAt = Date.now(); export const handler = ({ type }) => (type.endsWith('message') ? String(bornAt) : undefined);`,
  'plain.mjs': `export default { async fetch(request, { connections, params }) {
    try {
      await connections.send(params.id, await request.text());
      return new Response('sent');
    } catch (error) {
      return new Response(error.code, { status: 404 });
    }
  } };`,
};
const OTHER = {
  'virga.yaml': `
project: other
functions:
  plain:
    source: plain.mjs
    http: POST /send/{id}
`,
  'plain.mjs': FORMS['plain.mjs'],
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await Promise.all([
    virga.cli(['deploy', join(ROOT, 'examples', 'chat'), '--json']),
    virga.deploy(FORMS),
    virga.deploy(OTHER),
  ]);
  for (const { code, stderr } of deployed) assert.equal(code, 0, stderr);
});
after(() => virga[Symbol.asyncDispose]());

const enter = (room: string, name: string) => Client.open(`${virga.edgeUrl}/@chat/rooms/${room}?name=${name}`);

test('a chat: who connects, speaks and leaves is heard by the others of the room', async () => {
  const ada = await enter('math', 'Ada');
  assert.deepEqual(await ada.json(), { welcome: 'Ada', room: 'math' });
  const bob = await enter('math', 'Bob');
  assert.deepEqual(await bob.json(), { welcome: 'Bob', room: 'math' });
  assert.deepEqual(await ada.json(), { joined: 'Bob' });
  const eve = await enter('physics', 'Eve');
  assert.deepEqual(await eve.json(), { welcome: 'Eve', room: 'physics' });
  ada.send('hello');
  assert.deepEqual(await bob.json(), { from: 'Ada', text: 'hello' });
  assert.deepEqual(await ada.json(), { heardBy: 1 });
  // Compressed both ways, since ws offers it and the route takes it.
  assert.match(ada.socket.extensions, /permessage-deflate/);
  const long = 'so much to say '.repeat(500);
  ada.send(long);
  assert.deepEqual(await bob.json(), { from: 'Ada', text: long });
  assert.deepEqual(await ada.json(), { heardBy: 1 });
  const announced = await virga.fetch('chat', '/announcements', {
    method: 'POST',
    body: 'tea is ready',
    headers: { 'content-type': 'text/plain' },
  });
  assert.deepEqual(await announced.json(), { toldTo: 3 });
  for (const client of [ada, bob, eve]) assert.deepEqual(await client.json(), { announcement: 'tea is ready' });
  bob.close(1000, 'bye');
  assert.deepEqual(await ada.json(), { left: 'Bob' });
  assert.deepEqual(await bob.closed, { code: 1000, reason: '' });
  const records = await eventually(async () => {
    const { stdout } = await virga.cli(['invocations', 'rooms', '--project', 'chat', '--json']);
    const found = JSON.parse(stdout) as { trigger: string; request: string; outcome: string }[];
    return found.length >= 5 ? found : undefined;
  });
  assert.ok(records.every((record) => record.trigger === 'websocket' && record.outcome === 'ok'));
  ada.close();
  eve.close();
});

test('a function may refuse a connection, with its own status and words', async () => {
  const refused = await refusal(`${virga.edgeUrl}/@chat/rooms/math`);
  assert.deepEqual([refused.status, refused.body], [400, 'say who you are: ?name=…']);
});

test('what is no handshake is told what the route is', async () => {
  const answer = await virga.fetch('chat', '/rooms/math?name=Ada');
  assert.equal(answer.status, 426);
  assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'websocket_required');
});

const open = (path: string, options?: Parameters<typeof Client.open>[1]) => Client.open(`${virga.edgeUrl}/@forms${path}`, options);

test('web style: the event export gets the events; text, bytes, state and subprotocols go both ways', async () => {
  const client = await open('/web', { subprotocols: ['none', 'two', 'one'], headers: { 'user-agent': 'test' } });
  assert.equal(client.socket.protocol, 'two');
  assert.match(String(await client.next()), /^con_/);
  client.send('hello ü');
  assert.deepEqual(await client.json(), ['hello ü', { agent: 'test' }, 'two']);
  client.send(Buffer.from([1, 2, 255]));
  assert.deepEqual(await client.next(), Buffer.from([255, 2, 1]));
  client.send('x'.repeat(1_025));
  assert.deepEqual(await client.closed, { code: 1009, reason: 'more than 1024 bytes' });
  const failing = await open('/web');
  await failing.next();
  failing.send('fail');
  assert.deepEqual(await failing.closed, { code: 1011, reason: 'function_error' });
  const left = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'web', '--project', 'forms', '--json']);
    return /left with 1009/.test(stdout) && /left with 1011/.test(stdout) ? stdout : undefined;
  });
  assert.ok(left);
});

test('Python: events, groups, sending on the way, and closing', async () => {
  const refused = await refusal(`${virga.edgeUrl}/@forms/python`);
  assert.deepEqual([refused.status, refused.body], [401, 'the secret?']);
  const client = await open('/python?secret=yes');
  for (const _ of [1, 2]) {
    client.send('go');
    assert.deepEqual(await client.next(), Buffer.from('first'));
    assert.equal(await client.next(), 'then connection_not_found');
  }
  assert.equal((await client.closed).code, 1000);
});

test('code of AWS Lambda gets the events of API Gateway', async () => {
  for (const path of ['/aws', '/awspy']) {
    assert.equal((await refusal(`${virga.edgeUrl}/@forms${path}`)).status, 403, path);
    const client = await open(`${path}?token=x`);
    client.send('{"action":"order","n":1}');
    assert.equal(await client.next(), 'order {"action":"order","n":1}');
    client.send('no JSON');
    assert.equal(await client.next(), '$default no JSON');
    client.close();
  }
});

test('any function of the project may send, without a network; none of another project', async () => {
  const client = await open('/web');
  const id = String(await client.next());
  const send = async (project: string, to: string) => {
    const answer = await virga.fetch(project, `/send/${to}`, { method: 'POST', body: `from ${project}` });
    return [answer.status, await answer.text()];
  };
  assert.deepEqual(await send('other', id), [404, 'connection_not_found']);
  assert.deepEqual(await send('forms', id), [200, 'sent']);
  assert.equal(await client.next(), 'from forms');
  client.close();
  await client.closed;
  assert.deepEqual(await send('forms', id), [404, 'connection_not_found']);
});

test('operators list connections, send to them, and close them', async () => {
  const client = await open('/python?secret=yes');
  const connections = async (...args: string[]) => await virga.cli(['connections', ...args, '--project', 'forms', '--json']);
  const listed = (await connections('list', '--group', 'snakes')).json<{ id: string; route: string; function: string }[]>();
  assert.deepEqual(
    listed.map(({ route, function: fn }) => [route, fn]),
    [['/python', 'python']],
  );
  const { id } = listed[0]!;
  assert.deepEqual((await connections('send', id, 'to you')).json(), { sent: 1 });
  assert.deepEqual((await connections('send', '--group', 'snakes', 'to snakes')).json(), { sent: 1 });
  assert.deepEqual([await client.next(), await client.next()], ['to you', 'to snakes']);
  assert.equal((await connections('close', id, '--code', '4001', '--reason', 'enough')).code, 0);
  assert.deepEqual(await client.closed, { code: 4001, reason: 'enough' });
  const gone = await connections('send', id, 'x');
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /has no connection/);
  assert.match((await connections('send', id)).stderr, /needs the id of a connection/);
});

test('a connection that is silent holds no instance; a message brings one back', async () => {
  const client = await open('/sleepy');
  client.send('awake?');
  const first = await client.next();
  await eventually(async () => {
    const { edge } = (await virga.cli(['status', '--json'])).json<{
      edge: { webSockets: number; functions: { function: string; idle: number }[] };
    }>();
    const instances = edge.functions.find((fn) => fn.function === 'sleepy')?.idle ?? 0;
    return edge.webSockets > 0 && instances === 0 ? true : undefined;
  });
  client.send('awake?');
  assert.notEqual(await client.next(), first);
  client.close();
});

test('rules of the route hold for the handshake', async () => {
  const again = await open('/sleepy');
  const refused = await refusal(`${virga.edgeUrl}/@forms/sleepy`);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  again.close();
});

test('pages of other hosts may not connect unless they are named', async () => {
  const refused = await refusal(`${virga.edgeUrl}/@forms/web`, { origin: 'https://evil.example' });
  assert.equal(refused.status, 403);
  const client = await open('/web', { origin: virga.edgeUrl });
  client.close();
});

test('a deployment keeps connections: the next message goes to the new version; a route that is gone lets them go', async () => {
  const project = (text: string, websocket = 'websocket: {}') => ({
    'virga.yaml': `project: moving\nfunctions:\n  f:\n    source: f.mjs\n    http:\n      - {path: /, ${websocket}}\n`,
    'f.mjs': `export const handler = ({ type }) => (type === 'virga.websocket.message' ? '${text}' : undefined);`,
  });
  await virga.deploy(project('old'));
  const client = await Client.open(`${virga.edgeUrl}/@moving/`);
  client.send('who?');
  assert.equal(await client.next(), 'old');
  await virga.deploy(project('new'));
  client.send('who?');
  assert.equal(await client.next(), 'new');
  await virga.deploy(project('gone', 'methods: [GET]'));
  assert.deepEqual(await client.closed, { code: 1001, reason: 'no such route any more' });
});

test('rules that make no sense are refused with their place', async () => {
  const wrong = async (route: string) =>
    (
      await virga.deploy({
        ...FORMS,
        'virga.yaml': `project: forms\nfunctions:\n  web:\n    source: web.mjs\n    http:\n      - ${route}\n`,
      })
    ).stderr;
  assert.match(await wrong('{path: /, websocket: {idel: 5m}}'), /virga\.yaml:6:\d+.*websocket has no key 'idel'.*did you mean 'idle'/);
  assert.match(await wrong('{path: /, websocket: {maxMessage: 5 GiB}}'), /a size with its unit from 1\.0 KiB to 512 KiB/);
  assert.match(await wrong('{path: /, methods: [POST], websocket: {}}'), /a WebSocket begins with GET/);
  assert.match(await wrong('{path: /, websocket: {origins: [example.com]}}'), /an origin such as/);
});

test('a node that stops closes with 1001; after a crash of the edge clients connect again', async () => {
  const lost = await open('/web');
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  assert.equal((await lost.closed).code, 1006);
  const again = await eventually(async () => await open('/web').catch(() => undefined));
  assert.match(String(await again.next()), /^con_/);
  const stopped = virga.stop();
  assert.deepEqual(await again.closed, { code: 1001, reason: 'going away' });
  await stopped;
});
