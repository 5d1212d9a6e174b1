// Black box: what a function publishes, as it leaves the real guest, and what comes back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FrameType, SERVICES_MAX, encodeJsonFrame } from '../../protocol/frames.ts';
import { NODES } from './scripted-host.ts';
import type { ScriptedHost } from './scripted-host.ts';
import { ServicesUnderTest, asked as askedOf, isRequest, requestOf } from './services-under-test.ts';

/** Half of what the node takes. */
const PATIENT_MAX = SERVICES_MAX / 2;
const FUNCTION = `
const held = globalThis[Symbol.for('virga.publishing')];
export const handler = async ({ code, by }, context) => {
  const { publish, queue, topic, stream } = by === 'symbol' ? held : context;
  try {
    return { value: await new Function('publish', 'queue', 'topic', 'stream', 'return ' + code)(publish, queue, topic, stream) };
  } catch (error) {
    return { code: error.code ?? error.name, message: error.message };
  }
};
`;

describe('publishing', { concurrency: true }, () => {
  let services: ServicesUnderTest;
  before(async () => {
    services = await ServicesUnderTest.open(FUNCTION);
  });
  after(() => services.close());

  for (const { name, binary } of NODES)
    describe(name, { concurrency: 1 }, () => {
      let host: ScriptedHost;
      before(async () => {
        host = await services.start(binary);
      });
      after(() => host[Symbol.asyncDispose]());

      const asked = async (code: string, answer: unknown[], by = 'context') => {
        const { request, data, result } = await askedOf(host, { code, by }, { value: answer });
        const { trace: _, ...rest } = request;
        return [rest, JSON.parse(data), result] as unknown[];
      };

      test('what is sent leaves as a list, and one for one comes back', async () => {
        for (const by of ['context', 'symbol']) {
          assert.deepEqual(await asked(`queue('orders').send({ a: 'ü' }, { delayMs: 5 })`, [{ result: 'sent', id: 'm' }], by), [
            { op: 'queues.send', queue: 'orders' },
            [{ delayMs: 5, body: '{"a":"ü"}' }],
            { value: { result: 'sent', id: 'm' } },
          ]);
        }
        assert.deepEqual(await asked(`topic('t').publishBatch([{ body: 'x', subject: 's' }, { body: null }])`, [1, 2]), [
          { op: 'topics.publish', topic: 't' },
          [{ body: 'x', subject: 's' }, { body: 'null' }],
          { value: [1, 2] },
        ]);
        assert.deepEqual(await asked(`stream('s').append([1], { key: 'k' })`, [7]), [
          { op: 'streams.append', stream: 's' },
          [{ key: 'k', data: '[1]' }],
          { value: 7 },
        ]);
        assert.deepEqual(await asked(`publish({ type: 'x' })`, ['one']), [{ op: 'events.publish' }, [{ type: 'x' }], { value: 'one' }]);
        for (const bytes of ['Buffer.from([0, 255])', 'new Uint8Array([7, 0, 255]).subarray(1)', 'new Uint8Array([0, 255]).buffer'])
          assert.deepEqual((await asked(`publish({ type: 'x', data: ${bytes} })`, ['one']))[1], [{ type: 'x', data_base64: 'AP8=' }]);
        assert.deepEqual(await asked(`publish([{ type: 'x' }])`, ['one']), [{ op: 'events.publish' }, [{ type: 'x' }], { value: ['one'] }]);
      });

      test('more than the node takes at once wait in the function, in their order', async () => {
        host.frames.length = 0;
        const count = PATIENT_MAX + 44;
        const code = `Promise.all(Array.from({ length: ${count} }, (_, n) => queue('q').send(n)))`;
        const { ended } = host.event({ code });
        const requests = () => host.frames.filter(isRequest);
        const came = (number: number) => host.frame((one) => one === requests()[number]);
        await came(PATIENT_MAX - 1);
        for (let n = 0; n < count; n++) {
          assert.equal(requests().length, Math.min(count, n + PATIENT_MAX), 'on their way, or answered');
          assert.deepEqual(JSON.parse(requestOf(requests()[n]!).data), [{ body: String(n) }]);
          host.write(encodeJsonFrame(FrameType.SERVED, { value: [n] }, { arg: requests()[n]!.arg }));
          if (n + PATIENT_MAX < count) await came(n + PATIENT_MAX);
        }
        assert.equal((JSON.parse((await ended).body.toString()) as { value: unknown[] }).value.length, count);
      });

      test('what is no message is refused in the function, and an empty batch asks nothing', async () => {
        const refused = async (code: string) =>
          JSON.parse((await host.event({ code }).ended).body.toString()) as { message: string; value?: unknown };
        assert.match((await refused(`queue('q').send(undefined)`)).message, /not undefined/);
        assert.match((await refused(`queue('q').send(new ArrayBuffer(1))`)).message, /base64/);
        assert.match((await refused(`queue('q').send('x'.repeat(2 ** 20))`)).message, /less than 1 MiB/);
        assert.deepEqual((await refused(`queue('q').sendBatch([])`)).value, []);
      });
    });
});
