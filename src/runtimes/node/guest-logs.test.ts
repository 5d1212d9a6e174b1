// Black box: what a function logs, and to which invocation it belongs, in the real guest.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { LOG_LINE_MAX } from '../../protocol/frames.ts';
import { NODES, ScriptedHost } from './scripted-host.ts';

const FUNCTION = `
console.log('loading');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let kept;
const cases = {
  methods() {
    console.log('a %s %d', 'b', 1, { c: [2] }); console.info('i'); console.debug('d'); console.warn('w'); console.error('e');
    console.log(); console.log('two\\nlines'); console.assert(true, 'no'); console.assert(false, 'assertion %s', 'failed');
    console.group('outer'); console.log('in\\nner'); console.group(); console.warn('deep'); console.groupEnd(); console.groupEnd(); console.log('out');
    console.count('n'); console.count('n'); console.countReset('n'); console.dir({ a: { b: { c: { d: 1 } } } }, { depth: 0 }); console.dirxml('x');
    console.time('t'); console.timeLog('t'); console.timeEnd('t'); console.table([{ a: 1 }]); console.trace('here'); console.log(new Error('shown'));
  },
  streams() { process.stdout.write('one\\ntwo'); process.stdout.write(' and more\\r\\n'); process.stderr.write(Buffer.from('caf\\u00e9\\n').subarray(0, 4)); process.stderr.write(Buffer.from([0xa9, 10])); process.stdout.write('unfinished'); },
  async interleaved({ name }) { for (let i = 0; i < 5; i++) { console.log(name + i); process.stdout.write(name + ' line '); await sleep(1); process.stdout.write(i + '\\n'); await sleep(Math.random() * 3); } },
  context({}, context) { context.log.warn('careful', { size: 3 }); context.log.debug('plain'); const big = { n: 1n }; context.log.error('odd', big); kept = context; },
  elsewhere() { kept.log.info('after'); },
  long() { console.log('x'.repeat(20000)); console.log('\\u20ac'.repeat(6000)); process.stdout.write('y'.repeat(40000)); },
  flood({ mib }) { const line = 'z'.repeat(1024 * 8); for (let i = 0; i < mib * 128; i++) console.log(line); },
  async drip({ mib }) { const line = 'z'.repeat(1024 * 64); for (let i = 0; i < mib * 16; i++) { console.log(line); if (i % 64 === 0) await sleep(0); } },
  quiet() {},
  throws() { process.stdout.write('half a line'); throw new Error('then this'); },
  bufferedThenLoops() { console.log('before the loop'); for (;;); },
};
export const handler = async (event, context) => { await cases[event.case](event, context); return 'done'; };
`;

