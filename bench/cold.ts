// How long does the first call of a function that is scaled to zero take? In each round every subject gives a number of
// samples, in turns. Virga and serverless-offline are running servers whose function has no instance yet: the sample is
// one HTTP call over a connection that is open. functions-framework and workerd have no such state: there the
// sample is the start of the server process until its first answer. The yardstick is `node empty.js`, from spawn to exit.
// Each sample of Virga is the first call of a version of its own; its answer must carry a receipt that says `cold`. Caller: run.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { functionsFramework, serverlessOffline, workerd } from './contenders.ts';
import type { Contender } from './contenders.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { deploy, heavyHandler, HELLO, launchVirga } from './virga.ts';

const HEAVY_KIB = 1024;
const PHASES = ['queue', 'sandbox', 'load', 'init', 'handler'];
/** The functions that peers/serverless-offline/serverless.yml declares for this. */
const OFFLINE_FUNCTIONS = 20;

interface Subject {
  name: string;
  note: string;
  /** ms of each sample. */
  round(index: number): Promise<number[]>;
}

interface Answer {
  ms: number;
  status: number;
  text: string;
  timing: string;
}

function call(url: string, agent: Agent): Promise<Answer> {
  const beginMs = performance.now();
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () =>
        resolve({
          ms: performance.now() - beginMs,
          status: response.statusCode ?? 0,
          text,
          timing: String(response.headers['server-timing'] ?? ''),
        }),
      );
    });
    request.once('error', reject);
    request.setTimeout(30_000, () => request.destroy(new Error(`${url} does not answer within 30 s`)));
  });
}

/** From spawn to exit. */
async function bootMs(file: string): Promise<number> {
  const beginMs = performance.now();
  const [code] = (await once(spawn(process.execPath, [file], { stdio: 'ignore' }), 'exit')) as [number];
  if (code !== 0) throw new Error(`node ${file} ended with ${code}`);
  return performance.now() - beginMs;
}

function boots(name: string, note: string, file: string, samples: number): Subject {
  return {
    name,
    note,
    async round() {
      const taken: number[] = [];
      for (let n = 0; n < samples; n++) taken.push(await bootMs(file));
      return taken;
    },
  };
}

/** From the start of the server process to its first answer. */
function starts(contender: Contender, samples: number): Subject {
  return {
    name: `${contender.name}, process start`,
    note: `from spawn of the server to its first answer; ${contender.note}`,
    async round() {
      const taken: number[] = [];
      for (let n = 0; n < samples; n++) {
        const beginMs = performance.now();
        const { url, started } = await contender.launch();
        const agent = new Agent();
        const { status, text } = await call(url, agent);
        taken.push(performance.now() - beginMs);
        agent.destroy();
        await started.stop();
        if (status !== 200 || text !== 'hello') throw new Error(`${contender.name} answers ${status} ${text.slice(0, 200)}`);
      }
      return taken;
    },
  };
}

/** ms by phase, of each sample, from the receipts in Server-Timing. */
type Phases = Record<string, number[]>;

