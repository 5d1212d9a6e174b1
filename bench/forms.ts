// What does a form cost? The same hello, written for each cloud and each runtime, warm (32 connections and 1) and as the first
// call of a function that is scaled to zero. Every form is measured in turn, round after round, and each figure is also a
// ratio to Virga's own form in the same language and round: handlers to the handler, fetch to fetch, programs to the handler.
// Invariant: each function answers `hello`, checked before it is measured; a form whose runtime this node lacks is left out and
// named. Caller: run.ts.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../test/system/virga.ts';
import type { Virga } from '../test/system/virga.ts';
import { compiledBootstrap } from './compiled-bootstrap.ts';
import { firstCall } from './first-calls.ts';
import type { FirstCall } from './first-calls.ts';
import { FORM_KINDS } from './form-kinds.ts';
import type { FormKind } from './form-kinds.ts';
import { HttpClient } from './http-client.ts';
import { load } from './load.ts';
import type { Load } from './load.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { launchVirga, portOf } from './virga.ts';

const CONNECTIONS = [32, 1] as const;
/** After a deploy: blanks are there again, and what the deploy left to do is done. */
const SETTLE_MS = 1_500;
const PAUSE_MS = 150;
/** A program takes so long to come up and go that the next one would be measured with it. */
const PROGRAM_PAUSE_MS = 400;

interface Deployed {
  kind: FormKind;
  /** Path of the function that is called warm. */
  warm: string;
}

export async function forms({ rounds, seconds, samples, quick }: BenchOptions): Promise<void> {
  await using all = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-forms-'));
  all.defer(() => rm(folder, { recursive: true }));
  // Libraries are the repository's, as npm installed them.
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const virga = await launchVirga();
  all.defer(() => virga[Symbol.asyncDispose]());

  const deployed: Deployed[] = [];
  const leftOut: string[] = [];
  for (const kind of FORM_KINDS) {
    const why =
      (await writeSources(folder, kind)) ?? (await deployOf(virga, folder, { project: `warm-${kind.id}`, kind, count: 1, state: 0 }));
    if (why !== undefined) {
      leftOut.push(`${kind.name}: ${why}`);
      continue;
    }
    deployed.push({ kind, warm: `/@warm-${kind.id}/f0` });
  }
  for (const { kind, warm } of deployed) {
    const answer = await fetch(`${virga.edgeUrl}${warm}`);
    const text = await answer.text();
    if (answer.status !== 200 || text !== 'hello') throw new Error(`${kind.name} answers ${answer.status} ${text.slice(0, 300)}`);
    for (const connections of CONNECTIONS) await load(`${virga.edgeUrl}${warm}`, { connections, seconds: 1 });
    console.error(`${kind.name} is up and warm`);
  }

  const warm: Record<string, Record<string, Load[]>> = {};
  const cold: Record<string, FirstCall[][]> = {};
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < deployed.length; turn++) {
      const { kind, warm: path } = deployed[(turn + round) % deployed.length]!;
      for (const connections of CONNECTIONS) {
        const run = await load(`${virga.edgeUrl}${path}`, { connections, seconds });
        ((warm[`c=${connections}`] ??= {})[kind.id] ??= []).push(run);
        console.error(
          `round ${round + 1}/${rounds} ${kind.name} c=${connections}: ${Math.round(run.requestsPerSecond)}/s p50 ${run.p50Us} µs, ${run.failed} failed`,
        );
      }
    }
    for (let turn = 0; turn < deployed.length; turn++) {
      const { kind } = deployed[(turn + round) % deployed.length]!;
      const taken = await firstCalls(virga, folder, { kind, count: samples, state: round + 1 });
      (cold[kind.id] ??= []).push(taken);
      console.error(
        `round ${round + 1}/${rounds} ${kind.name} cold: p50 ${digits(
          percentile(
            taken.map(({ ms }) => ms),
            0.5,
          ),
        )} ms`,
      );
    }
  }

  const kinds = deployed.map(({ kind }) => kind);
  writeReport(
    {
      name: 'forms',
      title: 'Forms of other clouds',
      body: [
        `A hello, in each form, called over HTTP. Warm: medians of ${rounds} rounds of ${seconds} s each, interleaved. Cold: the first call of a version that was never called, one at a time with pauses; the median of the rounds' medians of ${samples}. Ratios are to the form named in the last column, in the same round.`,
        table(
          ['', 'c=32 requests/s', 'ratio', 'c=1 p50 µs', 'ratio', 'failed', 'cold p50 ms', 'ratio', 'beside'],
          kinds.map((kind) => row(kind, warm, cold)),
        ),
        `What each is:\n\n${kinds.map(({ name, note }) => `- ${name}: ${note}.`).join('\n')}`,
        ...(leftOut.length === 0 ? [] : [`Left out:\n\n${leftOut.map((line) => `- ${line}`).join('\n')}`]),
      ],
      measured: { rounds, seconds, samples, warm, cold },
    },
    { quick },
  );
}

