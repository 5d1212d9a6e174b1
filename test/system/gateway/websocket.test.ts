// WebSockets that live at the gateway, with `ws` as the client: the chat of examples/chat, deployed as it is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Client, refusal } from './socket-client.ts';

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', 'chat'), '--json']);
  assert.equal(deployed.code, 0, deployed.stderr);
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
  const announced = await virga.fetch('chat', '/announcements', { method: 'POST', body: 'tea is ready', headers: { 'content-type': 'text/plain' } });
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
