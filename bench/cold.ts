// How long does the first call of a function take that is scaled to zero? One call at a time, over a connection that is
// open; in each round every subject gives a number of samples, in turns. `with pauses`: what Virga keeps ready has time to
// be replaced; `back to back`: it has not, and runs out. serverless-offline is a running server too. functions-framework and
// workerd have no such state: there the sample is the start of the server process until its first answer. Yardsticks:
// `node empty.js` and `python3 -c 0`, from spawn to exit. First calls at a rate: cold-rate.ts. Caller: run.ts.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { functionsFramework, serverlessOffline, workerd } from './contenders.ts';
import type { Contender } from './contenders.ts';
import { firstCall, freshFunctions, HEAVY, LIGHT, PYTHON, PYTHON_HEAVY } from './first-calls.ts';
import type { FirstCall, Kind } from './first-calls.ts';
import { HttpClient } from './http-client.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { launchVirga, portOf } from './virga.ts';
import { inBubblewrap, processMs, PYTHON_PATH } from './yardsticks.ts';

const PHASES = ['queue', 'sandbox', 'load', 'init', 'handler'];
/** The functions that peers/serverless-offline/serverless.yml declares for this. */
const OFFLINE_FUNCTIONS = 20;
const PAUSE_MS = 100;

interface Subject {
  name: string;
  note: string;
  yardstick: 'node' | 'python';
  round(): Promise<FirstCall[]>;
}

const plain = (ms: number): FirstCall => ({ ms, phases: {}, hit: false });

function processes(name: string, note: string, yardstick: Subject['yardstick'], command: [string, string[]], samples: number): Subject {
  return {
    name,
    note,
    yardstick,
    async round() {
      const taken: FirstCall[] = [];
      for (let n = 0; n < samples; n++) taken.push(plain(await processMs(...command)));
      return taken;
    },
  };
}

/** From the start of the server process to its first answer. */
function starts(contender: Contender, samples: number): Subject {
  return {
    name: `${contender.name}, process start`,
    note: `from spawn of the server to its first answer; ${contender.note}`,
    yardstick: 'node',
    async round() {
      const taken: FirstCall[] = [];
      for (let n = 0; n < samples; n++) {
        const beginMs = performance.now();
        const { url, port, started } = await contender.launch();
        const client = new HttpClient(port);
        const answer = await client.get(new URL(url).pathname);
        taken.push(plain(performance.now() - beginMs));
        client.close();
        await started.stop();
        if (answer.status !== 200 || answer.body !== 'hello')
          throw new Error(`${contender.name} answers ${answer.status} ${answer.body.slice(0, 200)}`);
      }
      return taken;
    },
  };
}

async function timed(client: HttpClient, path: string): Promise<FirstCall> {
  const beginMs = performance.now();
  const answer = await client.get(path);
  const taken = firstCall({ ...answer, ms: performance.now() - beginMs });
  if (taken === undefined) throw new Error(`${path} answers ${answer.status} ${answer.error ?? answer.body.slice(0, 300)}`);
  return taken;
}