function row(kind: FormKind, warm: Record<string, Record<string, Load[]>>, cold: Record<string, FirstCall[][]>): string[] {
  const [many, one] = CONNECTIONS.map((connections) => warm[`c=${connections}`]!);
  const ratio = <T>(own: T[], base: T[], of: (run: T) => number): string =>
    digits(median(own.map((run, round) => of(run) / of(base[round]!))));
  const rate = (run: Load): number => run.requestsPerSecond;
  const p50 = (run: Load): number => run.p50Us;
  const coldP50 = (taken: FirstCall[]): number =>
    percentile(
      taken.map(({ ms }) => ms),
      0.5,
    );
  const { id, beside } = kind;
  return [
    kind.name,
    digits(median(many![id]!.map(rate))),
    ratio(many![id]!, many![beside]!, rate),
    digits(median(one![id]!.map(p50))),
    ratio(one![id]!, one![beside]!, p50),
    String([...many![id]!, ...one![id]!].reduce((sum, run) => sum + run.failed, 0)),
    digits(median(cold[id]!.map(coldP50))),
    ratio(cold[id]!, cold[beside]!, coldP50),
    FORM_KINDS.find((other) => other.id === beside)!.name,
  ];
}

/** undefined: they are there; else why not. */
async function writeSources(folder: string, kind: FormKind): Promise<string | undefined> {
  const files = { ...kind.files };
  if (kind.compiled === true) {
    const program = await compiledBootstrap();
    if (program === undefined) return 'there is no C compiler (cc) on this machine';
    files['bootstrap'] = program;
  }
  // Each bootstrap has the same name, so it has a folder of its own.
  const own = 'bootstrap' in files ? join(folder, kind.id) : folder;
  await mkdir(own, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(own, name), content, { mode: 0o755 });
  return undefined;
}

interface Wanted {
  project: string;
  kind: FormKind;
  count: number;
  /** Makes versions that were never called. */
  state: number;
}

/** undefined: it is deployed; else why not. */
async function deployOf(virga: Virga, folder: string, { project, kind, count, state }: Wanted): Promise<string | undefined> {
  const functions = Array.from(
    { length: count },
    (_, n) => `  f${n}: { ${kind.settings}, idle: ${state === 0 ? '5m' : '1s'}, env: { STATE: ${state} }, http: GET /f${n} }`,
  );
  await writeFile(join(folder, 'virga.yaml'), `project: ${project}\nfunctions:\n${functions.join('\n')}\n`);
  const { code, stderr } = await virga.cli(['deploy', folder]);
  if (code === 0) return undefined;
  if (/this node has no runtime|is not installed/.test(stderr)) return stderr.trim().split('\n')[0]!;
  throw new Error(`virga deploy of ${kind.name} ended with ${code}: ${stderr}`);
}

async function firstCalls(virga: Virga, folder: string, { kind, count, state }: Omit<Wanted, 'project'>): Promise<FirstCall[]> {
  const project = `cold-${kind.id}`;
  const why = await deployOf(virga, folder, { project, kind, count, state });
  if (why !== undefined) throw new Error(why);
  await sleep(SETTLE_MS);
  const client = new HttpClient(portOf(virga.edgeUrl));
  await client.open(1);
  await client.get('/@nothing/opens-the-connection');
  const taken: FirstCall[] = [];
  for (let n = 0; n < count; n++) {
    const path = `/@${project}/f${n}`;
    const beginMs = performance.now();
    const answer = await client.get(path);
    const one = firstCall({ ...answer, ms: performance.now() - beginMs });
    if (one === undefined) throw new Error(`${path} answers ${answer.status} ${answer.body.slice(0, 300)}`);
    taken.push(one);
    await sleep(kind.program ? PROGRAM_PAUSE_MS : PAUSE_MS);
  }
  client.close();
  return taken;
}
