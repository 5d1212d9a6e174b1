// `npm test`: every test of the project in four phases (unit; system, each file with a Virga of its own; faults, which fill disks and kill
// processes of their own; then those that measure what the machine does, one file at a time), told as one run with node's closing lines.
// Virga is started once in the beginning, and what its first start made is the beginning of the data folder of most others.
// Invariant: the run leaves nothing behind. All temporary files go to one folder; what is still there afterwards (a
// file, a process or a mount that names it, or a cgroup) fails the run and is removed. Exit code 0 when all passed and nothing was left.
//   test.ts [--phase unit|system|faults|alone] [part of a file name …]
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join, matchesGlob } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..');
/** A process that was told to end may take this long before it counts as left behind. */
const LEAVE_MS = 5_000;

/** What asserts how soon something happens, or counts what the whole machine has, while it makes all the load that is allowed. */
const ALONE = ['test/faults/hostile-resources.test.ts', 'test/faults/mixed.test.ts', 'test/system/{load,overload,start}.test.ts'];

/** Tests wait, for processes to start and for time to pass: unit tests little, those of the system more than they work. */
const [UNIT, SYSTEM] = [availableParallelism() + 1, availableParallelism() + 2];

/** What takes a minute or more: begun first, so that the others are not done long before. */
const LONG = ['test/system/guide.test.ts', 'test/system/forms/provided-ric.test.ts', 'test/faults/{kill,events-kill}.test.ts'];

interface Phase {
  name: string;
  globs: string[];
  except?: string[];
  concurrency: number;
  /** For one file. */
  timeoutMs: number;
}

const PHASES: Phase[] = [
  { name: 'unit', globs: ['src/**/*.test.ts', 'sdk/**/*.test.ts', 'scripts/**/*.test.ts'], concurrency: UNIT, timeoutMs: 120_000 },
  { name: 'system', globs: ['test/system/**/*.test.ts'], except: ALONE, concurrency: SYSTEM, timeoutMs: 400_000 },
  { name: 'faults', globs: ['test/faults/**/*.test.ts'], except: ALONE, concurrency: 2, timeoutMs: 240_000 },
  { name: 'alone', globs: ALONE, concurrency: 1, timeoutMs: 240_000 },
];

const isLong = (file: string): boolean => LONG.some((glob) => matchesGlob(file, glob));

type Counts = Record<'tests' | 'suites' | 'pass' | 'fail' | 'cancelled' | 'skipped' | 'todo', number>;
const counts: Counts = { tests: 0, suites: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };

/** The events of all phases as of one run: each phase's own closing lines are added up and told once. */
async function* events(phases: Phase[], words: string[]): AsyncGenerator<object> {
  const beginMs = performance.now();
  for (const { globs, except = [], concurrency, timeoutMs } of phases) {
    const files = globSync(globs, { cwd: ROOT, exclude: ['**/node_modules/**', ...except] })
      .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
      .sort((a, b) => Number(isLong(b)) - Number(isLong(a)) || (a < b ? -1 : 1))
      .map((file) => join(ROOT, file));
    if (files.length === 0) continue;
    const watch = setInterval(endOverdue, 1_000, timeoutMs);
    for await (const event of run({ files, concurrency, timeout: timeoutMs, cwd: ROOT })) {
      const closing = event.type === 'test:diagnostic' && event.data.nesting === 0 ? /^(\w+) ([\d.]+)$/.exec(event.data.message) : null;
      if (closing === null) yield event;
      else if (Object.hasOwn(counts, closing[1]!)) counts[closing[1] as keyof Counts] += Number(closing[2]);
    }
    clearInterval(watch);
  }
  const close = (message: string) => ({ type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } });
  for (const [name, count] of Object.entries(counts)) yield close(`${name} ${count}`);
  yield close(`duration_ms ${(performance.now() - beginMs).toFixed(0)}`);
}

/**
 * The runner's timeout ends tests, not a file whose tests are done and which does not end because it left a timer or a
 * socket open. Such a file is killed, which fails it.
 */
const childrenSeen = new Map<string, number>();
function endOverdue(timeoutMs: number): void {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
  for (const pid of childrenSeen.keys()) if (!children.includes(pid)) childrenSeen.delete(pid);
  for (const pid of children) {
    const since = childrenSeen.get(pid) ?? performance.now();
    childrenSeen.set(pid, since);
    if (performance.now() - since < timeoutMs + 5_000) continue;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean).at(-1);
    console.log(`${command} has not ended after ${timeoutMs / 1000} s: killed. Something that it opened is still open`);
    process.kill(Number(pid), 'SIGKILL');
  }
}

