// Starts one sandbox after another for the doctor, as the launcher would: the real driver, the real runtimes; inside runs
// the probe (inside/probe.ts), or a shell, or the runtime's own guest. Invariant: what is started is ended; a trial takes
// at most TRIAL_MS. Used by doctor.ts.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../lib/ids.ts';
import { FrameReader, FrameType } from '../../protocol/frames.ts';
import type { RuntimeName } from '../../protocol/settings.ts';
import { CODE, type RuntimeCatalog } from '../../runtimes/catalog.ts';
import type { Launch, LaunchedSandbox, Network, SandboxDriver } from '../../sandbox/driver.ts';
import type { SandboxExit } from '../../sandbox/sandbox.ts';
import type { Outcome } from './inside/attack.ts';
import type { Said, Task } from './inside/probe.ts';

const TRIAL_MS = 20_000;
const PROBE_RUNTIME: RuntimeName = 'nodejs26';
/** The widest that a function can have. */
const POLICY = { project: 'doctor', function: 'probe', version: 1, egress: 'internet' } as const;
const SHAPE = { memoryMiB: 128, cpus: null, tmpMiB: 8, pids: 64 };

export type Shape = Partial<Pick<Launch, 'memoryMiB' | 'cpus' | 'tmpMiB' | 'pids' | 'lateTargets'>>;

/** A trial that is under way. */
export interface Trial {
  sandbox: LaunchedSandbox;
  /** Resolves with the first output that matches. Rejects when it ends, or its time does, before. */
  hears(pattern: RegExp): Promise<RegExpExecArray>;
  /** All that it has written to stdout and stderr. */
  readonly output: string;
  /** The host's end of its fd 3. */
  channel: Socket;
}

export class Trials {
  readonly #driver: SandboxDriver;
  readonly #catalog: RuntimeCatalog;
  /** Holds the probe. */
  readonly #codeFolder: string;
  readonly #runFolder: string;
  readonly #networks: { take(): Promise<Network> } | null;

  constructor(options: {
    driver: SandboxDriver;
    catalog: RuntimeCatalog;
    codeFolder: string;
    runFolder: string;
    networks: { take(): Promise<Network> } | null;
  }) {
    this.#driver = options.driver;
    this.#catalog = options.catalog;
    this.#codeFolder = options.codeFolder;
    this.#runFolder = options.runFolder;
    this.#networks = options.networks;
  }

  /** Runs the probe to its end: what it said of each attack, and how it ended. */
  async probe(task: Task, shape: Shape = {}): Promise<{ said: Map<string, Outcome>; exit: SandboxExit }> {
    const trial = await this.startProbe(task, shape);
    const late = setTimeout(() => void trial.sandbox.kill(), TRIAL_MS);
    const exit = await trial.sandbox.exited;
    clearTimeout(late);
    return { said: saidIn(trial.output), exit };
  }

  async startProbe(task: Task, shape: Shape = {}): Promise<Trial> {
    const boot = this.#boot(PROBE_RUNTIME, shape);
    // The last two are the guest program and what it is told: the runtime is the same, with the same flags.
    return this.#start({ ...boot, argv: [...boot.argv.slice(0, -2), join(CODE, 'probe.ts'), JSON.stringify(task)] });
  }

  async startShell(script: string, shape: Shape = {}): Promise<Trial> {
    return this.#start({ ...this.#boot(PROBE_RUNTIME, shape), argv: ['/bin/sh', '-c', script] });
  }

  /** Ms until the guest of the runtime says that it is ready for code; null: this machine does not have it. */
  async bootMs(runtime: RuntimeName): Promise<number | null> {
    if (this.#catalog.boot(runtime, SHAPE) === null) return null;
    const startedAt = performance.now();
    const trial = await this.#start(this.#boot(runtime, {}));
    const hello = Promise.withResolvers<number>();
    const reader = new FrameReader(({ type }) => type === FrameType.HELLO && hello.resolve(performance.now() - startedAt));
    trial.channel.on('data', (chunk: Buffer) => reader.push(chunk));
    void trial.sandbox.exited.then(({ stderrTail }) => hello.reject(new Error(`it ended: ${stderrTail.trim().slice(-300)}`)));
    const late = setTimeout(() => hello.reject(new Error(`it did not boot within ${TRIAL_MS} ms`)), TRIAL_MS);
    try {
      return await hello.promise;
    } finally {
      clearTimeout(late);
      await trial.sandbox.kill();
    }
  }

  get codeMount(): { source: string; target: string } {
    return { source: this.#codeFolder, target: CODE };
  }

  #boot(runtime: RuntimeName, shape: Shape): Launch {
    const all = { ...SHAPE, isolation: 'standard' as const, lateTargets: [], ...shape };
    const { argv, env, mounts } = this.#catalog.boot(runtime, all)!;
    const code = all.lateTargets.length === 0 ? [this.codeMount] : [];
    return { ...all, id: newId('sbx'), argv, env, mounts: [...mounts, ...code], cwd: '/', background: false, network: null };
  }

  async #start(launch: Launch): Promise<Trial> {
    let output = '';
    const heard = new Set<() => void>();
    const [ours, theirs] = await socketPair(join(this.#runFolder, `${launch.id}.sock`));
    const network = (await this.#networks?.take()) ?? null;
    network?.assign(POLICY, () => {});
    const sandbox = await this.#driver
      .start({ ...launch, network: network?.path ?? null }, theirs, {
        write: (text) => {
          output += text;
          for (const listener of heard) listener();
          return true;
        },
        onceWelcome: (resume) => resume(),
      })
      .finally(() => theirs.destroy());
    ours.on('error', () => {});
    void sandbox.exited.then(() => {
      ours.destroy();
      network?.release();
    });
    const hears = async (pattern: RegExp): Promise<RegExpExecArray> => {
      const match = Promise.withResolvers<RegExpExecArray>();
      const look = (): void => {
        const found = pattern.exec(output);
        if (found !== null) match.resolve(found);
      };
      heard.add(look);
      look();
      const gone = sandbox.exited.then(() => Promise.reject(new Error(`it ended and had said: ${output.slice(-300)}`)));
      const late = sleep(TRIAL_MS, undefined, { ref: false }).then(() =>
        Promise.reject(new Error(`it said within ${TRIAL_MS} ms: ${output.slice(-300)}`)),
      );
      try {
        return await Promise.race([match.promise, gone, late]);
      } finally {
        heard.delete(look);
      }
    };
    return {
      sandbox,
      hears,
      channel: ours,
      get output() {
        return output;
      },
    };
  }
}

function saidIn(output: string): Map<string, Outcome> {
  const said = new Map<string, Outcome>();
  for (const line of output.split('\n')) {
    if (!line.startsWith('{"attack"')) continue;
    const { attack, through, detail } = JSON.parse(line) as Said;
    said.set(attack, { through, detail });
  }
  return said;
}

/** Two ends of one connection, as the edge and a guest have them. */
async function socketPair(path: string): Promise<[Socket, Socket]> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(path);
  await once(server, 'listening');
  try {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const ours = connect(path);
    const [theirs] = await accepted;
    return [ours, theirs];
  } finally {
    server.close();
  }
}
