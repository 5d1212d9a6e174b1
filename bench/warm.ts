// How fast is a warm call, and what CPU does it cost? GET of 5 bytes, and POST of 1 KiB and 64 KiB that come back, over
// keep-alive connections, at 32 of them and at 1, for Virga and each contender in turn, round after round in changing order,
// so that what the machine does meanwhile hits all alike. All stay up during the whole run, idle unless it is their turn.
// A result is the median over the rounds; its ratio to bare node:http the median of the ratios within one round. Caller: run.ts.
import { bareNode, PEERS, serverlessOffline } from './contenders.ts';
import { GENERATOR, load } from './load.ts';
import type { Load } from './load.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { cpuUs } from './usage.ts';
import { deploy, ECHO, launchVirga } from './virga.ts';

const KIB = 1024;
const BODIES = [0, KIB, 64 * KIB] as const;
const CONNECTIONS = [32, 1] as const;

interface Subject {
  name: string;
  note: string;
  url: string;
  /** Root of its processes. */
  pid: number;
}

interface Run extends Load {
  /** Of all its processes, a call. */
  cpuUs: number;
}

const bodyName = (bytes: number) => (bytes === 0 ? 'null' : `${bytes / KIB} KiB`);
const caseName = (bytes: number, connections: number) => `${bodyName(bytes)}, c=${connections}`;

export async function warm({ rounds, seconds, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const subjects: Subject[] = [];
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  const manifest = `project: bench
functions:
  one: { source: echo.mjs, http: /one }
  many: { source: echo.mjs, concurrency: 64, http: /many }
`;
  await deploy(virga, { 'virga.yaml': manifest, 'echo.mjs': ECHO });
  for (const contender of [bareNode, ...PEERS]) {
    const { url, started } = await contender.launch();
    all.defer(() => started.stop());
    subjects.push({ name: contender.name, note: contender.note, url, pid: started.child.pid! });
  }
  const ofVirga = (name: string, note: string, path: string): Subject => ({
    name,
    note,
    url: `${virga.edgeUrl}/@bench/${path}`,
    pid: virga.process.pid!,
  });
  const byDefault =
    'gateway, routing, a process in its own namespaces, a record and a receipt for each call; as it is by default: one call at a time in an instance';
  subjects.splice(
    1,
    0,
    ofVirga('virga', byDefault, 'one'),
    ofVirga('virga, concurrency 64', 'the same, with an instance that takes up to 64 calls at once', 'many'),
  );
  const cases = BODIES.flatMap((bytes) => CONNECTIONS.map((connections) => ({ bytes, connections })));
  const takes = (subject: Subject, bytes: number) => bytes === 0 || subject.name !== serverlessOffline.name;

  for (const subject of subjects) {
    await answersRightly(subject);
    for (const { bytes, connections } of cases)
      if (takes(subject, bytes)) await load(subject.url, { connections, seconds: 1, bodyBytes: bytes });
    console.error(`${subject.name} is up and warm at ${subject.url}`);
  }

  const measured: Record<string, Record<string, Run[]>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const { bytes, connections } of cases) {
      for (let turn = 0; turn < subjects.length; turn++) {
        const subject = subjects[(turn + round) % subjects.length]!;
        if (!takes(subject, bytes)) continue;
        const beforeUs = cpuUs(subject.pid);
        const result = await load(subject.url, { connections, seconds, bodyBytes: bytes });
        const run = { ...result, cpuUs: (cpuUs(subject.pid) - beforeUs) / Math.max(1, result.calls) };
        ((measured[caseName(bytes, connections)] ??= {})[subject.name] ??= []).push(run);
        console.error(
          `round ${round + 1}/${rounds} ${caseName(bytes, connections)} ${subject.name}: ${Math.round(run.requestsPerSecond)}/s p50 ${run.p50Us} µs, ${Math.round(run.cpuUs)} µs of CPU a call, ${run.failed} failed`,
        );
      }
    }
  }

  const sections = cases.map(({ bytes, connections }) => {
    const ofCase = measured[caseName(bytes, connections)]!;
    const rows = subjects.filter(({ name }) => ofCase[name] !== undefined).map(({ name }) => row(name, ofCase));
    return `## ${caseName(bytes, connections)}\n\n${table(['', 'requests/s', 'of bare', 'p50 µs', 'p99 µs', 'added p50 / bare p50', 'CPU µs a call', 'failed'], rows)}`;
  });
  writeReport(
    {
      name: 'warm',
      title: 'Warm calls',
      body: [
        `null: \`GET\` answers 5 bytes. 1 KiB, 64 KiB: \`POST\` answers with its own body, which the handler has read whole. Medians of ${rounds} rounds of ${seconds} s each, interleaved; closed loop, so the percentiles at 32 connections are those of a saturated server. Load by ${GENERATOR} on the same two cores. CPU: user and kernel time of all processes of the row by /proc (Virga: supervisor, edge, launcher, control, Postgres and the sandboxes), divided by the calls.`,
        ...sections,
        `What each includes:\n\n${subjects.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
      ],
      measured: { rounds, seconds, measured },
    },
    { quick },
  );
}

function row(name: string, ofCase: Record<string, Run[]>): string[] {
  const [runs, base] = [ofCase[name]!, ofCase[bareNode.name]!];
  const of = (one: (run: Run, bare: Run) => number) => digits(median(runs.map((run, round) => one(run, base[round]!))));
  return [
    name,
    of((run) => run.requestsPerSecond),
    of((run, bare) => run.requestsPerSecond / bare.requestsPerSecond),
    of((run) => run.p50Us),
    of((run) => run.p99Us),
    name === bareNode.name ? '–' : of((run, bare) => (run.p50Us - bare.p50Us) / bare.p50Us),
    of((run) => run.cpuUs),
    String(runs.reduce((sum, run) => sum + run.failed, 0)),
  ];
}

async function answersRightly({ name, url }: Subject): Promise<void> {
  const expect = async (init: RequestInit, wanted: string): Promise<void> => {
    const answer = await fetch(url, init);
    const text = await answer.text();
    if (answer.status !== 200 || text !== wanted) throw new Error(`${name} answers ${answer.status} ${text.slice(0, 200)}`);
  };
  await expect({}, 'hello');
  if (name === serverlessOffline.name) return;
  const body = 'x'.repeat(64 * KIB);
  await expect({ method: 'POST', body, headers: { 'content-type': 'application/octet-stream' } }, body);
}