/** Processes and mounts that name this run's folder, and files in it. */
function leftovers(folder: string): { processes: number[]; sandboxes: string[]; lines: string[] } {
  const lines: string[] = [];
  const processes: number[] = [];
  const others = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const read = (file: string) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'utf8');
      } catch {
        return ''; // gone, or another user's
      }
    };
    const command = read('cmdline');
    if (!`${command}\0${read('environ')}\0${cwd(pid)}`.includes(folder)) {
      others.add(cgroupNameOf(command));
      continue;
    }
    processes.push(Number(pid));
    lines.push(`process ${pid}: ${command.replaceAll('\0', ' ').slice(0, 200)}`);
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const line of mounts) if (line.includes(folder)) lines.push(`mount: ${line.split(' ')[4]}`);
  const sandboxes = [...cgroups()].filter((cgroup) => !cgroupsBefore.has(cgroup) && !others.has(basename(cgroup)));
  for (const cgroup of sandboxes) lines.push(`cgroup: ${cgroup}`);
  for (const name of readdirSync(folder)) lines.push(`file: ${join(folder, name)}`);
  return { processes, sandboxes, lines };
}

/** What the cgroup of a launcher is called, by its command line: a Virga that runs beside the tests keeps its own. */
function cgroupNameOf(command: string): string {
  const [, dataFolder] = /\0role\0launcher\0([^\0]+)/.exec(command) ?? [];
  if (dataFolder === undefined) return '';
  try {
    return `virga-${createHash('sha256').update(realpathSync(dataFolder)).digest('hex').slice(0, 12)}`;
  } catch {
    return '';
  }
}

/** Cgroups that a Virga made: named `virga-<hash of its data folder>` in each hierarchy. */
function cgroups(): Set<string> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => /^\S+ \S+ cgroup2? /.test(line))
    .map((line) => line.split(' ')[1]!);
  return new Set(mounts.flatMap((mount) => globSync('virga-*', { cwd: mount }).map((name) => join(mount, name))));
}

function endAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it ended by itself
    }
  }
}

/** What a launcher that was killed left of its sandboxes: what is frozen ends when it is thawed. */
function endSandboxes(left: readonly string[]): void {
  for (const cgroup of left) {
    for (const file of globSync('*/{cgroup.procs,freezer.state}', { cwd: cgroup })) {
      const path = join(cgroup, file);
      if (basename(file) === 'freezer.state') writeFileSync(path, 'THAWED');
      else endAll(readFileSync(path, 'utf8').split('\n').filter(Boolean).map(Number));
    }
  }
}

function cwd(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

const args = process.argv.slice(2);
const phaseName = args[0] === '--phase' ? args.splice(0, 2)[1] : undefined;
const phases = PHASES.filter((phase) => phaseName === undefined || phase.name === phaseName);
if (phases.length === 0) {
  console.error(`no such phase: ${phaseName}; there are: ${PHASES.map((phase) => phase.name).join(', ')}`);
  process.exit(2);
}

const cgroupsBefore = cgroups();
// Short, since sockets live below it and their paths are limited to 107 bytes.
const folder = mkdtempSync(join(tmpdir(), 'vt-'));
process.env['TMPDIR'] = folder;
// Most files load the same modules: compiled once, they load in two thirds of the time.
process.env['NODE_COMPILE_CACHE'] = join(ROOT, 'node_modules', '.cache', 'virga-tests');
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    const { processes, sandboxes } = leftovers(folder);
    endAll(processes);
    endSandboxes(sandboxes);
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
  });
}

// A first start creates a database, which takes half of it. Those tests that are about it name a data folder of their own.
const started = join(folder, 'virga-started');
try {
  execFileSync(process.execPath, [join(ROOT, 'test', 'system', 'first-start.ts'), started], { stdio: 'inherit' });
} catch (error) {
  rmSync(folder, { recursive: true, force: true });
  throw error;
}

const reporter = new spec();
await pipeline(Readable.from(events(phases, args)), reporter, process.stdout, { end: false });

rmSync(started, { recursive: true });

let left = leftovers(folder);
for (let waitedMs = 0; left.lines.length > 0 && waitedMs < LEAVE_MS; waitedMs += 250) {
  await sleep(250);
  left = leftovers(folder);
}
if (left.lines.length > 0)
  console.log(`left behind by the tests, which should have removed it:\n  ${left.lines.slice(0, 50).join('\n  ')}`);
endAll(left.processes);
endSandboxes(left.sandboxes);
rmSync(folder, { recursive: true, force: true });

const failed = counts.fail + counts.cancelled + (left.lines.length > 0 ? 1 : 0);
console.log(`${counts.pass} passed, ${failed} failed, ${counts.skipped + counts.todo} skipped`);
process.exitCode = failed === 0 && counts.tests > 0 ? 0 : 1;
