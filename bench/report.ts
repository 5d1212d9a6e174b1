// Writes the last result of a benchmark: the table as Markdown for people, everything that was measured as JSON beside
// it, with the machine and the versions that it was measured on. Caller: run.ts.
// With --quick nothing is written: such figures are no results.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { versionOf } from './contenders.ts';
import { GENERATOR } from './load.ts';

/** What else ran on the machine when the benchmark began; well above 0.5 the figures are noise. */
const loadBefore = loadavg()[0]!;

export interface Report {
  name: string;
  title: string;
  /** Paragraphs of Markdown, the tables among them. */
  body: string[];
  measured: object;
}

export function writeReport({ name, title, body, measured }: Report, { quick }: { quick: boolean }): void {
  const conditions = {
    date: new Date().toISOString(),
    virga: commit(),
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release().split('-')[0],
    'load before': loadBefore.toFixed(1),
    generator: GENERATOR,
    'functions-framework': versionOf('@google-cloud/functions-framework'),
    workerd: versionOf('workerd'),
    'serverless-offline': versionOf('serverless-offline'),
  };
  if (quick) {
    console.log(`\n${[`# ${title}`, ...body].join('\n\n')}\n\nnot written: --quick`);
    return;
  }
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const conditionsLine = Object.entries(conditions)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ');
  const text = [`# ${title}`, ...body, `Conditions: ${conditionsLine}.`].join('\n\n') + '\n';
  writeFileSync(join(folder, `${name}.md`), text);
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ conditions, ...measured }, null, 2)}\n`);
  console.log(`\n${text}\nwritten to bench/results/${name}.md and ${name}.json`);
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', '../src') === '' ? '' : ' with changes'}`;
  } catch {
    return 'unknown';
  }
}
