// First calls that arrive at a rate, each of another function: 1, 10, 50 and 100 a second. Open loop: latency counts from the
// intended departure, so what waits for a sandbox counts in full. The ratios are to the boot of `node empty.js` (for Python
// `python3 -c 0`), taken alone just before. One call at a time: cold.ts. Caller: run.ts.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstCall, freshFunctions, HEAVY, LIGHT, PYTHON } from './first-calls.ts';
import type { Kind } from './first-calls.ts';
import { generatorProof } from './generator-proof.ts';
import { constant, failuresOf, latencyOf, openLoop } from './open-loop.ts';
import type { Latency } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { launchVirga, portOf } from './virga.ts';
import { bootsPerSecond, inBubblewrap, processMs, PYTHON_PATH } from './yardsticks.ts';

/** At 1 a second a few seconds give few samples: at least so many. */
const SAMPLES_MIN = 5;
const YARDSTICK_SAMPLES = 15;

const CASES: { kind: Kind; perSecond: number[] }[] = [
  { kind: LIGHT, perSecond: [1, 10, 50, 100] },
  { kind: HEAVY, perSecond: [10, 50] },
  { kind: PYTHON, perSecond: [10, 50] },
];

interface Run extends Latency {
  hits: number;
  yardstickMs: number;
  failures: Record<string, number>;
}

export async function coldRate({ rounds, seconds, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-'));
  all.defer(() => rm(folder, { recursive: true }));
  const empty = join(folder, 'empty.js');
  await writeFile(empty, '');
  const commands = { node: [process.execPath, [empty]], python: [PYTHON_PATH, ['-c', '0']] } as const;
  const proof = await generatorProof(100);
  const bare = await bootsPerSecond(process.execPath, [empty], 2);
  const boxed = await bootsPerSecond(...inBubblewrap(process.execPath, [empty]), 2);
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());

  const measured: Record<string, Record<number, Run[]>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const { kind, perSecond } of CASES) {
      for (const rate of perSecond) {
        const count = Math.max(SAMPLES_MIN, rate * seconds);
        const paths = await freshFunctions(virga, kind, { count, project: `rate-${kind.file.replace('.', '-')}` });
        const yardstick: number[] = [];
        const [command, args] = commands[kind.yardstick];
        for (let n = 0; n < YARDSTICK_SAMPLES; n++) yardstick.push(await processMs(command, [...args]));
        const shots = await openLoop({ port: portOf(virga.edgeUrl), scheduleMs: constant(rate, count / rate), paths });
        const hits = shots.filter((shot) => firstCall(shot)?.hit).length;
        const run = { ...latencyOf(shots), hits, yardstickMs: percentile(yardstick, 0.5), failures: failuresOf(shots) };
        ((measured[kind.name] ??= {})[rate] ??= []).push(run);
        console.error(
          `round ${round + 1}/${rounds} ${kind.name} at ${rate}/s: p50 ${digits(run.p50Ms)} ms, p99 ${digits(run.p99Ms)} ms, ${hits} hits of ${count}, failed ${JSON.stringify(run.failures)}; yardstick ${digits(run.yardstickMs)} ms`,
        );
      }
    }
  }

  const rows = CASES.flatMap(({ kind, perSecond }) => perSecond.map((rate) => row(`${kind.name}, ${rate}/s`, measured[kind.name]![rate]!)));
  writeReport(
    {
      name: 'cold-rate',
      title: 'Cold calls at a rate',
      body: [
        `Each call is the first of a function of its own. Open loop at a constant rate for ${seconds} s (at least ${SAMPLES_MIN} calls), latency from the intended departure, a failure is an infinite latency; medians of ${rounds} rounds. Ratios to the p50 of \`node empty.js\` (Python: \`python3 -c 0\`) taken just before on a machine that does nothing else. Hits: calls that found a sandbox ready by their receipts.`,
        table(['', 'calls', 'hits', 'failed', 'p50 ms', 'p99 ms', 'p50 ratio', 'p99 ratio', 'achieved/s'], rows),
        `The machine boots ${digits(bare)} \`node empty.js\` a second with one per core, ${digits(boxed)} in bubblewrap: beyond that no supply of ready sandboxes lasts.`,
        proof,
      ],
      measured: { rounds, seconds, bootsPerSecond: { bare, bubblewrap: boxed }, measured },
    },
    { quick },
  );
}

function row(name: string, runs: Run[]): string[] {
  const sum = (one: (run: Run) => number) => String(runs.reduce((total, run) => total + one(run), 0));
  const middle = (one: (run: Run) => number) => digits(median(runs.map(one)));
  return [
    name,
    sum((run) => run.calls),
    sum((run) => run.hits),
    sum((run) => run.failed),
    middle((run) => run.p50Ms),
    middle((run) => run.p99Ms),
    middle((run) => run.p50Ms / run.yardstickMs),
    middle((run) => run.p99Ms / run.yardstickMs),
    middle((run) => run.achievedPerSecond),
  ];
}
