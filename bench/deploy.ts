// How long is it from `virga deploy` to the first right answer? From the spawn of the command line, which builds, uploads and
// waits until the edge serves the new state, to the end of the first call after it. First deploy of a project, and redeploy of
// changed code. Beside it: the start of each peer with its code in place until its first answer, which is how they take new
// code. Caller: run.ts.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFiles } from '../test/system/virga.ts';
import type { Virga } from '../test/system/virga.ts';
import { functionsFramework, serverlessOffline, workerd } from './contenders.ts';
import type { Contender } from './contenders.ts';
import { HttpClient } from './http-client.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { launchVirga, portOf } from './virga.ts';

/** Rounds in which serverless-offline takes part: one start of it takes longer than all the others together. */
const OFFLINE_ROUNDS = 3;

interface Taken {
  totalMs: number;
  /** Until the command line had ended, or the server accepted connections. */
  commandMs: number;
}

export async function deployToAnswer({ rounds, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-'));
  all.defer(() => rm(folder, { recursive: true }));
  const notes: Record<string, string> = {
    'virga, first deploy': 'the command line, the build, the upload, the commit, the first (cold) call',
    'virga, redeploy of changed code': 'the same for a project that is there; what answers is checked to be the new code',
    'virga, redeploy of nothing': 'the same without any change; the call is warm',
  };
  const measured: Record<string, Taken[]> = {};
  const add = (name: string, taken: Taken): void => {
    (measured[name] ??= []).push(taken);
    console.error(`${name}: ${digits(taken.totalMs)} ms`);
  };
  for (let round = 0; round < rounds; round++) {
    const project = join(folder, `p${round}`);
    for (const [name, text] of [
      ['virga, first deploy', 'one'],
      ['virga, redeploy of changed code', 'two'],
      ['virga, redeploy of nothing', 'two'],
    ] as const) {
      await writeFiles(project, {
        'virga.yaml': `project: p${round}\nfunctions:\n  hello: { source: hello.ts, http: GET /hello }\n`,
        'hello.ts': `export default { fetch: () => new Response('${text}') };\n`,
      });
      add(name, await deployOf(virga, project, { path: `/@p${round}/hello`, text }));
    }
    for (const peer of [workerd, functionsFramework, ...(round < OFFLINE_ROUNDS ? [serverlessOffline] : [])]) {
      notes[`${peer.name}, start`] = `from spawn of the server to its first answer; ${peer.note}`;
      add(`${peer.name}, start`, await startOf(peer));
    }
  }
  const rows = Object.entries(measured).map(([name, taken]) => {
    const total = taken.map(({ totalMs }) => totalMs);
    return [
      name,
      String(taken.length),
      digits(median(total)),
      digits(percentile(total, 0.99)),
      digits(median(taken.map(({ commandMs }) => commandMs))),
      digits(median(taken.map(({ totalMs, commandMs }) => totalMs - commandMs))),
    ];
  });
  writeReport(
    {
      name: 'deploy',
      title: 'Deploy to first answer',
      body: [
        `A function of one line. ${rounds} interleaved rounds.`,
        table(['', 'samples', 'p50 ms', 'p99 ms', 'until deployed or listening ms', 'first call ms'], rows),
        `What each includes:\n\n${Object.entries(notes)
          .map(([name, note]) => `- ${name}: ${note}.`)
          .join('\n')}`,
      ],
      measured: { rounds, measured },
    },
    { quick },
  );
}

async function deployOf(virga: Virga, folder: string, expected: { path: string; text: string }): Promise<Taken> {
  const beginMs = performance.now();
  const { code, stderr } = await virga.cli(['deploy', folder, '--json']);
  const commandMs = performance.now() - beginMs;
  if (code !== 0) throw new Error(`virga deploy ended with ${code}: ${stderr}`);
  const client = new HttpClient(portOf(virga.edgeUrl));
  const { status, body } = await client.get(expected.path);
  const totalMs = performance.now() - beginMs;
  client.close();
  if (status !== 200 || body !== expected.text) throw new Error(`${expected.path} answers ${status} ${body.slice(0, 200)}`);
  return { totalMs, commandMs };
}

async function startOf(peer: Contender): Promise<Taken> {
  const beginMs = performance.now();
  const { url, port, started } = await peer.launch();
  const commandMs = performance.now() - beginMs;
  const client = new HttpClient(port);
  const { status, body } = await client.get(new URL(url).pathname);
  const totalMs = performance.now() - beginMs;
  client.close();
  await started.stop();
  if (status !== 200 || body !== 'hello') throw new Error(`${peer.name} answers ${status} ${body.slice(0, 200)}`);
  return { totalMs, commandMs };
}
