// Black box: what a function asks of its node, and what it answers to events of WebSockets, in the real guest.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import { NODES } from './scripted-host.ts';
import type { ScriptedHost } from './scripted-host.ts';
import { ServicesUnderTest, asked as askedOf } from './services-under-test.ts';

const FUNCTION = `
export const handler = async (event, { connections }) => {
  if (event.answer) return eval('(' + event.answer + ')');
  try {
    const [method, ...args] = event.call;
    return { value: await connections[method](...args.map((arg) => (arg?.bytes ? new Uint8Array(arg.bytes) : arg?.times ? 'x'.repeat(arg.times) : arg))) ?? null };
  } catch (error) {
    return { code: error.code ?? null, message: error.message };
  }
};
`;

describe('services', { concurrency: true }, () => {
  let under: ServicesUnderTest;
  before(async () => {
    under = await ServicesUnderTest.open(FUNCTION);
  });
  after(() => under.close());

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 1 }, () => {
      let host: ScriptedHost;
      before(async () => {
        host = await under.start(binary);
      });
      after(() => host[Symbol.asyncDispose]());

      const asked = async (call: unknown[], answer: object) => {
        const { request, data, result } = await askedOf(host, { call }, answer);
        return [request, data, result] as unknown[];
      };

      test('requests leave with their bytes, and their answers come back', async () => {
        assert.deepEqual(await asked(['send', 'con_1', 'hello ü'], { value: null }), [
          { op: 'connections.send', id: 'con_1', binary: false },
          'hello ü',
          { value: null },
        ]);
        assert.deepEqual(await asked(['broadcast', 'red', { bytes: [65] }, { except: 'con_1' }], { value: { sent: 2 } }), [
          { op: 'connections.broadcast', group: 'red', binary: true, except: 'con_1' },
          'A',
          { value: { sent: 2 } },
        ]);
        assert.deepEqual(await asked(['close', 'con_1', 4000, 'bye'], { error: { code: 'connection_not_found', message: 'gone' } }), [
          { op: 'connections.close', id: 'con_1', code: 4000, reason: 'bye' },
          '',
          { code: 'connection_not_found', message: 'gone' },
        ]);
      });

      test('what cannot be sent is refused in the function', async () => {
        const refused = async (call: unknown[]) =>
          JSON.parse((await host.event({ call }).ended).body.toString()) as { code: string; message: string };
        assert.match((await refused(['send', 'con_1', { a: 1 }])).message, /use JSON\.stringify/);
        assert.equal((await refused(['send', 'con_1', { times: 1024 * 1024 }])).code, 'request_too_large');
      });

      test('bytes that answer an event of a WebSocket travel as bytes, alone or in base64', async () => {
        const answered = async (answer: string) => {
          const call = await host.event({ answer }, { trigger: 'websocket', contentType: CLOUD_EVENT_TYPE }).ended;
          return [...call.header('content-type'), call.body.toString('latin1')];
        };
        assert.deepEqual(await answered('new Uint8Array([0, 255])'), ['application/octet-stream', '\0\xff']);
        assert.deepEqual(await answered('({ send: Buffer.from([0, 255]), groups: ["a"] })'), [
          'application/json',
          '{"send":{"base64":"AP8="},"groups":["a"]}',
        ]);
        assert.deepEqual(await answered('"text"'), ['application/json', '"text"']);
        assert.deepEqual(await answered('undefined'), ['application/json', 'null']);
      });
    });
  }
});
