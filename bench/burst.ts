// What happens when functions that are scaled to zero are called all at once: 100 distinct ones, then 500, and 500 calls of
// one function; while a warm function of another project is called 50 times a second. Connections are open beforehand.
// Latency counts from the moment of the burst. What the cores can boot at all is measured in the same run. Caller: run.ts.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { firstCall, freshFunctions, LIGHT } from './first-calls.ts';
import { HttpClient } from './http-client.ts';
import { openLoopAside } from './open-loop-worker.ts';
import type { LoopAside } from './open-loop-worker.ts';
import { constant, failuresOf, latencyOf } from './open-loop.ts';
import type { Latency, Shot } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { deploy, HELLO, launchVirga, portOf } from './virga.ts';
import { bootsPerSecond, inBubblewrap } from './yardsticks.ts';

const FIRST_WAVE = 100;
const VICTIM_PER_SECOND = 50;
/** The victim is called this long before the burst falls, and at least so long in all. */
const LEAD_MS = 500;
const TIMEOUT_MS = 60_000;
/** Above the most that a burst may take; it is stopped with it. */
const VICTIM_SECONDS_MAX = 120;

interface Wave {
  name: string;
  burst: Latency & { hits: number; cold: number; toLastMs: number; startsPerSecond: number; failures: Record<string, number> };
  victim: Latency;
}

