// Whether the open-loop generator is fast enough: it must keep a schedule of three times the load on a bare node:http server,
// or what the report says about Virga is about the generator. Callers: the benchmarks with an open loop.
import { bareNode } from './contenders.ts';
import { constant, latencyOf, openLoop } from './open-loop.ts';
import { digits } from './statistics.ts';

const SECONDS = 2;
const TIMES = 3;

/** A sentence for the report. */
export async function generatorProof(perSecond: number): Promise<string> {
  const rate = Math.ceil(perSecond * TIMES);
  const { port, started } = await bareNode.launch();
  try {
    const { achievedPerSecond, p50Ms, p99Ms, lateP99Ms, failed } = latencyOf(
      await openLoop({ port, paths: ['/hello'], scheduleMs: constant(rate, SECONDS) }),
    );
    const keeps = achievedPerSecond >= rate * 0.97 && failed === 0;
    const verdict = keeps ? 'keeps' : 'does NOT keep (the figures below are those of the generator as well)';
    return `The generator ${verdict} ${TIMES} times the highest rate here on bare node:http: ${digits(achievedPerSecond)} of ${rate} a second, p50 ${digits(p50Ms)} ms, p99 ${digits(p99Ms)} ms, departures late by at most ${digits(lateP99Ms)} ms in 99 % of cases, ${failed} failed.`;
  } finally {
    await started.stop();
  }
}
