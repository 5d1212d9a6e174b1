// `npm run check`: format, lint, types, tidy, unused code, unit tests; one line each with its time, and its output only
// when it failed. The slowest begin first and one runs per core, so the whole takes as long as the tests and little more.
// Exit code 0 when all passed.
//   check.ts [step …]        only these steps
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const STEP_TIMEOUT_MS = 300_000;
const OUTPUT_MAX = 200_000;

interface Step {
  name: string;
  command: string;
  args: string[];
  /** What to show of its output when it failed; without it, all. */
  from?: string;
}

const installed = (name: string) => join(ROOT, 'node_modules', '.bin', name);
/** Those that start launchers, clusters or builds, or let time pass, for seconds are `*.integration.test.ts`: `npm test` runs them, this does not. */
const UNIT_TESTS = globSync(['src/**/*.test.ts', 'sdk/**/*.test.ts', 'scripts/**/*.test.ts'], {
  cwd: ROOT,
  exclude: ['**/node_modules/**', '**/*.integration.test.ts'],
});

const STEPS: Step[] = [
  {
    name: 'unit tests',
    command: process.execPath,
    // Three at a time on two cores: they wait for processes more than they compute.
    args: ['--test', '--test-reporter=spec', '--test-timeout=30000', `--test-concurrency=${availableParallelism() + 1}`, ...UNIT_TESTS],
    from: '✖ failing tests:',
  },
  { name: 'types', command: installed('tsc'), args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'lint', command: installed('oxlint'), args: ['--type-aware', '--deny-warnings', '--report-unused-disable-directives'] },
  {
    name: 'unused',
    command: process.execPath,
    args: [join(ROOT, 'node_modules/knip/bin/knip.js'), '--no-progress', '--treat-config-hints-as-errors'],
  },
  { name: 'tidy', command: process.execPath, args: [join(ROOT, 'scripts/tidy.ts')] },
  { name: 'format', command: installed('oxfmt'), args: ['--list-different'] },
];

interface Result {
  step: Step;
  ok: boolean;
  seconds: number;
  output: string;
}

function run(step: Step): Promise<Result> {
  const beginMs = performance.now();
  return new Promise((resolve) => {
    // Some of these programs are scripts for `node`: they must find the pinned one, not the system's.
    const PATH = `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`;
    const env = { ...process.env, PATH, NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'virga-tests') };
    const child = spawn(step.command, step.args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: STEP_TIMEOUT_MS });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const end = (ok: boolean, why = '') => resolve({ step, ok, seconds: (performance.now() - beginMs) / 1000, output: output + why });
    child.on('error', (error) => end(false, `${error.message}; run npm ci first\n`));
    child.on('close', (code, signal) =>
      end(code === 0, signal === null ? '' : `ended by ${signal} (limit: ${STEP_TIMEOUT_MS / 1000} s)\n`),
    );
  });
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(`no such step: ${unknown.join(', ')}; there are: ${STEPS.map((step) => step.name).join(', ')}`);
  process.exit(2);
}

const waiting = STEPS.filter((step) => wanted.length === 0 || wanted.includes(step.name));
const failed: Result[] = [];
const beginMs = performance.now();
const worker = async () => {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const result = await run(step);
    if (!result.ok) failed.push(result);
    console.log(`${result.ok ? 'ok    ' : 'FAILED'} ${step.name.padEnd(12)} ${result.seconds.toFixed(1).padStart(5)} s`);
  }
};
await Promise.all(Array.from({ length: Math.min(4, Math.max(2, availableParallelism())) }, worker));
for (const { step, output } of failed) {
  const from = step.from === undefined ? -1 : output.indexOf(step.from);
  console.log(`\n── ${step.name} ${'─'.repeat(100 - step.name.length)}\n${output.slice(Math.max(0, from)).trimEnd()}`);
}
console.log(
  `\n${failed.length === 0 ? 'all passed' : `failed: ${failed.map((result) => result.step.name).join(', ')}`} in ${((performance.now() - beginMs) / 1000).toFixed(1)} s`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