export async function burst({ rounds, seconds, samples, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-'));
  all.defer(() => rm(folder, { recursive: true }));
  const empty = join(folder, 'empty.js');
  await writeFile(empty, '');
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  await deploy(virga, {
    'virga.yaml':
      'project: victim\nfunctions:\n  hello: { source: hello.mjs, instances: { min: 1 }, http: GET /hello }\n  one: { source: hello.mjs, idle: 1s, http: GET /one }\n',
    'hello.mjs': HELLO,
  });

  const yardsticks = { bare: [] as number[], bubblewrap: [] as number[] };
  const undisturbed: Latency[] = [];
  const waves: Record<string, Wave[]> = {};
  for (let round = 0; round < rounds; round++) {
    yardsticks.bare.push(await bootsPerSecond(process.execPath, [empty], 2));
    yardsticks.bubblewrap.push(await bootsPerSecond(...inBubblewrap(process.execPath, [empty]), 2));
    await victimFor(virga, 1).shots;
    undisturbed.push(latencyOf(await victimFor(virga, seconds).shots));
    for (const count of [Math.min(FIRST_WAVE, samples), samples]) {
      const paths = await freshFunctions(virga, LIGHT, { count, project: 'burst' });
      await take(`${count} distinct functions`, paths);
    }
    // Until the function is scaled to zero.
    await sleep(2_000);
    await take(
      `${samples} calls of one function`,
      Array.from({ length: samples }, () => '/@victim/one'),
    );

    async function take(name: string, paths: string[]): Promise<void> {
      const wave = await waveOf(virga, name, { paths, victimSeconds: seconds });
      (waves[name] ??= []).push(wave);
      console.error(
        `round ${round + 1}/${rounds} ${name}: last answer after ${digits(wave.burst.toLastMs)} ms, p50 ${digits(wave.burst.p50Ms)} ms, p99 ${digits(wave.burst.p99Ms)} ms, failed ${JSON.stringify(wave.burst.failures)}, ${digits(wave.burst.startsPerSecond)} starts/s (boots/s in bubblewrap ${digits(yardsticks.bubblewrap.at(-1)!)}), victim p99 ${digits(wave.victim.p99Ms)} ms (undisturbed ${digits(undisturbed.at(-1)!.p99Ms)} ms)`,
      );
      // Every instance of the burst goes before the next begins.
      await sleep(2_000);
    }
  }
  const [bare, boxed] = [median(yardsticks.bare), median(yardsticks.bubblewrap)];
  const of = (taken: Wave[], one: (wave: Wave, round: number) => number) => digits(median(taken.map(one)));
  const rows = Object.entries(waves).map(([name, taken]) => [
    name,
    of(taken, ({ burst: b }) => b.cold),
    of(taken, ({ burst: b }) => b.hits),
    String(taken.reduce((sum, { burst: b }) => sum + b.failed, 0)),
    of(taken, ({ burst: b }) => b.p50Ms),
    of(taken, ({ burst: b }) => b.p99Ms),
    of(taken, ({ burst: b }) => b.toLastMs),
    of(taken, ({ burst: b }) => b.startsPerSecond),
    of(taken, ({ burst: b }, round) => b.startsPerSecond / yardsticks.bubblewrap[round]!),
    of(taken, ({ victim }) => victim.p99Ms),
    of(taken, ({ victim }, round) => victim.p99Ms / undisturbed[round]!.p99Ms),
    String(taken.reduce((sum, { victim }) => sum + victim.failed, 0)),
  ]);
  const head = [
    '',
    'cold',
    'sandbox ready',
    'failed',
    'p50 ms',
    'p99 ms',
    'last answer ms',
    'starts/s',
    'of boots in bwrap',
    'victim p99 ms',
    'of undisturbed',
    'victim failed',
  ];
  writeReport(
    {
      name: 'burst',
      title: 'Bursts',
      body: [
        `All calls leave at once over connections that are open; latency from that moment; a failure is an infinite latency; medians of ${rounds} rounds, failures added up. The functions are light handlers with 64 MiB each. Starts a second: cold answers by the time to the last. Meanwhile a warm function of another project is called ${VICTIM_PER_SECOND} times a second by a thread of its own.`,
        table(head, rows),
        `Undisturbed the victim has p50 ${digits(median(undisturbed.map(({ p50Ms }) => p50Ms)))} ms and p99 ${digits(median(undisturbed.map(({ p99Ms }) => p99Ms)))} ms. The machine boots ${digits(bare)} \`node empty.js\` a second with one per core, ${digits(boxed)} in bubblewrap: what a start costs at least where no sandbox is ready.`,
      ],
      measured: { rounds, seconds, samples, bootsPerSecond: yardsticks, undisturbed, waves },
    },
    { quick },
  );
}

const victimFor = (virga: Virga, seconds: number): LoopAside =>
  openLoopAside({ port: portOf(virga.edgeUrl), paths: ['/@victim/hello'], scheduleMs: constant(VICTIM_PER_SECOND, seconds) });

async function waveOf(virga: Virga, name: string, options: { paths: string[]; victimSeconds: number }): Promise<Wave> {
  const { paths, victimSeconds } = options;
  const client = new HttpClient(portOf(virga.edgeUrl));
  await client.open(paths.length);
  const victim = victimFor(virga, VICTIM_SECONDS_MAX);
  await sleep(LEAD_MS);
  const beginMs = performance.now();
  const shots = await Promise.all(
    paths.map(async (path): Promise<Shot> => {
      const answer = await client.get(path, TIMEOUT_MS);
      return { atMs: 0, lateMs: 0, ms: performance.now() - beginMs, ...answer };
    }),
  );
  const toLastMs = performance.now() - beginMs;
  client.close();
  await sleep(Math.max(0, victimSeconds * 1_000 - toLastMs));
  victim.stop();
  // Only what fell into the burst: its latency is the question.
  const during = (await victim.shots).filter(({ atMs }) => atMs >= LEAD_MS);
  const distinct = new Set(paths).size > 1;
  const cold = shots.filter((shot) => shot.status === 200 && /^server-timing: *cold/im.test(shot.head));
  const hits = distinct ? shots.filter((shot) => firstCall(shot)?.hit).length : 0;
  const latency = latencyOf(shots);
  return {
    name,
    burst: {
      ...latency,
      hits,
      cold: cold.length,
      toLastMs,
      startsPerSecond: (cold.length * 1_000) / toLastMs,
      failures: failuresOf(shots),
    },
    victim: latencyOf(during),
  };
}
