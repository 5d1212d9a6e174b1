// What memory does an idle instance cost, and what do functions cost that are scaled to zero? Two nodes run side by side: one
// with one function, the other with hundreds beside it; both are asked in turns, so that warm latency with and without
// them compares. Memory by /proc: proportional set (PSS: shared pages divided by those who share them) and resident set.
// Caller: run.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { HttpClient } from './http-client.ts';
import { load } from './load.ts';
import type { Load } from './load.ts';
import { constant, latencyOf, openLoop } from './open-loop.ts';
import type { Latency } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { useOf } from './usage.ts';
import type { TreeUse } from './usage.ts';
import { deploy, HELLO, HELLO_PYTHON, launchVirga, portOf } from './virga.ts';

const INSTANCES = 20;
const PROJECTS = 10;
const OPEN_LOOP_PER_SECOND = 100;
const SETTLE_MS_MAX = 20_000;
/** Two looks that differ by less are the same. */
const SETTLED_MIB = 1;

interface InstanceUse {
  runtime: string;
  /** Of the sandboxes that came with the calls. */
  meanPssMiB: number;
  meanCgroupMiB: number;
  /** By how much all of Virga's processes grew, divided by the instances. */
  addedPssMiB: number;
  addedRssMiB: number;
}

export async function density({ rounds, seconds, samples, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const [alone, crowded] = [await launchVirga(), await launchVirga()];
  for (const virga of [alone, crowded]) all.defer(() => virga[Symbol.asyncDispose]());
  const one = {
    'virga.yaml': 'project: one\nfunctions:\n  hello: { source: hello.mjs, instances: { min: 1 }, http: GET /hello }\n',
    'hello.mjs': HELLO,
  };
  for (const virga of [alone, crowded]) {
    await deploy(virga, one);
    await load(`${virga.edgeUrl}/@one/hello`, { connections: 32, seconds: 2 });
  }

  const before = await settled(crowded);
  const beginMs = performance.now();
  for (let project = 0; project < PROJECTS; project++) await deploy(crowded, idleProject(project, Math.ceil(samples / PROJECTS)));
  const deployMs = performance.now() - beginMs;
  // Functions that were deployed, not called: nothing of them runs.
  const after = await settled(crowded);
  console.error(
    `${samples} functions deployed in ${digits(deployMs / 1_000)} s: PSS ${digits(before.platform.pssMiB)} → ${digits(after.platform.pssMiB)} MiB without sandboxes, ${digits(before.all.pssMiB)} → ${digits(after.all.pssMiB)} MiB with`,
  );

  const runs: Record<'without' | 'with', { closed: Load; open: Latency }[]> = { without: [], with: [] };
  for (let round = 0; round < rounds; round++) {
    const turns = [['without', alone] as const, ['with', crowded] as const];
    for (const [name, virga] of round % 2 === 0 ? turns : turns.toReversed()) {
      const closed = await load(`${virga.edgeUrl}/@one/hello`, { connections: 1, seconds });
      const scheduleMs = constant(OPEN_LOOP_PER_SECOND, seconds);
      const open = latencyOf(await openLoop({ port: portOf(virga.edgeUrl), paths: ['/@one/hello'], scheduleMs }));
      runs[name].push({ closed, open });
      console.error(`round ${round + 1}/${rounds} ${name}: c=1 p50 ${closed.p50Us} µs; open loop p99 ${digits(open.p99Ms)} ms`);
    }
  }
  const instances = [await instancesOf(alone, 'Node', 'light.mjs', HELLO), await instancesOf(alone, 'Python', 'light.py', HELLO_PYTHON)];

  const memoryRow = (name: string, of: (use: TreeUse) => number) => [
    name,
    digits(of(before)),
    digits(of(after)),
    digits(of(after) - of(before)),
  ];
  const latencyRow = (name: 'without' | 'with') => [
    `${name} them`,
    digits(median(runs[name].map(({ closed }) => closed.p50Us))),
    digits(median(runs[name].map(({ closed }, round) => closed.p50Us / runs.without[round]!.closed.p50Us))),
    digits(median(runs[name].map(({ open }) => open.p50Ms))),
    digits(median(runs[name].map(({ open }) => open.p99Ms))),
    digits(median(runs[name].map(({ open }, round) => open.p50Ms / runs.without[round]!.open.p50Ms))),
    digits(median(runs[name].map(({ open }, round) => open.p99Ms / runs.without[round]!.open.p99Ms))),
    String(runs[name].reduce((sum, { closed, open }) => sum + closed.failed + open.failed, 0)),
  ];
  writeReport(
    {
      name: 'density',
      title: 'Density',
      body: [
        `## An idle instance\n\n${INSTANCES} functions of 64 MiB, each called once, then idle. Mean: all processes of a sandbox, over the sandboxes that came in that time. Added: what all of Virga's processes grew by from before the calls to after, divided by the instances; what Virga keeps ready is there at both times. Cgroup: what counts against the memory limit.\n\n${table(
          ['', 'mean PSS MiB', 'mean cgroup MiB', 'added PSS MiB', 'added RSS MiB'],
          instances.map((use) => [
            use.runtime,
            digits(use.meanPssMiB),
            digits(use.meanCgroupMiB),
            digits(use.addedPssMiB),
            digits(use.addedRssMiB),
          ]),
        )}`,
        `## ${samples} functions that are scaled to zero\n\n${PROJECTS} projects of ${Math.ceil(samples / PROJECTS)} functions, ten different sources in each, deployed in ${digits(deployMs / 1_000)} s and never called.\n\n${table(['', 'before MiB', 'after MiB', 'added MiB'], [memoryRow('PSS, supervisor to postgres', (use) => use.platform.pssMiB), ...Object.keys(after.rolesMiB).map((role) => memoryRow(`– ${role}`, (use) => use.rolesMiB[role] ?? 0)), memoryRow('RSS, the same', (use) => use.platform.rssMiB), memoryRow('PSS with all sandboxes, blank ones too', (use) => use.all.pssMiB), memoryRow('RSS, the same', (use) => use.all.rssMiB)])}`,
        `Warm latency of a function on two nodes that both run, with and without those functions; medians of ${rounds} interleaved rounds of ${seconds} s; c=1 closed loop, then ${OPEN_LOOP_PER_SECOND} a second open loop.\n\n${table(['', 'c=1 p50 µs', 'ratio', 'open p50 ms', 'open p99 ms', 'p50 ratio', 'p99 ratio', 'failed'], [latencyRow('without'), latencyRow('with')])}`,
      ],
      measured: { rounds, seconds, samples, deployMs, before, after, runs, instances },
    },
    { quick },
  );
}

/** Looks once a second until memory stands still. */
async function settled(virga: Virga): Promise<TreeUse> {
  const untilMs = performance.now() + SETTLE_MS_MAX;
  await sleep(3_000);
  for (let last = useOf(virga.process.pid!); ;) {
    await sleep(1_000);
    const now = useOf(virga.process.pid!);
    if (Math.abs(now.all.pssMiB - last.all.pssMiB) < SETTLED_MIB || performance.now() > untilMs) return now;
    last = now;
  }
}

function idleProject(project: number, functions: number): Record<string, string> {
  const source = (n: number) => `code${n % 10}.mjs`;
  const lines = Array.from({ length: functions }, (_, n) => `  f${n}: { source: ${source(n)}, http: GET /f${n} }`);
  const sources = Array.from({ length: 10 }, (_, n) => [source(n), `${HELLO}export const own = '${project}.${n}';\n`]);
  return { 'virga.yaml': `project: idle${project}\nfunctions:\n${lines.join('\n')}\n`, ...Object.fromEntries(sources) };
}

async function instancesOf(virga: Virga, runtime: string, file: string, source: string): Promise<InstanceUse> {
  const project = `instances-${runtime.toLowerCase()}`;
  const lines = Array.from({ length: INSTANCES }, (_, n) => `  f${n}: { source: ${file}, memory: 64 MiB, idle: 5m, http: GET /f${n} }`);
  await deploy(virga, { 'virga.yaml': `project: ${project}\nfunctions:\n${lines.join('\n')}\n`, [file]: source });
  const before = await settled(virga);
  const client = new HttpClient(portOf(virga.edgeUrl));
  for (let n = 0; n < INSTANCES; n++) {
    const { status, body } = await client.get(`/@${project}/f${n}`);
    if (status !== 200) throw new Error(`${project} f${n} answers ${status} ${body.slice(0, 200)}`);
  }
  client.close();
  const after = await settled(virga);
  // Those that came since: the instances, and the blank ones that took the place of those they used.
  const there = new Set(before.sandboxes.map(({ id }) => id));
  const came = after.sandboxes.filter(({ id }) => !there.has(id));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    runtime,
    meanPssMiB: mean(came.map(({ pssMiB }) => pssMiB)),
    meanCgroupMiB: mean(came.map(({ cgroupMiB }) => cgroupMiB ?? NaN)),
    addedPssMiB: (after.all.pssMiB - before.all.pssMiB) / INSTANCES,
    addedRssMiB: (after.all.rssMiB - before.all.rssMiB) / INSTANCES,
  };
}
