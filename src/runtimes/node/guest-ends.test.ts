// Black box: the ways in which a guest ends, and that what it said before has arrived.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { FrameType, encodeFrame, encodeHeader } from '../../protocol/frames.ts';
import { NODES, ScriptedHost } from './scripted-host.ts';

const FUNCTION = `
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cases = {
  answer() {},
  async uncaught() { setTimeout(() => { throw new Error('in a timer'); }, 1); await sleep(1000); },
  async rejected() { setTimeout(() => Promise.reject(new Error('nobody waits')), 1); await sleep(1000); },
  nothing() { setTimeout(() => { throw null; }, 1); return sleep(1000); },
  exit() { console.log('last'); process.stdout.write('unfinished'); process.on('exit', () => { console.log('exit hook'); process.stdout.write('hook line\\n'); }); process.exit(3); },
  async exitLater() { await sleep(20); process.on('exit', () => console.log('exit hook')); process.exit(3); },
  async slow() { console.log('slow'); await sleep(30); },
  background(_, context) { context.waitUntil(sleep(20).then(() => console.log('background done'))); },
  hooks() { process.on('SIGTERM', () => { console.log('hook'); setTimeout(() => console.log('hook done'), 5); }); },
  ownHandler() { process.on('uncaughtException', (error) => console.log('own: ' + error.message)); setTimeout(() => { throw new Error('handled'); }, 1); return sleep(10); },
  patched() { process.exit = () => {}; process.nextTick = () => {}; },
  loop() { console.log('looping'); setImmediate(() => { const end = Date.now() + 100; while (Date.now() < end); }); return sleep(200); },
};
export const handler = async (event, context) => { await cases[event.case](event, context); return 'x'.repeat(event.size ?? 4); };
`;

describe('the end of a guest', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-ends-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'ends.mjs'), FUNCTION);
    await writeFile(join(folder, 'leaves.mjs'), 'console.log("leaving"); process.exit(7);');
    await writeFile(join(folder, 'interval.mjs'), 'setInterval(() => {}, 1000); export const handler = () => 1;');
    await writeFile(
      join(folder, 'tick.mjs'),
      'setTimeout(() => { throw new Error("in the background"); }, 5); export const handler = () => new Promise(() => {});',
    );
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 3 }, () => {
      const start = async (file = 'ends.mjs'): Promise<ScriptedHost> => {
        const host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await host.init(folder, file);
        return host;
      };
      const stop = (host: ScriptedHost) => host.write(encodeFrame(FrameType.STOP, {}));
      const ended = { code: 0, signal: null };

      for (const [what, text] of [
        ['uncaught', 'uncaught exception, the instance ends: Error: in a timer'],
        ['rejected', 'unhandled rejection, the instance ends: Error: nobody waits'],
        ['nothing', 'uncaught exception, the instance ends: Error: a value that is no Error was thrown: null'],
      ] as const) {
        test(`${what}: it is logged with its stack under its invocation, and the guest exits 1`, async () => {
          await using host = await start();
          const other = host.event({ case: 'slow' });
          const call = host.event({ case: what });
          assert.deepEqual((await host.exited).code, 1);
          await assert.rejects(call.ended);
          other.ended.catch(() => {});
          const record = host.logs.find(({ level }) => level === 'error')!;
          assert.equal(record.stream, call.stream);
          assert.ok(record.text.startsWith(text), record.text);
          if (what !== 'nothing') assert.match(record.text, /ends\.mjs:\d+/);
          // Node's own last words, for the host's record of the crash.
          assert.match(host.stderr, /in a timer|nobody waits|null/);
        });
      }

      test('a throw outside of any invocation is logged for the instance', async () => {
        await using host = await start('tick.mjs');
        assert.equal((await host.exited).code, 1);
        assert.match(host.logs.find(({ stream, level }) => stream === 0 && level === 'error')!.text, /in the background/);
      });

      test('a function with an uncaughtException handler of its own goes on', async () => {
        await using host = await start();
        assert.equal((await host.event({ case: 'ownHandler' }).ended).text, '"xxxx"');
        assert.deepEqual(
          host.logs.map(({ text }) => text),
          ['own: handled'],
        );
        await host.close();
      });

      test('process.exit() by the function: what was logged before has arrived', async () => {
        await using host = await start();
        host.event({ case: 'exit' });
        assert.equal((await host.exited).code, 3);
        assert.deepEqual(host.logs.map(({ text }) => text).sort(), ['exit hook', 'hook line', 'last', 'unfinished']);
        await using leaving = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await assert.rejects(leaving.init(folder, 'leaves.mjs'), /code 7/);
        assert.deepEqual(
          leaving.logs.map(({ text }) => text),
          ['leaving'],
        );
      });

      test('frames that a slow host has not taken yet survive process.exit()', async () => {
        await using host = await start();
        // More than a socket holds, so that some of it waits in the guest.
        const calls = Array.from({ length: 200 }, () => host.event({ case: 'answer', size: 4000 }));
        const exiting = host.event({ case: 'exitLater' });
        host.pause();
        await new Promise((resolve) => setTimeout(resolve, 50));
        host.resume();
        assert.equal((await host.exited).code, 3);
        for (const call of calls) assert.equal((await call.ended).text, `"${'x'.repeat(4000)}"`);
        exiting.ended.catch(() => {});
        assert.equal(host.logs.at(-1)!.text, 'exit hook');
      });

      test('STOP: running calls and waitUntil finish, SIGTERM hooks run, then it exits 0', async () => {
        await using host = await start();
        await host.event({ case: 'hooks' }).ended;
        const slow = host.event({ case: 'slow' });
        const background = host.event({ case: 'background' });
        stop(host);
        assert.equal((await slow.ended).text, '"xxxx"');
        await background.ended;
        const endedAt = performance.now();
        assert.deepEqual(await host.exited, ended);
        // As soon as nothing is left to do, not when the time for hooks is over.
        assert.ok(performance.now() - endedAt < 1000);
        assert.deepEqual(
          host.logs.map(({ text }) => text),
          ['slow', 'background done', 'hook', 'hook done'],
        );
      });

      test('STOP of an idle guest ends it at once, loaded or not, whatever its timers', async () => {
        await using idle = await start('interval.mjs');
        stop(idle);
        assert.deepEqual(await idle.exited, ended);
        await using blank = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await blank.hello();
        stop(blank);
        assert.deepEqual(await blank.exited, ended);
      });

      test('a host that is gone, or that breaks the protocol, ends the guest at once', async () => {
        await using host = await start('interval.mjs');
        await host.close();
        await using busy = await start();
        const call = busy.event({ case: 'loop' });
        call.ended.catch(() => {});
        await busy.log(({ text }) => text === 'looping');
        await busy.close();
        await using confused = await start();
        confused.write(encodeHeader(FrameType.BODY, { length: 0x7fff_ffff }));
        assert.equal((await confused.exited).code, 1);
      });

      test('what the function does to globals does not reach the channel', async () => {
        await using host = await start();
        await host.event({ case: 'patched' }).ended;
        assert.equal((await host.event({ case: 'answer' }).ended).text, '"xxxx"');
        stop(host);
        assert.deepEqual(await host.exited, ended);
      });
    });
  }
});
