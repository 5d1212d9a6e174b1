// Connections and what they are bounded by, over real sockets: groups, sends to many, slow clients, silence, failures, a function
// that is busy, other projects, the end of the node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { CloudEvent, SocketConnect, SocketMessage } from '../../protocol/events.ts';
import type { ServiceAnswer, ServiceRequest } from '../../protocol/frames.ts';
import { RouteTable } from '../route-table.ts';
import { GuestDoor } from './guest-door.ts';
import { echoing } from './hub-under-test.ts';
import type { Answering } from './hub-under-test.ts';
import { Opcode } from './wire.ts';
import { masked, rawClient } from './wire-under-test.ts';

const { text: TEXT, close: CLOSE, ping: PING } = Opcode;
type Setup = Awaited<ReturnType<typeof echoing>>;
type Raw = Awaited<ReturnType<typeof rawClient>>;

const ask = (gateway: Setup, request: ServiceRequest, data = '', project = 'p') =>
  new Promise<ServiceAnswer>((resolve) => new GuestDoor(gateway.hub).serve({ project }, request, Buffer.from(data), resolve));
const codeOf = (answer: ServiceAnswer) => ('error' in answer ? answer.error.code : 'ok');
const textOf = async (client: Raw) => (await client.frame())?.payload.toString();
const closeCode = async (client: Raw) => {
  for (let frame = await client.frame(); frame !== undefined; frame = await client.frame()) {
    if (frame.opcode === CLOSE) return frame.payload.readUInt16BE(0);
  }
  return 1006;
};
/** Tells each client its id, and puts it into the groups that its query names. */
const joining: Answering = (event: CloudEvent<SocketConnect>) =>
  event.type === 'virga.websocket.connect'
    ? { send: event.data!.connectionId, groups: (event.data!.query['in'] ?? '').split(',').filter(Boolean) }
    : undefined;

test('one, a group, or all are sent to; a group is joined and left', async () => {
  await using gateway = await echoing({}, joining);
  await using a = await rawClient(gateway.port, '/chat?in=red');
  await using b = await rawClient(gateway.port, '/chat?in=red,blue');
  const [idA, idB] = [(await textOf(a))!, (await textOf(b))!];
  assert.deepEqual(await ask(gateway, { op: 'connections.send', id: idA, binary: false }, 'to a'), { value: null });
  assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group: 'red', binary: false, except: idA }, 'but a'), {
    value: { sent: 1 },
  });
  assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group: 'blue', binary: false }, 'blue'), { value: { sent: 1 } });
  await ask(gateway, { op: 'connections.join', id: idA, group: 'blue' });
  await ask(gateway, { op: 'connections.leave', id: idB, group: 'blue' });
  assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group: 'blue', binary: false }, 'blue again'), { value: { sent: 1 } });
  assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group: null, binary: true }, 'all'), { value: { sent: 2 } });
  assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group: 'nobody', binary: true }, 'x'), { value: { sent: 0 } });
  assert.deepEqual([await textOf(a), await textOf(a), await textOf(a)], ['to a', 'blue again', 'all']);
  assert.deepEqual([await textOf(b), await textOf(b), await textOf(b)], ['but a', 'blue', 'all']);
  await ask(gateway, { op: 'connections.close', id: idA, code: 4000, reason: 'enough' });
  assert.equal(await closeCode(a), 4000);
});

test('a project reaches its own connections and no others', async () => {
  await using gateway = await echoing({}, joining);
  await using client = await rawClient(gateway.port, '/chat?in=red');
  const id = (await textOf(client))!;
  const others: ServiceRequest[] = [
    { op: 'connections.send', id, binary: false },
    { op: 'connections.close', id },
    { op: 'connections.join', id, group: 'g' },
    { op: 'connections.leave', id, group: 'red' },
  ];
  for (const request of others) assert.equal(codeOf(await ask(gateway, request, 'x', 'other')), 'connection_not_found', request.op);
  for (const group of ['red', null]) {
    assert.deepEqual(await ask(gateway, { op: 'connections.broadcast', group, binary: false }, 'x', 'other'), { value: { sent: 0 } });
  }
  await ask(gateway, { op: 'connections.send', id, binary: false }, 'only this');
  assert.equal(await textOf(client), 'only this');
});

