// How fast is a warm call? `GET /hello` over keep-alive connections, at 32 connections and at 1, for Virga and each
// contender in turn, round after round in changing order, so that what the machine does meanwhile hits all alike.
// All stay up during the whole run, idle unless it is their turn. The result is the median over the rounds, and its ratio
// to bare node:http is the median of the ratios within one round. Caller: run.ts.
import { bareNode, PEERS } from './contenders.ts';
import type { Contender } from './contenders.ts';
import { GENERATOR, load } from './load.ts';
import type { Load } from './load.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { deploy, HELLO, launchVirga } from './virga.ts';

const CONNECTIONS = [32, 1] as const;
const WARM_UP_SECONDS = 2;

interface Subject {
  name: string;
  note: string;
  url: string;
  stop(): Promise<void>;
}

export async function warm({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  await using all = new AsyncDisposableStack();
  const subjects: Subject[] = [];
  const begin = async (contender: Contender): Promise<void> => {
    const { url, started } = await contender.launch();
    all.defer(() => started.stop());
    subjects.push({ name: contender.name, note: contender.note, url, stop: () => started.stop() });
    console.error(`${contender.name} is up at ${url}`);
  };
  await begin(bareNode);
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  const manifest = `project: bench
functions:
  one: { source: hello.mjs, http: GET /one }
  many: { source: hello.mjs, concurrency: 64, http: GET /many }
`;
  await deploy(virga, { 'virga.yaml': manifest, 'hello.mjs': HELLO });
  const ofVirga = (name: string, note: string, path: string): void => {
    subjects.push({ name, note, url: `${virga.edgeUrl}/@bench/${path}`, stop: async () => {} });
  };
  ofVirga(
    'virga',
    'gateway, routing, a process in its own namespaces, a record and a receipt for each call; as it is by default: one call at a time in an instance',
    'one',
  );
  ofVirga('virga, concurrency 64', 'the same, with an instance that takes up to 64 calls at once', 'many');
  for (const peer of PEERS) await begin(peer);

  for (const { name, url } of subjects) {
    const answer = await fetch(url);
    const text = await answer.text();
    if (answer.status !== 200 || text !== 'hello') throw new Error(`${name} answers ${answer.status} ${text.slice(0, 200)}`);
    for (const connections of CONNECTIONS) await load(url, { connections, seconds: WARM_UP_SECONDS });
  }

  const measured: Record<string, Record<number, Load[]>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const connections of CONNECTIONS) {
      for (let turn = 0; turn < subjects.length; turn++) {
        const subject = subjects[(turn + round) % subjects.length]!;
        const result = await load(subject.url, { connections, seconds });
        if (result.failed > 0)
          throw new Error(`${subject.name}: ${result.failed} calls failed at ${connections} connections; that is no result`);
        ((measured[subject.name] ??= {})[connections] ??= []).push(result);
        console.error(
          `round ${round + 1}/${rounds} c=${connections} ${subject.name}: ${Math.round(result.requestsPerSecond)}/s p50 ${result.p50Us} µs`,
        );
      }
    }
  }

  const floor = measured[bareNode.name]!;
  const row = ({ name }: Subject, connections: number): string[] => {
    const runs = measured[name]![connections]!;
    const base = floor[connections]!;
    const rate = median(runs.map((run) => run.requestsPerSecond));
    const ratio = median(runs.map((run, round) => run.requestsPerSecond / base[round]!.requestsPerSecond));
    const p50 = median(runs.map((run) => run.p50Us));
    const added = median(runs.map((run, round) => (run.p50Us - base[round]!.p50Us) / base[round]!.p50Us));
    return [
      name,
      digits(rate),
      digits(ratio),
      digits(p50),
      digits(median(runs.map((run) => run.p99Us))),
      name === bareNode.name ? '–' : digits(added),
    ];
  };
  const head = ['', 'requests/s', 'of bare', 'p50 µs', 'p99 µs', 'added p50 / bare p50'];
  writeReport({
    name: 'warm',
    title: 'Warm calls',
    body: [
      `\`GET /hello\` answers 5 bytes. Medians of ${rounds} rounds of ${seconds} s each, interleaved; closed loop, so the percentiles at 32 connections are those of a saturated server. Load by ${GENERATOR} on the same two cores.`,
      `## 32 connections\n\n${table(
        head,
        subjects.map((subject) => row(subject, 32)),
      )}`,
      `## 1 connection\n\n${table(
        head,
        subjects.map((subject) => row(subject, 1)),
      )}`,
      `What each includes:\n\n${subjects.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
    ],
    measured: { rounds, seconds, measured },
  });
}