function virgaFirstCalls(virga: Virga, kind: Kind, options: { samples: number; pauseMs: number }): Subject {
  const { samples, pauseMs } = options;
  const how = pauseMs > 0 ? 'with pauses' : 'back to back';
  const name = `virga, ${kind.name}, ${how}`;
  return {
    name,
    note: `gateway, a sandbox in namespaces of its own with its limits, the code read and evaluated, the answer; ${pauseMs > 0 ? `${pauseMs} ms between the calls` : 'no time between the calls'}`,
    yardstick: kind.yardstick,
    async round() {
      const paths = await freshFunctions(virga, kind, { count: samples, project: name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-') });
      const client = new HttpClient(portOf(virga.edgeUrl));
      await client.open(1);
      await client.get('/@nothing/opens-the-connection');
      const taken: FirstCall[] = [];
      for (const path of paths) {
        taken.push(await timed(client, path));
        if (pauseMs > 0) await sleep(pauseMs);
      }
      client.close();
      return taken;
    },
  };
}

function offlineFirstCalls(samples: number): Subject {
  return {
    name: `${serverlessOffline.name}, first call`,
    note: `the first call of a function in a server that runs (a new worker thread); ${serverlessOffline.note}`,
    yardstick: 'node',
    async round() {
      const { port, started } = await serverlessOffline.launch();
      const client = new HttpClient(port);
      await client.get('/hello');
      const taken: FirstCall[] = [];
      for (let n = 0; n < Math.min(samples, OFFLINE_FUNCTIONS); n++) {
        const beginMs = performance.now();
        const { status, body } = await client.get(`/cold${n}`);
        taken.push(plain(performance.now() - beginMs));
        if (status !== 200 || body !== 'hello') throw new Error(`serverless-offline answers ${status} ${body.slice(0, 200)}`);
      }
      client.close();
      await started.stop();
      return taken;
    },
  };
}

export async function cold({ rounds, samples, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-'));
  all.defer(() => rm(folder, { recursive: true }));
  const [empty, heavy] = [join(folder, 'empty.js'), join(folder, 'heavy.mjs')];
  await writeFile(empty, '');
  await writeFile(heavy, HEAVY.source);
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());

  const node = (file: string): [string, string[]] => [process.execPath, [file]];
  const python: [string, string[]] = [PYTHON_PATH, ['-c', '0']];
  const subjects: Subject[] = [
    processes('node empty.js', 'from spawn to exit, outside any sandbox: the yardstick', 'node', node(empty), samples),
    processes('python3 -c 0', 'the same for Python: its yardstick', 'python', python, samples),
    ...[LIGHT, HEAVY, PYTHON, PYTHON_HEAVY].map((kind) => virgaFirstCalls(virga, kind, { samples, pauseMs: PAUSE_MS })),
    ...[LIGHT, HEAVY, PYTHON].map((kind) => virgaFirstCalls(virga, kind, { samples, pauseMs: 0 })),
    processes(
      'node empty.js in bubblewrap',
      'from spawn to exit, all namespaces, no limits',
      'node',
      inBubblewrap(...node(empty)),
      samples,
    ),
    processes('node heavy.js', 'a module of 1 MiB, outside any sandbox', 'node', node(heavy), samples),
    starts(functionsFramework, Math.ceil(samples / 4)),
    starts(workerd, Math.ceil(samples / 4)),
    offlineFirstCalls(samples),
    ...(quick ? [] : [starts(serverlessOffline, 1)]),
  ];

  const measured: Record<string, FirstCall[][]> = {};
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const subject = subjects[(turn + round) % subjects.length]!;
      const taken = await subject.round();
      (measured[subject.name] ??= []).push(taken);
      const ms = taken.map((one) => one.ms);
      console.error(
        `round ${round + 1}/${rounds} ${subject.name}: p50 ${digits(percentile(ms, 0.5))} ms, max ${digits(Math.max(...ms))} ms, ${taken.filter(({ hit }) => hit).length} hits of ${taken.length}`,
      );
    }
  }

  const floors = { node: p50s(measured[subjects[0]!.name]!), python: p50s(measured[subjects[1]!.name]!) };
  const rows = subjects.flatMap(({ name, yardstick }) => {
    const runs = measured[name]!;
    const floor = floors[yardstick];
    if (!name.startsWith('virga')) return [row(name, runs, floor)];
    const only = (hit: boolean) => runs.map((taken) => taken.filter((one) => one.hit === hit));
    const rest = name.endsWith('back to back') ? [row('– of these, those that found no sandbox ready', only(false), floor)] : [];
    return [row(name, runs, floor), row('– of these, those that found one ready', only(true), floor), ...rest];
  });
  const receipts = subjects.filter(({ name }) => name.startsWith('virga')).map(({ name }) => phaseRow(name, measured[name]!.flat()));
  writeReport(
    {
      name: 'cold',
      title: 'Cold calls',
      body: [
        `The first call of a function that has no instance, one call at a time. ${rounds} interleaved rounds; the p50 is the median of the rounds' medians, the p99 that of all samples. The ratios are to the p50 of \`node empty.js\` (Python: of \`python3 -c 0\`) in the same round, that of p99 to its median. A sandbox was ready when the receipt counts under 2 ms for it.`,
        table(['', 'samples', 'p50 ms', 'p99 ms', 'p50 ratio', 'p99 ratio'], rows),
        `Where Virga's time goes by the receipts, medians in ms (the rest of p50 is the gateway, the connection and the client):\n\n${table(['', ...PHASES], receipts)}`,
        `What each includes:\n\n${subjects.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
      ],
      measured: { rounds, samples, measured },
    },
    { quick },
  );
}

function p50s(runs: FirstCall[][]): number[] {
  return runs.map((taken) =>
    percentile(
      taken.map(({ ms }) => ms),
      0.5,
    ),
  );
}

function row(name: string, runs: FirstCall[][], floor: number[]): string[] {
  const everything = runs.flat().map(({ ms }) => ms);
  // A round without such samples has no say.
  const rounds = p50s(runs).flatMap((p50, round) => (Number.isNaN(p50) ? [] : [{ p50, ratio: p50 / floor[round]! }]));
  return [
    name,
    String(everything.length),
    digits(median(rounds.map(({ p50 }) => p50))),
    digits(percentile(everything, 0.99)),
    digits(median(rounds.map(({ ratio }) => ratio))),
    digits(percentile(everything, 0.99) / median(floor)),
  ];
}

function phaseRow(name: string, calls: FirstCall[]): string[] {
  return [name, ...PHASES.map((phase) => digits(median(calls.map(({ phases }) => phases[phase] ?? NaN))))];
}
