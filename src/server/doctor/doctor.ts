// `virga doctor`: opens the driver that `virga start` would use with the same settings, attacks the host from inside its
// sandboxes, and tells what held.
// Invariants: everything is done in a temporary folder with a scope of its own, so that a Virga which runs here is not
// touched, and is gone at the end, however that comes; what an attack needs to be told apart from a wall is decided in
// attacks.ts. Caller: cli/commands/doctor.ts.
import { readFileSync, rmSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { RUNTIMES } from '../../protocol/settings.ts';
import { CODE, RuntimeCatalog } from '../../runtimes/catalog.ts';
import { sweepCgroupsNow } from '../../sandbox/cgroup/hierarchies.ts';
import type { SandboxDriver } from '../../sandbox/driver.ts';
import type { SandboxNetworks } from '../../sandbox/network/network.ts';
import { cpuOfTree, descendants } from '../../sandbox/process-tree.ts';
import { openDrivers } from '../drivers.ts';
import type { Opened } from '../drivers.ts';
import { openNetworks } from '../launcher.ts';
import { sandboxScope } from '../sandbox-scope.ts';
import { WALLS, judge } from './attacks.ts';
import { Decoys } from './decoys.ts';
import type { Outcome } from './inside/attack.ts';
import { codeOf, refused, through } from './inside/attack.ts';
import { machineChecks, missingEgressTools } from './machine-checks.ts';
import { readMachine } from './machine.ts';
import type { MachineFacts } from './machine.ts';
import { cgroupRemedy, installing, wallsRemedy } from './remedies.ts';
import { THEMES, summaryOf } from './report.ts';
import type { Check, CheckState, DoctorReport } from './report.ts';
import { Trials } from './trial.ts';
import type { Shape, Trial } from './trial.ts';

/** Tries to take this much where it may have a fraction of it. */
const EXCESS = { memoryMiB: 384, processes: 100, tmpMiB: 24, cpus: 0.25, descriptors: 2_000_000 };
const LIMITED: [attack: string, shape: Shape][] = [
  ['memory', { memoryMiB: 96 }],
  ['pids', { pids: 24 }],
  ['tmp', { tmpMiB: 8 }],
  ['inodes', {}],
  ['cpu', { cpus: EXCESS.cpus }],
  ['descriptors', {}],
];
const END_MS_MAX = 2_000;
const FREEZE_LOOK_MS = 100;
/** The freezer of cgroup v1 only begins when it is told to. */
const FREEZE_WITHIN_MS = 50;
const FROZEN_SHARE_MAX = 0.05;

export interface DoctorOptions {
  /** Hears what is being done, for people. */
  progress: (doing: string) => void;
}

export async function runDoctor(config: Config, { progress }: DoctorOptions): Promise<DoctorReport> {
  const startedAt = performance.now();
  const facts = await readMachine();
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'virga-doctor-')));
  const removeNow = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeNow);
  try {
    progress('opening the sandboxes');
    await using ward = await Ward.open(config, folder);
    const { driver } = ward;
    const checks = [driverCheck(ward, facts), egressCheck(ward, facts), ...(await examine(ward, config, { facts, folder, progress }))];
    progress('looking at the machine');
    checks.push(...(await machineChecks(config, facts)));
    const themes = Object.keys(THEMES);
    checks.sort((a, b) => themes.indexOf(a.theme) - themes.indexOf(b.theme));
    return {
      driver: driver.status.driver,
      isolates: driver.status.enforcement.isolation !== null,
      notes: driver.status.enforcement.notes,
      machine: { user: facts.user, kernel: facts.kernel, system: facts.system, node: process.versions.node },
      checks,
      summary: summaryOf(checks),
      tookMs: performance.now() - startedAt,
    };
  } finally {
    process.off('exit', removeNow);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The driver and what it needs, in the doctor's folder. */
class Ward {
  readonly driver: SandboxDriver;
  readonly trials: Trials;
  /** Why it is not the driver with walls; null: it is. */
  readonly fallback: string | null;

  readonly networks: SandboxNetworks | null;

  private constructor({ driver, networks }: Opened, trials: Trials, fallback: string | null) {
    this.driver = driver;
    this.networks = networks;
    this.trials = trials;
    this.fallback = fallback;
  }

  static async open(config: Config, folder: string): Promise<Ward> {
    const runFolder = join(folder, 'run');
    const codeFolder = join(folder, 'code');
    await mkdir(runFolder);
    await cp(join(import.meta.dirname, 'inside'), codeFolder, { recursive: true });
    await writeFile(join(codeFolder, 'package.json'), '{"type":"module"}');
    await chmod(codeFolder, 0o755);
    const networks = config.sandboxDriver === 'process' ? null : openNetworks(config, () => {});
    const catalog = await RuntimeCatalog.open(join(folder, 'runtimes'));
    const scope = await sandboxScope(folder);
    // Whenever Ctrl-C comes: also while the driver tries whether it works here.
    const atExit = [() => sweepCgroupsNow(scope)];
    process.once('exit', () => atExit.forEach((put) => put()));
    let fallback: string | null = null;
    const opened = await openDrivers(
      config,
      {
        scope,
        folders: [codeFolder, ...catalog.folders],
        runFolder,
        warn: (text) => (fallback = /Reason: (.*)/s.exec(text)?.[1]?.trim() ?? text),
      },
      networks,
    );
    atExit.unshift(
      () => opened.driver.closeNow(),
      () => opened.networks?.closeNow(),
    );
    return new Ward(opened, new Trials({ ...opened, catalog, codeFolder, runFolder }), fallback);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driver.close();
    await this.networks?.close();
  }
}

function driverCheck({ driver, fallback }: Ward, facts: MachineFacts): Check {
  const check = { theme: 'host', name: 'walls', title: 'sandboxes have walls' } as const;
  if (driver.status.driver !== 'process') return { ...check, state: 'holds', detail: driver.status.driver, remedy: null };
  const asked = /configuration asks/.test(fallback ?? '');
  const remedy = asked ? 'start Virga without `--sandbox process` (VIRGA_SANDBOX)' : wallsRemedy(facts, fallback ?? '');
  return { ...check, state: 'fails', detail: `the driver "process" isolates nothing: ${fallback}`, remedy };
}

/** Nothing outside is asked: that there is a way out, and that it leads nowhere else, is all that this machine can show. */
function egressCheck({ driver, networks }: Ward, facts: MachineFacts): Check {
  const check = { theme: 'network', name: 'egress', title: 'functions reach the internet, by the relay alone' } as const;
  if (networks !== null) return { ...check, state: 'holds', detail: 'each in a network of its own', remedy: null };
  if (driver.status.driver === 'process') return { ...check, state: 'fails', detail: 'they use the network of the host', remedy: null };
  const note = driver.status.enforcement.notes.find((text) => /network/.test(text)) ?? 'they reach nothing';
  const missing = missingEgressTools(facts);
  return { ...check, state: 'lacks', detail: note, remedy: missing.length > 0 ? installing(facts, ...missing) : null };
}

async function examine(
  { driver, trials }: Ward,
  config: Config,
  { facts, folder, progress }: { facts: MachineFacts; folder: string; progress: DoctorOptions['progress'] },
): Promise<Check[]> {
  const outcomes = new Map<string, Outcome>();
  const note = (said: Map<string, Outcome>): void => said.forEach((outcome, name) => outcomes.set(name, outcome));
  await using decoys = await Decoys.open({ folder, dataFolder: config.dataFolder });

  progress('attacking the host, the kernel and the network');
  const neighbour = await trials.startProbe({ task: 'listen' });
  try {
    const [, port] = await neighbour.hears(/"attack":"listening".*"detail":"(\d+)"/);
    note((await trials.probe({ task: 'attack', targets: { ...decoys.targets, neighbourPort: Number(port) } })).said);
    outcomes.set('own-uid', uidOutcome(neighbour));
  } finally {
    await neighbour.sandbox.kill();
  }
  for (const [attack, shape] of LIMITED) {
    progress(`using too much: ${WALLS[attack]!.title}`);
    const { said, exit } = await trials.probe({ task: 'exceed', attack, excess: EXCESS }, shape);
    const { peakMemoryBytes, memoryLimitOf } = exit.usage;
    const peak = peakMemoryBytes === null ? '' : ` (peak ${Math.round(peakMemoryBytes / 1024 / 1024)} MiB)`;
    if (exit.outOfMemory) said.set(attack, refused(`ended at ${shape.memoryMiB ?? 128} MiB by the ${memoryLimitOf}${peak}`));
    note(said);
  }
  outcomes.set('endless', await endlessOutcome(trials));
  const checks = Object.keys(WALLS).map((name) => judge(name, outcomes.get(name), { status: driver.status, facts }));
  progress('trying what makes starts fast');
  return [...checks, ...(await speedChecks(trials, driver, facts))];
}

/** Seen from outside: inside everybody may be called anything. */
function uidOutcome({ sandbox }: Trial): Outcome {
  const guest = descendants(sandbox.pid).at(-1)!;
  const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${guest}/status`, 'latin1'))?.[1]);
  return uid === process.getuid!() ? through(`on the host it is the user of Virga (uid ${uid})`) : refused(`uid ${uid}`);
}

async function endlessOutcome(trials: Trials): Promise<Outcome> {
  const spinner = await trials.startProbe({ task: 'exceed', attack: 'endless', excess: EXCESS });
  await spinner.hears(/"attack":"begun"/);
  const from = performance.now();
  await Promise.race([spinner.sandbox.kill(), sleep(END_MS_MAX, undefined, { ref: false })]);
  const tookMs = performance.now() - from;
  return tookMs < END_MS_MAX
    ? refused(`ended with all that it had started in ${Math.round(tookMs)} ms`)
    : through(`it still runs after ${END_MS_MAX} ms`);
}

async function speedChecks(trials: Trials, driver: SandboxDriver, facts: MachineFacts): Promise<Check[]> {
  const check = (name: string, title: string, state: CheckState, detail: string, remedy: string | null = null): Check => {
    return { theme: 'speed', name, title, state, detail, remedy: state === 'holds' ? null : remedy };
  };
  const checks: Check[] = [];
  for (const runtime of RUNTIMES) {
    const title = `${runtime} boots`;
    const remedy = runtime === 'python3' ? installing(facts, 'python3') : 'run npm ci: it brings the runtimes of Node';
    try {
      const ms = await trials.bootMs(runtime);
      checks.push(
        ms === null ? check(runtime, title, 'lacks', 'not installed', remedy) : check(runtime, title, 'holds', `in ${Math.round(ms)} ms`),
      );
    } catch (error) {
      checks.push(check(runtime, title, 'fails', codeOf(error), remedy));
    }
  }
  const blanks = 'sandboxes are booted ahead of need and given their files late';
  const lateRemedy = facts.root
    ? null
    : 'start Virga as root, which may mount; or let `unshare` make user namespaces (under AppArmor by a profile of its own)';
  if (!driver.status.lateFiles)
    checks.push(check('blanks', blanks, 'lacks', 'this user may not mount in a namespace of its own', lateRemedy));
  else if (driver.status.driver === 'process') checks.push(check('blanks', blanks, 'holds', 'the files of the host are in sight anyway'));
  else checks.push(check('blanks', blanks, ...(await lateFilesFinding(trials))));
  checks.push(
    check(
      'freezer',
      'idle instances are frozen',
      ...(await freezerFinding(trials)),
      driver.status.driver === 'process' ? null : cgroupRemedy(facts),
    ),
  );
  return checks;
}

async function lateFilesFinding(trials: Trials): Promise<[CheckState, string]> {
  const script = `until test -e ${CODE}/probe.ts; do sleep 0.01; done; echo x 2>/dev/null >> ${CODE}/probe.ts && echo written; echo shown; read -r _`;
  const late = await trials.startShell(`echo begun; ${script}`, { lateTargets: [CODE] });
  try {
    await late.hears(/begun/);
    const from = performance.now();
    await late.sandbox.show([trials.codeMount]);
    const ms = performance.now() - from;
    await late.hears(/shown/);
    return /written/.test(late.output)
      ? ['fails', 'what is shown late can be written to']
      : ['holds', `shown in ${ms.toFixed(1)} ms, read-only`];
  } catch (error) {
    return ['fails', codeOf(error)];
  } finally {
    await late.sandbox.kill();
  }
}

async function freezerFinding(trials: Trials): Promise<[CheckState, string]> {
  const spinner = await trials.startProbe({ task: 'exceed', attack: 'endless', excess: EXCESS });
  try {
    await spinner.hears(/"attack":"begun"/);
    const { freezer } = spinner.sandbox.controls;
    if (freezer === null) return ['lacks', 'no freezer in the cgroups of this user'];
    const runMs = async (): Promise<number> => {
      const busy = (): number => {
        const clock = cpuOfTree(spinner.sandbox.pid, { processesMax: 16 });
        return clock === null ? 0 : clock.ranMs + clock.queuedMs;
      };
      const before = busy();
      await sleep(FREEZE_LOOK_MS);
      return busy() - before;
    };
    await writeFile(freezer.file, freezer.freeze);
    await sleep(FREEZE_WITHIN_MS);
    const frozenMs = await runMs();
    await writeFile(freezer.file, freezer.thaw);
    const thawedMs = await runMs();
    const detail = `an endless loop ran ${Math.round(frozenMs)} ms of ${FREEZE_LOOK_MS} frozen, ${Math.round(thawedMs)} ms thawed`;
    return [frozenMs <= FREEZE_LOOK_MS * FROZEN_SHARE_MAX && thawedMs > frozenMs ? 'holds' : 'fails', detail];
  } finally {
    await spinner.sandbox.kill();
  }
}