test('requests that make no sense are answered with what is wrong', async () => {
  await using gateway = await echoing({}, joining);
  await using client = await rawClient(gateway.port, '/chat');
  const id = (await textOf(client))!;
  const wrong: [unknown, string][] = [
    [{ op: 'nothing' }, 'invalid_request'],
    [{ op: 'connections.send', id: 7 }, 'invalid_request'],
    [{ op: 'connections.send', id: 'con_none' }, 'connection_not_found'],
    [{ op: 'connections.join', id, group: '' }, 'invalid_request'],
    [{ op: 'connections.broadcast', group: 'x'.repeat(129) }, 'invalid_request'],
    [{ op: 'connections.broadcast' }, 'invalid_request'],
    [{ op: 'connections.close', id, code: 1006 }, 'function_bad_response'],
  ];
  for (const [request, code] of wrong) assert.equal(codeOf(await ask(gateway, request as ServiceRequest)), code, JSON.stringify(request));
  for (let i = 0; i < 50; i++) assert.equal(codeOf(await ask(gateway, { op: 'connections.join', id, group: `g${i}` })), 'ok');
  assert.equal(codeOf(await ask(gateway, { op: 'connections.join', id, group: 'one more' })), 'invalid_request');
});

test('a broadcast to more than a slice reaches all, in the order of what is sent', async () => {
  await using gateway = await echoing({}, joining);
  const clients = await Promise.all(Array.from({ length: 300 }, () => rawClient(gateway.port, '/chat?in=all')));
  const ids = await Promise.all(clients.map(textOf));
  const [first, direct, second] = await Promise.all([
    ask(gateway, { op: 'connections.broadcast', group: 'all', binary: false }, 'one'),
    ask(gateway, { op: 'connections.send', id: ids[299]!, binary: false }, 'two'),
    ask(gateway, { op: 'connections.broadcast', group: 'all', binary: false }, 'three'),
  ]);
  assert.deepEqual([first, direct, second], [{ value: { sent: 300 } }, { value: null }, { value: { sent: 300 } }]);
  assert.deepEqual([await textOf(clients[299]!), await textOf(clients[299]!), await textOf(clients[299]!)], ['one', 'two', 'three']);
  assert.deepEqual([await textOf(clients[0]!), await textOf(clients[0]!)], ['one', 'three']);
  for (const client of clients) client.socket.destroy();
});

test('a client that does not read is closed, and holds no more than its bound', async () => {
  await using gateway = await echoing({}, joining, { bufferBytesMax: 1 << 20 });
  await using client = await rawClient(gateway.port, '/chat');
  const id = (await textOf(client))!;
  client.socket.pause();
  const message = 'x'.repeat(100_000);
  let sent = 0;
  while (codeOf(await ask(gateway, { op: 'connections.send', id, binary: false }, message)) === 'ok') sent++;
  assert.ok(sent > 10 && sent < 500, `${sent} messages`);
  assert.ok(gateway.hub.heldBytes <= (1 << 20) + 200_000, `${gateway.hub.heldBytes} bytes held`);
  client.socket.resume();
  assert.equal(await closeCode(client), 1008);
  assert.equal(gateway.hub.heldBytes, 0);
});

test('while a function is busy, little is read ahead of it', async () => {
  const go = Promise.withResolvers<void>();
  const seen: string[] = [];
  await using gateway = await echoing({}, async (event: CloudEvent<SocketMessage>) => {
    if (event.type !== 'virga.websocket.message') return undefined;
    await go.promise;
    seen.push(event.data!.text!.slice(0, 4));
    return event.data!.text!.slice(0, 4);
  });
  await using client = await rawClient(gateway.port, '/chat');
  const sent = Array.from({ length: 400 }, (_, i) => String(i).padStart(4, '0'));
  const wrote = new Promise<void>((resolve) =>
    client.socket.write(Buffer.concat(sent.map((n) => masked(TEXT, n + 'x'.repeat(50_000)))), () => resolve()),
  );
  // The kernel's buffers take some of the 20 MB; the rest has to wait at the client.
  const first = await Promise.race([wrote.then(() => 'all'), new Promise((resolve) => setTimeout(resolve, 300, 'some'))]);
  assert.equal(first, 'some');
  assert.ok(gateway.hub.heldBytes < 400_000, `${gateway.hub.heldBytes} bytes held`);
  go.resolve();
  for (const n of sent) assert.equal(await textOf(client), n);
  assert.deepEqual(seen, sent);
  assert.equal(gateway.hub.heldBytes, 0);
});

test('what is held for all connections together is bounded: who asks for more is closed with 1013', async () => {
  await using gateway = await echoing({}, joining, { heldBytesMax: 100_000 });
  await using client = await rawClient(gateway.port, '/chat');
  await client.frame();
  client.socket.write(masked(TEXT, 'x'.repeat(60_000), { fin: false }));
  client.socket.write(masked(Opcode.continuation, 'x'.repeat(60_000), { fin: false }));
  assert.equal(await closeCode(client), 1013);
  await once(client.socket, 'close');
  assert.equal(gateway.hub.heldBytes, 0);
});

