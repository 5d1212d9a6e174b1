// `npm run bench -- NAME [--rounds N] [--seconds N] [--samples N] [--quick]`: installs the peers when they are not there yet
// (bench/ has a package and a lockfile of its own), then runs one benchmark. Everything is on loopback, bounded, and ends
// with the program. With its defaults each takes about three minutes on two cores. Not part of any test.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchOptions } from './options.ts';

type Numbers = Omit<BenchOptions, 'quick'>;

interface Bench {
  asks: string;
  defaults: Numbers;
  quick: Numbers;
  load(): Promise<(options: BenchOptions) => Promise<void>>;
}

const BENCHES: Record<string, Bench> = {
  warm: {
    asks: 'how fast is a warm call, and what CPU does it cost, beside the peers',
    defaults: { rounds: 5, seconds: 1, samples: 1 },
    quick: { rounds: 1, seconds: 1, samples: 1 },
    load: async () => (await import('./warm.ts')).warm,
  },
  cold: {
    asks: 'how long does the first call of a function take, beside a boot of node and the peers',
    defaults: { rounds: 4, seconds: 3, samples: 25 },
    quick: { rounds: 1, seconds: 2, samples: 8 },
    load: async () => (await import('./cold.ts')).cold,
  },
  'cold-rate': {
    asks: 'the same when first calls arrive at 1 to 100 a second',
    defaults: { rounds: 3, seconds: 3, samples: 1 },
    quick: { rounds: 1, seconds: 2, samples: 1 },
    load: async () => (await import('./cold-rate.ts')).coldRate,
  },
  burst: {
    asks: 'what happens when hundreds of functions that are scaled to zero are called at once',
    defaults: { rounds: 3, seconds: 4, samples: 500 },
    quick: { rounds: 1, seconds: 2, samples: 150 },
    load: async () => (await import('./burst.ts')).burst,
  },
  density: {
    asks: 'what memory does an idle instance cost, and a thousand functions that are scaled to zero',
    defaults: { rounds: 5, seconds: 3, samples: 1_000 },
    quick: { rounds: 1, seconds: 1, samples: 200 },
    load: async () => (await import('./density.ts')).density,
  },
  noisy: {
    asks: 'what does a function notice of hostile neighbours',
    defaults: { rounds: 3, seconds: 4, samples: 1 },
    quick: { rounds: 1, seconds: 3, samples: 1 },
    load: async () => (await import('./noisy.ts')).noisy,
  },
  overload: {
    asks: 'what happens at ten times the capacity, and how soon is it over',
    defaults: { rounds: 3, seconds: 10, samples: 1 },
    quick: { rounds: 1, seconds: 4, samples: 1 },
    load: async () => (await import('./overload.ts')).overload,
  },
  forms: {
    asks: 'what does code that was written for another cloud cost, warm and cold, beside the same in our own form',
    defaults: { rounds: 3, seconds: 2, samples: 10 },
    quick: { rounds: 1, seconds: 1, samples: 3 },
    load: async () => (await import('./forms.ts')).forms,
  },
  gateway: {
    asks: 'what does each thing that the gateway does for a route cost, beside a route for which it does nothing',
    defaults: { rounds: 5, seconds: 1, samples: 10_000 },
    quick: { rounds: 1, seconds: 1, samples: 1_000 },
    load: async () => (await import('./gateway.ts')).gateway,
  },
  sockets: {
    asks: 'what memory does an idle WebSocket cost at the gateway, and how long does a message take',
    defaults: { rounds: 1, seconds: 2, samples: 10_000 },
    quick: { rounds: 1, seconds: 1, samples: 2_500 },
    load: async () => (await import('./sockets.ts')).sockets,
  },
  events: {
    asks: 'how many messages are published and handled a second, how late is a handler, beside other queues in Postgres',
    defaults: { rounds: 3, seconds: 3, samples: 20_000 },
    quick: { rounds: 1, seconds: 1, samples: 2_000 },
    load: async () => (await import('./events.ts')).events,
  },
  deploy: {
    asks: 'how long is it from `virga deploy` to the first answer',
    defaults: { rounds: 10, seconds: 1, samples: 1 },
    quick: { rounds: 2, seconds: 1, samples: 1 },
    load: async () => (await import('./deploy.ts')).deployToAnswer,
  },
};

const USAGE = `npm run bench -- NAME [--quick]\n${Object.entries(BENCHES)
  .map(
    ([name, { asks, defaults }]) =>
      `  ${name.padEnd(10)} ${asks}\n             [--rounds ${defaults.rounds}] [--seconds ${defaults.seconds}] [--samples ${defaults.samples}]`,
  )
  .join('\n')}`;
/** Even at the most generous settings nothing here runs longer. */
const LIMIT_MS = 30 * 60_000;

function count(text: string | undefined, fallback: number, range: { min: number; max: number }): number {
  const value = Number(text ?? fallback);
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  console.error(`'${text}' is not a whole number from ${range.min} to ${range.max}\n${USAGE}`);
  process.exit(2);
}

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

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    samples: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const bench = BENCHES[positionals[0] ?? ''];
if (bench === undefined) {
  console.error(USAGE);
  process.exit(2);
}
const fallback = values.quick ? bench.quick : bench.defaults;
const options: BenchOptions = {
  rounds: count(values.rounds, fallback.rounds, { min: 1, max: 50 }),
  seconds: count(values.seconds, fallback.seconds, { min: 1, max: 60 }),
  samples: count(values.samples, fallback.samples, { min: 1, max: 20_000 }),
  quick: values.quick,
};

if (!installed()) {
  console.error('installing the peers (npm ci in bench/; about a minute)');
  execFileSync('npm', ['ci', '--prefix', import.meta.dirname, '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
}
setTimeout(() => {
  console.error(`given up after ${LIMIT_MS / 60_000} minutes`);
  process.exit(1);
}, LIMIT_MS).unref();

const beginMs = performance.now();
const run = await bench.load();
await run(options);
console.error(`${positionals[0]} took ${Math.round((performance.now() - beginMs) / 1_000)} s`);
