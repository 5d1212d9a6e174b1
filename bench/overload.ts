// What happens at ten times the capacity? A function that computes 5 ms of CPU is first called by a closed loop, which gives
// the capacity; then at 0.7 of it, then at ten times it, then at once at 0.7 again, all open loop with departures that know
// nothing of each other. Accepted work should keep its latency, the rest be refused at once with Retry-After, the edge's
// memory and the number of sandboxes stay bounded, and full speed be back within 2 s. Caller: run.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { closedLoop } from './closed-loop.ts';
import { generatorProof } from './generator-proof.ts';
import { header } from './http-client.ts';
import { failuresOf, latencyOf, openLoop, poisson } from './open-loop.ts';
import type { Latency, Shot } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { residentMiB, sandboxesOf } from './usage.ts';
import { deploy, launchVirga, portOf } from './virga.ts';

const WORK = `export default {
  fetch() {
    const from = process.cpuUsage();
    for (;;) {
      const { user, system } = process.cpuUsage(from);
      if (user + system >= 5_000) return new Response('hello');
    }
  },
};
`;
const PATH = '/@work/work';
const TIMES = 10;
const USUAL = 0.7;
const USUAL_SECONDS = 4;
const RECOVERY_SECONDS = 6;
const CAPACITY_SECONDS = 3;
const CALLERS = 16;
const LOOK_MS = 500;
/** Recovery is judged by windows of so many ms: back when none after it has more than a tenth of its calls over twice the p99 of before. */
const WINDOW_MS = 250;

interface Look {
  atMs: number;
  edgeMiB: number;
  sandboxes: number;
}

interface Round {
  capacityPerSecond: number;
  before: Latency;
  offeredPerSecond: number;
  accepted: { calls: number; perSecond: number; p50Ms: number; p99Ms: number };
  refused: { calls: number; share: number; p50Ms: number; p99Ms: number; retryAfterShare: number };
  /** Neither accepted nor refused. */
  other: Record<string, number>;
  looks: Look[];
  edgeBeforeMiB: number;
  lateP99Ms: number;
  after: Latency;
  recoveryMs: number;
  capacityAfterPerSecond: number;
}

export async function overload({ rounds, seconds, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  await deploy(virga, {
    'virga.yaml': 'project: work\nfunctions:\n  work: { source: work.mjs, memory: 64 MiB, http: GET /work }\n',
    'work.mjs': WORK,
  });
  await closedLoop({ port: portOf(virga.edgeUrl), path: PATH, width: CALLERS, seconds: 2 });

  const measured: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const taken = await roundOf(virga, seconds);
    measured.push(taken);
    console.error(
      `round ${round + 1}/${rounds}: capacity ${digits(taken.capacityPerSecond)}/s; at ten times it ${digits(taken.accepted.perSecond)}/s accepted with p99 ${digits(taken.accepted.p99Ms)} ms (before ${digits(taken.before.p99Ms)}), ${digits(taken.refused.share)} refused with p99 ${digits(taken.refused.p99Ms)} ms, other ${JSON.stringify(taken.other)}, back after ${digits(taken.recoveryMs)} ms, capacity after ${digits(taken.capacityAfterPerSecond)}/s`,
    );
    await sleep(1_000);
  }
  const of = (one: (round: Round) => number) => digits(median(measured.map(one)));
  const most = (one: (look: Look) => number) => (round: Round) => Math.max(...round.looks.map(one));
  const others = measured.map(({ other }) => Object.values(other).reduce((sum, count) => sum + count, 0));
  const rows: [string, string][] = [
    ['capacity, closed loop, calls/s', of((r) => r.capacityPerSecond)],
    [`p50 at ${USUAL} of it before, ms`, of((r) => r.before.p50Ms)],
    [`p99 at ${USUAL} of it before, ms`, of((r) => r.before.p99Ms)],
    ['offered at overload, calls/s', of((r) => r.offeredPerSecond)],
    ['accepted and answered, calls/s', of((r) => r.accepted.perSecond)],
    ['– of the capacity', of((r) => r.accepted.perSecond / r.capacityPerSecond)],
    ['accepted p50, ms', of((r) => r.accepted.p50Ms)],
    ['accepted p99, ms', of((r) => r.accepted.p99Ms)],
    ['– p50 of that before', of((r) => r.accepted.p50Ms / r.before.p50Ms)],
    ['– p99 of that before', of((r) => r.accepted.p99Ms / r.before.p99Ms)],
    ['refused (429, 503), share', of((r) => r.refused.share)],
    ['– p50, ms', of((r) => r.refused.p50Ms)],
    ['– p99, ms', of((r) => r.refused.p99Ms)],
    ['– with Retry-After, share', of((r) => r.refused.retryAfterShare)],
    ['neither accepted nor refused, calls', digits(median(others))],
    ['resident set of the edge before, MiB', of((r) => r.edgeBeforeMiB)],
    ['– at its most, MiB', of(most(({ edgeMiB }) => edgeMiB))],
    ['sandboxes at the most', of(most(({ sandboxes }) => sandboxes))],
    ['latency is back after, ms', of((r) => r.recoveryMs)],
    [`p99 at ${USUAL} of the capacity in the ${RECOVERY_SECONDS} s after, ms`, of((r) => r.after.p99Ms)],
    ['failures in these', digits(median(measured.map((r) => r.after.failed)))],
    ['capacity then, of that before', of((r) => r.capacityAfterPerSecond / r.capacityPerSecond)],
  ];
  const timeline = measured.at(-1)!.looks.map((look) => [String(Math.round(look.atMs)), digits(look.edgeMiB), String(look.sandboxes)]);
  const highest = Math.max(...measured.map((r) => r.offeredPerSecond));
  writeReport(
    {
      name: 'overload',
      title: 'Overload',
      body: [
        `A function that computes 5 ms of CPU, with default settings but 64 MiB of memory, called at ${TIMES} times what a closed loop of ${CALLERS} callers gets through, for ${seconds} s. Open loop, Poisson departures, latency from the intended departure; the generator shares the two cores, and its departures left at most ${of((r) => r.lateP99Ms)} ms late in 99 % of cases. Medians of ${rounds} rounds. Latency is back at the end of the last window of ${WINDOW_MS} ms in which more than a tenth of the calls failed or took over twice the p99 of before.`,
        table(['', 'median'], rows),
        `The last round, from the start of the overload on:\n\n${table(['ms', 'edge MiB', 'sandboxes'], timeline)}`,
        await generatorProof(highest),
      ],
      measured: { rounds, seconds, measured },
    },
    { quick },
  );
}