test('there are at most so many connections, and a refused one leaves its place', async () => {
  let refuse = true;
  await using gateway = await echoing({}, () => (refuse ? { status: 403, body: 'not you' } : undefined), {
    connectionsMax: 2,
    projectConnectionsMax: 2,
  });
  for (let i = 0; i < 4; i++) {
    await using client = await rawClient(gateway.port, '/chat');
    assert.match(client.head, /^HTTP\/1\.1 403 Forbidden/);
  }
  refuse = false;
  await using a = await rawClient(gateway.port, '/chat');
  await using b = await rawClient(gateway.port, '/chat');
  await using c = await rawClient(gateway.port, '/chat');
  assert.match(a.head, / 101 /);
  assert.match(b.head, / 101 /);
  assert.match(c.head, /^HTTP\/1\.1 503 /);
  assert.match(c.head, /retry-after: 5/);
});

test('silence ends a connection; a client that does not answer pings is given up', async () => {
  const ends: string[] = [];
  const noting: Answering = (event: CloudEvent<{ code: number; reason: string } & SocketConnect>) => {
    if (event.type === 'virga.websocket.disconnect') ends.push(`${event.data!.code} ${event.data!.reason}`);
    return { send: 'hello' };
  };
  const turn = ({ hub }: Setup, turns: number) => {
    for (let i = 0; i < turns; i++) hub.turn();
  };
  await using idle = await echoing({ idle: '3s', ping: false }, noting);
  await using silent = await rawClient(idle.port, '/chat');
  assert.equal(await textOf(silent), 'hello');
  turn(idle, 2);
  silent.socket.write(masked(TEXT, 'not so silent'));
  assert.equal(await textOf(silent), 'hello');
  turn(idle, 2);
  assert.equal([...idle.hub.list('p', undefined)][0]?.isLive, true);
  turn(idle, 1);
  assert.equal(await closeCode(silent), 1001);
  silent.socket.end(masked(CLOSE, Buffer.from([3, 233])));
  await once(silent.socket, 'close');

  await using pinging = await echoing({ ping: '2s' }, noting);
  await using deaf = await rawClient(pinging.port, '/chat');
  await using alive = await rawClient(pinging.port, '/chat');
  assert.deepEqual([await textOf(deaf), await textOf(alive)], ['hello', 'hello']);
  for (let i = 0; i < 3; i++) {
    turn(pinging, 2);
    assert.equal((await alive.frame())?.opcode, PING);
    alive.socket.write(Buffer.concat([masked(Opcode.pong, ''), masked(TEXT, 'x')]));
    assert.equal(await textOf(alive), 'hello');
  }
  assert.equal((await deaf.frame())?.opcode, PING);
  assert.equal(await deaf.frame(), undefined);
  while (ends.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ends, ['1001 idle', '1006 ']);
});

test('a function that fails on a message closes with 1011, or answers with the error and closes after ten', async () => {
  const failing: Answering = (event: CloudEvent) => {
    if (event.type === 'virga.websocket.message') throw new Error('broken');
  };
  await using closing = await echoing({}, failing);
  await using a = await rawClient(closing.port, '/chat');
  a.socket.write(Buffer.concat([masked(TEXT, 'one'), masked(TEXT, 'two')]));
  assert.equal(await closeCode(a), 1011);
  await using answering = await echoing({ onFailure: 'answer' }, failing);
  await using b = await rawClient(answering.port, '/chat');
  for (let i = 0; i < 9; i++) {
    b.socket.write(masked(TEXT, 'x'));
    const { error } = JSON.parse((await textOf(b))!) as { error: { code: string; requestId: string } };
    assert.equal(error.code, 'function_error');
    assert.match(error.requestId, /^inv_/);
  }
  b.socket.write(masked(TEXT, 'x'));
  assert.equal(await closeCode(b), 1011);
});

test('answers that mean nothing are failures of the function', async () => {
  for (const answer of [
    [1],
    7,
    { sned: 'x' },
    { groups: 'red' },
    { state: 'x'.repeat(5_000) },
    { close: { code: 1006 } },
    { send: { text: 'x' } },
  ]) {
    await using gateway = await echoing({}, (event: CloudEvent) => (event.type === 'virga.websocket.message' ? answer : undefined));
    await using client = await rawClient(gateway.port, '/chat');
    client.socket.write(masked(TEXT, 'x'));
    assert.equal(await closeCode(client), 1011, JSON.stringify(answer));
  }
});

