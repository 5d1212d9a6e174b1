// `npm run bench -- warm|cold [--rounds N] [--seconds N] [--samples N]`: installs the peers when they are not there yet
// (bench/ has a package and a lockfile of its own), then runs one benchmark. Everything is on loopback, bounded, and ends
// with the program. Not part of any test.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = 'npm run bench -- warm [--rounds 5] [--seconds 5]\nnpm run bench -- cold [--rounds 5] [--samples 20]';
/** Even at the most generous settings nothing here runs longer. */
const LIMIT_MS = 30 * 60_000;

function count(text: string, range: { min: number; max: number }): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  console.error(`'${text}' is not a whole number from ${range.min} to ${range.max}\n${USAGE}`);
  process.exit(2);
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    samples: { type: 'string', default: '20' },
  },
});
const rounds = count(values.rounds, { min: 3, max: 50 });
const seconds = count(values.seconds, { min: 1, max: 60 });
const samples = count(values.samples, { min: 2, max: 100 });

/** Whether every package of bench/package.json is there in its version. */
function installed(): boolean {
  const read = (file: string) =>
    JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8')) as { version: string; dependencies: Record<string, string> };
  return Object.entries(read('package.json').dependencies).every(([name, version]) => {
    try {
      return read(`node_modules/${name}/package.json`).version === version;
    } catch {
      return false;
    }
  });
}

if (!installed()) {
  console.error('installing the peers (npm ci in bench/; about a minute)');
  execFileSync('npm', ['ci', '--prefix', import.meta.dirname, '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
}
setTimeout(() => {
  console.error(`given up after ${LIMIT_MS / 60_000} minutes`);
  process.exit(1);
}, LIMIT_MS).unref();

if (positionals[0] === 'warm') {
  const { warm } = await import('./warm.ts');
  await warm({ rounds, seconds });
} else if (positionals[0] === 'cold') {
  const { cold } = await import('./cold.ts');
  await cold({ rounds, samples });
} else {
  console.error(USAGE);
  process.exitCode = 2;
}