describe('logs', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-logs-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'logs.mjs'), FUNCTION);
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 1 }, () => {
      const start = async (overrides = {}): Promise<ScriptedHost> => {
        const host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await host.init(folder, 'logs.mjs', { logBytesPerSecond: 10 * 1024 * 1024, ...overrides });
        return host;
      };
      const run = async (host: ScriptedHost, event: object) => {
        const call = await host.event(event).ended;
        assert.equal(call.error, undefined);
        return host.logs.filter(({ stream }) => stream === call.stream).map(({ level, text }) => [level, text] as const);
      };

      test('each console call is one record with its level, formatted as Node does, before the answer ends', async () => {
        await using host = await start();
        assert.deepEqual(host.logs, [{ stream: 0, level: 'info', text: 'loading' }]);
        const records = await run(host, { case: 'methods' });
        const shown = records.splice(-1)[0]!;
        const trace = records.splice(-1)[0]!;
        const table = records.splice(-1)[0]!;
        const times = records.splice(-2);
        assert.deepEqual(records, [
          ['info', 'a b 1 { c: [ 2 ] }'],
          ['info', 'i'],
          ['debug', 'd'],
          ['warn', 'w'],
          ['error', 'e'],
          ['info', ''],
          ['info', 'two\nlines'],
          ['warn', 'Assertion failed: assertion failed'],
          ['info', 'outer'],
          ['info', '  in\n  ner'],
          ['warn', '    deep'],
          ['info', 'out'],
          ['info', 'n: 1'],
          ['info', 'n: 2'],
          ['info', '{ a: [Object] }'],
          ['info', 'x'],
        ]);
        assert.ok(times.every(([level, text]) => level === 'info' && /^t: [\d.]+ms$/.test(text)));
        assert.match(table[1], /\(index\).*\n/);
        assert.deepEqual(trace[0], 'debug');
        assert.match(trace[1], /^Trace: here\n\s+at .*logs\.mjs:\d+/);
        assert.match(shown[1], /^Error: shown\n\s+at .*logs\.mjs:\d+/);
        await host.close();
      });

      test('lines of stdout and stderr are records, the unfinished one too', async () => {
        await using host = await start();
        assert.deepEqual(await run(host, { case: 'streams' }), [
          ['info', 'one'],
          ['info', 'two and more'],
          ['error', 'café'],
          ['info', 'unfinished'],
        ]);
        await host.close();
      });

      test('what a failing call logged belongs to it', async () => {
        await using host = await start();
        const call = await host.event({ case: 'throws' }).ended;
        assert.equal(call.error!.message, 'then this');
        assert.deepEqual(host.logs.at(-1), { stream: call.stream, level: 'info', text: 'half a line' });
      });

      test('records of calls at the same time belong each to its own', async () => {
        await using host = await start();
        const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
        const calls = await Promise.all(names.map((caller) => host.event({ case: 'interleaved', name: caller }).ended));
        for (const [i, call] of calls.entries()) {
          const text = host.logs
            .filter(({ stream }) => stream === call.stream)
            .map((record) => record.text)
            .join(' ');
          assert.equal(
            [...text.matchAll(/[a-h](?=\d| line)/g)].every(([caller]) => caller === names[i]),
            true,
            text,
          );
          for (let n = 0; n < 5; n++) assert.ok(text.includes(`${names[i]}${n}`));
        }
        assert.equal(host.logs.filter(({ stream }) => stream === 0).length, 1);
        await host.close();
      });

      test('the logger of the context belongs to its invocation wherever it is called', async () => {
        await using host = await start();
        const records = await run(host, { case: 'context' });
        assert.deepEqual(records, [
          ['warn', 'careful {"size":3}'],
          ['debug', 'plain'],
          ['error', 'odd { n: 1n }'],
        ]);
        assert.deepEqual(await run(host, { case: 'elsewhere' }), []);
        const { stream } = await host.log((record) => record.text === 'after');
        assert.equal(stream, host.logs.find((record) => record.level === 'warn')!.stream);
        await host.close();
      });

      test('a record that is too long is cut between two characters', async () => {
        await using host = await start();
        const [latin, euros, ...rest] = await run(host, { case: 'long' });
        assert.equal(Buffer.byteLength(latin![1]), LOG_LINE_MAX);
        assert.match(latin![1], /^x+… \(cut\)$/);
        assert.match(euros![1], /^€+… \(cut\)$/);
        assert.ok(Buffer.byteLength(euros![1]) <= LOG_LINE_MAX);
        assert.equal(rest.map(([, text]) => text).join(''), 'y'.repeat(40_000));
        await host.close();
      });

      test('what is over the limit is dropped and counted, and records come again later', async () => {
        await using host = await start({ logBytesPerSecond: 20_000 });
        const records = await run(host, { case: 'flood', mib: 1 });
        const passed = records.filter(([level]) => level === 'info').length;
        assert.ok(passed >= 24 && passed <= 26, String(passed));
        assert.deepEqual(records.at(-1), [
          'warn',
          `${128 - passed} log records (${(128 - passed) * 8192} bytes) dropped: over the limit of 20000 bytes a second`,
        ]);
        // Time for 1000 bytes of new budget.
        await new Promise((resolve) => setTimeout(resolve, 50));
        assert.deepEqual((await run(host, { case: 'context' })).length, 3);
        await host.close();
      });

      // What follows hangs on no version of Node.
      if (binary !== NODES[0]!.binary) return;

      test('1 GB of log output neither grows memory nor keeps other calls waiting', async () => {
        await using host = await start({ logBytesPerSecond: 100_000 });
        await run(host, { case: 'quiet' });
        const beforeKib = host.peakKib;
        const drip = host.event({ case: 'drip', mib: 1024 });
        let answered = 0;
        for (let ended = false; !ended;) {
          ended = await Promise.race([drip.ended.then(() => true), host.event({ case: 'quiet' }).ended.then(() => false)]);
          answered++;
        }
        assert.ok(answered > 20, String(answered));
        await run(host, { case: 'quiet' });
        assert.ok(host.peakKib - beforeKib < 60 * 1024, `${beforeKib} to ${host.peakKib} KiB`);
        assert.ok(host.logs.reduce((sum, { text }) => sum + text.length, 0) < 3_000_000);
        await host.close();
      });

      test('a host that does not read costs the guest no memory', async () => {
        await using host = await start({ logBytesPerSecond: 1e9 });
        await run(host, { case: 'quiet' });
        const beforeKib = host.peakKib;
        host.pause();
        const flood = host.event({ case: 'flood', mib: 200 });
        await new Promise((resolve) => setTimeout(resolve, 200));
        host.resume();
        await flood.ended;
        await run(host, { case: 'quiet' });
        assert.ok(host.peakKib - beforeKib < 60 * 1024, `${beforeKib} to ${host.peakKib} KiB`);
        assert.match(host.logs.find(({ level }) => level === 'warn')!.text, /\d+ log records \(\d+ bytes\) dropped/);
        await host.close();
      });

      test('what was logged before an endless loop has arrived', async () => {
        await using host = await start();
        const call = host.event({ case: 'bufferedThenLoops' });
        assert.equal((await host.log(({ text }) => text === 'before the loop')).stream, call.stream);
        host.process.kill('SIGKILL');
        await host.exited;
      });
    });
  }
});