test('a handshake that the function fails on is answered with the failure', async () => {
  await using gateway = await echoing({}, () => {
    throw new Error('broken');
  });
  await using client = await rawClient(gateway.port, '/chat');
  assert.match(client.head, /^HTTP\/1\.1 502 Bad Gateway/);
  assert.equal(gateway.hub.size, 0);
});

test('a client that leaves before it was accepted leaves nothing', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using gateway = await echoing({}, async () => {
    asked.resolve();
    await go.promise;
  });
  const pending = rawClient(gateway.port, '/chat').catch(() => undefined);
  await asked.promise;
  const [only] = gateway.hub.list('p', undefined);
  only!.peer!.terminate();
  await pending;
  go.resolve();
  while (gateway.hub.size > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('state stays with the connection, and goes with null', async () => {
  const states: unknown[] = [];
  await using gateway = await echoing({}, (event: CloudEvent<SocketMessage>) => {
    states.push(event.data!.state);
    if (event.type === 'virga.websocket.connect') return { state: { n: 1, '"}': 'é' } };
    return event.data!.text === 'drop' ? { state: null, send: 'ok' } : 'ok';
  });
  await using client = await rawClient(gateway.port, '/chat');
  for (const text of ['keep', 'drop', 'gone']) {
    client.socket.write(masked(TEXT, text));
    await client.frame();
  }
  assert.deepEqual(states, [undefined, { n: 1, '"}': 'é' }, { n: 1, '"}': 'é' }, undefined]);
});

test('origins: pages of the same host, or those that are named; who is no browser is not asked', async () => {
  const head = async (rules: { origins?: string[] }, origin?: string) => {
    await using gateway = await echoing(rules);
    await using client = await rawClient(gateway.port, '/chat', origin === undefined ? {} : { Origin: origin });
    return client.head.slice(9, 12);
  };
  assert.equal(await head({}), '101');
  assert.equal(await head({}, 'http://p.localhost'), '101');
  assert.equal(await head({}, 'https://p.localhost'), '101');
  assert.equal(await head({}, 'https://evil.example'), '403');
  assert.equal(await head({}, 'null'), '403');
  assert.equal(await head({ origins: ['https://app.example'] }, 'https://app.example'), '101');
  assert.equal(await head({ origins: ['https://app.example'] }, 'http://p.localhost'), '403');
  assert.equal(await head({ origins: ['https://*.app.example'] }, 'https://a.app.example'), '101');
  assert.equal(await head({ origins: ['https://*.app.example'] }, 'https://app.example'), '403');
  assert.equal(await head({ origins: ['*'] }, 'https://evil.example'), '101');
});

test('handshakes that are none are refused with what is missing', async () => {
  await using gateway = await echoing({});
  const head = async (headers: Record<string, string>) => {
    await using client = await rawClient(gateway.port, '/chat', headers);
    return client.head;
  };
  assert.match(await head({ 'Sec-WebSocket-Version': '8' }), /^HTTP\/1\.1 426 [^]*sec-websocket-version: 13/);
  assert.match(await head({ 'Sec-WebSocket-Key': 'short' }), /^HTTP\/1\.1 400 /);
  const plain = await gateway.get('/chat');
  assert.deepEqual([plain.status, plain.headers.upgrade], [426, 'websocket']);
});

test('a route that is no WebSocket any more lets its connections go, and tells the function that let them in', async () => {
  const left = Promise.withResolvers<string>();
  await using gateway = await echoing({}, (event: CloudEvent<{ reason: string }>) => {
    if (event.type === 'virga.websocket.disconnect') left.resolve(event.data!.reason);
  });
  await using client = await rawClient(gateway.port, '/chat');
  const known = gateway.model.project('p')!;
  gateway.model.replaceAll({
    projects: [{ ...known, deployment: 2, routes: new RouteTable([]) }],
    domains: {},
    deployment: 2,
  });
  for (const feature of gateway.features) feature.compiled?.({ all: new Set(['p']), anew: new Set(['p']) });
  assert.equal(await closeCode(client), 1001);
  client.socket.end(masked(CLOSE, Buffer.from([3, 233])));
  assert.equal(await left.promise, 'no such route any more');
});

test('a node that stops says so, after the event that is under way', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using gateway = await echoing({}, async (event: CloudEvent) => {
    if (event.type !== 'virga.websocket.message') return undefined;
    asked.resolve();
    await go.promise;
    return 'done';
  });
  await using busy = await rawClient(gateway.port, '/chat');
  await using idle = await rawClient(gateway.port, '/chat');
  busy.socket.write(masked(TEXT, 'x'));
  await asked.promise;
  gateway.hub.drain();
  assert.equal(await closeCode(idle), 1001);
  go.resolve();
  assert.equal(await textOf(busy), 'done');
  assert.equal(await closeCode(busy), 1001);
});
