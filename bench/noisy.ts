// What does a function notice of hostile neighbours on its node? A victim is called 50 times a second by a thread of its own,
// alone and beside each attacker of another project, in turns. The ratio is that of its p99 to its p99 undisturbed in the
// same round (just before); the budget is 1.5. Caller: run.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { closedLoop } from './closed-loop.ts';
import type { ClosedLoop } from './closed-loop.ts';
import { openLoopAside } from './open-loop-worker.ts';
import { constant, failuresOf, latencyOf } from './open-loop.ts';
import type { Latency } from './open-loop.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { deploy, HELLO, launchVirga, portOf } from './virga.ts';

const VICTIM_PER_SECOND = 50;
const BUDGET = 1.5;
/** Before the victim is looked at, the attack is under way. */
const LEAD_MS = 1_000;
/** Longer than any attacker's timeout: then nothing of it runs any more. */
const CALM_MS = 2_500;

interface Attack {
  name: string;
  note: string;
  path: string;
  /** Callers that keep it up. */
  width: number;
}

const MANIFEST = `project: attacker
defaults: { timeout: 2s, memory: 128 MiB, idle: 1s }
functions:
  spin: { source: spin.mjs, http: GET /spin }
  hog: { source: hog.mjs, http: GET /hog }
  fork: { source: fork.py, http: GET /fork }
  flood: { source: flood.mjs, http: GET /flood }
  rate: { source: hello.mjs, concurrency: 16, http: GET /rate }
`;
const SOURCES = {
  'hello.mjs': HELLO,
  'spin.mjs': 'export default { fetch() { for (;;); } };\n',
  'hog.mjs': 'export default { fetch() { const kept = []; for (;;) kept.push(Buffer.alloc(4_000_000, 1)); } };\n',
  'fork.py': `import os

def handler(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass
`,
  'flood.mjs':
    "export default { fetch() { const line = 'x'.repeat(10_000); const until = Date.now() + 1_500; while (Date.now() < until) console.log(line); return new Response('flooded'); } };\n",
};
const ATTACKS: Attack[] = [
  { name: 'CPU', note: '8 calls that spin without end, killed at their timeout of 2 s and made again', path: '/spin', width: 8 },
  { name: 'memory', note: '4 calls that take memory until they are killed at 128 MiB, and are made again', path: '/hog', width: 4 },
  { name: 'fork bomb', note: '2 calls that fork without end, limited to 128 processes each', path: '/fork', width: 2 },
  { name: 'log flood', note: '4 calls that write lines of 10 KB as fast as they can', path: '/flood', width: 4 },
  { name: 'request rate', note: 'a light handler called by 64 callers that never pause', path: '/rate', width: 64 },
];

interface Run {
  undisturbed: Latency;
  disturbed: Latency;
  attack: ClosedLoop;
  failures: Record<string, number>;
}

export async function noisy({ rounds, seconds, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  await deploy(virga, {
    'virga.yaml': 'project: victim\nfunctions:\n  hello: { source: hello.mjs, instances: { min: 1 }, http: GET /hello }\n',
    'hello.mjs': HELLO,
  });
  await deploy(virga, { 'virga.yaml': MANIFEST, ...SOURCES });
  await victim(virga, 2);

  const measured: Record<string, Run[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < ATTACKS.length; turn++) {
      const { name, path, width } = ATTACKS[(turn + round) % ATTACKS.length]!;
      const undisturbed = latencyOf(await victim(virga, seconds));
      const attack = closedLoop({
        port: portOf(virga.edgeUrl),
        path: `/@attacker${path}`,
        width,
        seconds: seconds + LEAD_MS / 1_000,
        timeoutMs: 15_000,
      });
      await sleep(LEAD_MS);
      const shots = await victim(virga, seconds);
      const run = { undisturbed, disturbed: latencyOf(shots), attack: await attack, failures: failuresOf(shots) };
      (measured[name] ??= []).push(run);
      console.error(
        `round ${round + 1}/${rounds} beside ${name}: p50 ${digits(run.disturbed.p50Ms)} ms, p99 ${digits(run.disturbed.p99Ms)} ms (undisturbed ${digits(undisturbed.p50Ms)}, ${digits(undisturbed.p99Ms)}), failed ${JSON.stringify(run.failures)}; the attacker was answered ${run.attack.answered} times, refused or failed ${run.attack.failed} times`,
      );
      await sleep(CALM_MS);
    }
  }

  const rows = ATTACKS.map(({ name }) => {
    const runs = measured[name]!;
    const of = (one: (run: Run) => number) => digits(median(runs.map(one)));
    const ratio = median(runs.map(({ disturbed, undisturbed }) => disturbed.p99Ms / undisturbed.p99Ms));
    return [
      name,
      of(({ undisturbed }) => undisturbed.p50Ms),
      of(({ disturbed }) => disturbed.p50Ms),
      of(({ undisturbed }) => undisturbed.p99Ms),
      of(({ disturbed }) => disturbed.p99Ms),
      of(({ disturbed, undisturbed }) => disturbed.p50Ms / undisturbed.p50Ms),
      digits(ratio),
      ratio <= BUDGET ? 'yes' : 'no',
      String(runs.reduce((sum, { disturbed }) => sum + disturbed.failed, 0)),
      of(({ attack }) => attack.perSecond),
    ];
  });
  const head = ['', 'p50 alone ms', 'p50 beside ms', 'p99 alone ms', 'p99 beside ms', 'p50 ratio', 'p99 ratio', `≤ ${BUDGET}`, 'failed'];
  writeReport(
    {
      name: 'noisy',
      title: 'Noisy neighbours',
      body: [
        `A light, warm function with one instance (its victim) is called ${VICTIM_PER_SECOND} times a second for ${seconds} s, open loop from a thread of its own, alone and then beside each attacker of another project; the generators share the two cores. Medians of ${rounds} rounds; each ratio is within one round. A failure is an infinite latency.`,
        table([...head, 'attacker answered/s'], rows),
        `The attackers:\n\n${ATTACKS.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
      ],
      measured: { rounds, seconds, measured },
    },
    { quick },
  );
}

const victim = (virga: Virga, seconds: number) =>
  openLoopAside({ port: portOf(virga.edgeUrl), paths: ['/@victim/hello'], scheduleMs: constant(VICTIM_PER_SECOND, seconds) }).shots;