function phasesOf(timing: string): [phase: string, ms: number][] {
  return [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map((found) => [found[1]!, Number(found[2])]);
}

function virgaFirstCalls(virga: Virga, options: { name: string; note: string; source: string; samples: number; phases: Phases }): Subject {
  const { name, note, source, samples, phases } = options;
  const project = name.replaceAll(/[^a-z0-9]+/g, '-');
  return {
    name,
    note,
    async round(index) {
      const functions = Array.from(
        { length: samples },
        (_, n) => `  f${n}: { source: handler.mjs, memory: 64 MiB, idle: 1s, env: { ROUND: ${index} }, http: GET /f${n} }`,
      );
      await deploy(virga, { 'virga.yaml': `project: ${project}\nfunctions:\n${functions.join('\n')}\n`, 'handler.mjs': source });
      await sleep(1_000);
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      await call(`${virga.edgeUrl}/@${project}/opens-the-connection`, agent);
      const taken: number[] = [];
      for (let n = 0; n < samples; n++) {
        const { ms, status, text, timing } = await call(`${virga.edgeUrl}/@${project}/f${n}`, agent);
        if (status !== 200 || !text.startsWith('hello')) throw new Error(`${name} answers ${status} ${text.slice(0, 200)}`);
        if (!/cold/.test(timing)) throw new Error(`${name}: a call that should have been cold was not: ${timing}`);
        taken.push(ms);
        for (const [phase, phaseMs] of phasesOf(timing)) (phases[phase] ??= []).push(phaseMs);
        await sleep(100);
      }
      agent.destroy();
      return taken;
    },
  };
}

function offlineFirstCalls(samples: number): Subject {
  return {
    name: `${serverlessOffline.name}, first call`,
    note: `the first call of a function in a server that runs (a new worker thread); ${serverlessOffline.note}`,
    async round() {
      const { url, started } = await serverlessOffline.launch();
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      await call(url, agent);
      const taken: number[] = [];
      for (let n = 0; n < Math.min(samples, OFFLINE_FUNCTIONS); n++) {
        const { ms, status, text } = await call(url.replace('/hello', `/cold${n}`), agent);
        if (status !== 200 || text !== 'hello') throw new Error(`serverless-offline answers ${status} ${text.slice(0, 200)}`);
        taken.push(ms);
      }
      agent.destroy();
      await started.stop();
      return taken;
    },
  };
}

export async function cold({ rounds, samples }: { rounds: number; samples: number }): Promise<void> {
  await using all = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-'));
  all.defer(() => rm(folder, { recursive: true }));
  const [empty, heavy] = [join(folder, 'empty.mjs'), join(folder, 'heavy.mjs')];
  await writeFile(empty, '');
  await writeFile(heavy, heavyHandler(HEAVY_KIB));
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());

  const includes = 'gateway, a sandbox in namespaces of its own with its limits, the code read and evaluated, the answer';
  const [light, large]: [Phases, Phases] = [{}, {}];
  const subjects: Subject[] = [
    boots('node empty.js', 'from spawn to exit, outside any sandbox: the yardstick', empty, samples),
    virgaFirstCalls(virga, { name: 'virga, light handler', note: includes, source: HELLO, samples, phases: light }),
    boots('node heavy.js', `the same with a module of ${HEAVY_KIB} KiB`, heavy, samples),
    virgaFirstCalls(virga, {
      name: 'virga, 1 MiB handler',
      note: `${includes}; ${HEAVY_KIB} KiB of source`,
      source: heavyHandler(HEAVY_KIB),
      samples,
      phases: large,
    }),
    starts(functionsFramework, Math.ceil(samples / 2)),
    starts(workerd, Math.ceil(samples / 2)),
    offlineFirstCalls(samples),
    starts(serverlessOffline, 1),
  ];

  const measured: Record<string, number[][]> = {};
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const subject = subjects[(turn + round) % subjects.length]!;
      const taken = await subject.round(round);
      (measured[subject.name] ??= []).push(taken);
      console.error(
        `round ${round + 1}/${rounds} ${subject.name}: p50 ${digits(percentile(taken, 0.5))} ms, max ${digits(Math.max(...taken))} ms, ${taken.length} samples`,
      );
    }
  }

  const floor = measured[subjects[0]!.name]!.map((taken) => percentile(taken, 0.5));
  const rows = subjects.map(({ name }) => {
    const runs = measured[name]!;
    const of = (share: number) => runs.map((taken) => percentile(taken, share));
    const ratio = (share: number) => median(of(share).map((ms, round) => ms / floor[round]!));
    return [
      name,
      String(runs.flat().length),
      digits(median(of(0.5))),
      digits(percentile(runs.flat(), 0.99)),
      digits(ratio(0.5)),
      digits(percentile(runs.flat(), 0.99) / median(floor)),
    ];
  });
  writeReport({
    name: 'cold',
    title: 'Cold calls',
    body: [
      `The first call of a function that has no instance. Medians of ${rounds} interleaved rounds; p99 over all samples. One call at a time. The ratios are to the p50 of \`node empty.js\` in the same round.`,
      table(['', 'samples', 'p50 ms', 'p99 ms', 'p50 ratio', 'p99 ratio'], rows),
      `Where Virga's time goes by the receipts, medians in ms (the rest of p50 is the gateway, the connection and the client):\n\n${table(['', ...PHASES], [phaseRow('light handler', light), phaseRow('1 MiB handler', large)])}`,
      `What each includes:\n\n${subjects.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
    ],
    measured: { rounds, samples, measuredMs: measured, receiptsMs: { light, large } },
  });
}

function phaseRow(name: string, phases: Phases): string[] {
  return [name, ...PHASES.map((phase) => digits(median(phases[phase] ?? [])))];
}