async function roundOf(virga: Virga, seconds: number): Promise<Round> {
  const port = portOf(virga.edgeUrl);
  const { perSecond: capacity } = await closedLoop({ port, path: PATH, width: CALLERS, seconds: CAPACITY_SECONDS });
  const usual = (length: number, seed: number) => openLoop({ port, paths: [PATH], scheduleMs: poisson(capacity * USUAL, length, seed) });
  const before = latencyOf(await usual(USUAL_SECONDS, 1));
  const edge = virga.pids()['edge']![0]!;
  const edgeBeforeMiB = residentMiB(edge);

  const looks: Look[] = [];
  const beginMs = performance.now();
  const watch = setInterval(
    () =>
      looks.push({
        atMs: performance.now() - beginMs,
        edgeMiB: residentMiB(edge),
        sandboxes: sandboxesOf(virga.process.pid!).size,
      }),
    LOOK_MS,
  );
  const scheduleMs = poisson(capacity * TIMES, seconds, 2);
  const storm = openLoop({ port, paths: [PATH], scheduleMs });
  // The next load begins when the last call of this one has left, not when it was answered.
  await sleep(seconds * 1_000);
  const afterwards = await usual(RECOVERY_SECONDS, 3);
  clearInterval(watch);
  const shots = await storm;
  const accepted = shots.filter(({ status }) => status === 200);
  const refused = shots.filter(({ status }) => status === 429 || status === 503);
  const { perSecond: capacityAfter } = await closedLoop({ port, path: PATH, width: CALLERS, seconds: CAPACITY_SECONDS });
  const p = (taken: Shot[], share: number) =>
    percentile(
      taken.map(({ ms }) => ms),
      share,
    );
  return {
    capacityPerSecond: capacity,
    before,
    offeredPerSecond: scheduleMs.length / seconds,
    accepted: { calls: accepted.length, perSecond: accepted.length / seconds, p50Ms: p(accepted, 0.5), p99Ms: p(accepted, 0.99) },
    refused: {
      calls: refused.length,
      share: refused.length / shots.length,
      p50Ms: p(refused, 0.5),
      p99Ms: p(refused, 0.99),
      retryAfterShare: refused.filter(({ head }) => header(head, 'retry-after') !== undefined).length / refused.length,
    },
    other: failuresOf(shots.filter(({ status }) => status !== 429 && status !== 503)),
    looks,
    edgeBeforeMiB,
    lateP99Ms: p(
      shots.map((shot) => ({ ...shot, ms: shot.lateMs })),
      0.99,
    ),
    after: latencyOf(afterwards),
    recoveryMs: recoveryMs(afterwards, 2 * before.p99Ms),
    capacityAfterPerSecond: capacityAfter,
  };
}

function recoveryMs(shots: Shot[], limitMs: number): number {
  let backMs = 0;
  for (let fromMs = 0; fromMs < RECOVERY_SECONDS * 1_000; fromMs += WINDOW_MS) {
    const window = shots.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + WINDOW_MS);
    const bad = window.filter(({ status, ms }) => status !== 200 || ms > limitMs);
    if (bad.length > window.length / 10) backMs = fromMs + WINDOW_MS;
  }
  return backMs;
}
