// The process driver: a plain child process in a session of its own. IT ISOLATES NOTHING: a function can read what Virga
// can read and talk to whom it likes. For macOS, and for machines whose kernel offers no namespaces; it says so loudly.
// Invariant: all the same, nothing of a sandbox outlives it: its process group and every process that carries its mark
// are killed. A process that clears its environment and leaves its group escapes; that is what "no wall" means.
// Caller: server/launcher.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { ChildSandbox } from '../child-sandbox.ts';
import { MARK_VARIABLE } from '../driver.ts';
import type { Launch, LaunchedSandbox, Mount, OutputSink, SandboxDriver } from '../driver.ts';
import { MemoryWatcher } from '../memory-watcher.ts';
import { killAll, markedProcesses, descendants, signal } from '../process-tree.ts';
import { NOTHING_COUNTED } from '../sandbox.ts';
import type { SandboxDriverStatus } from '../sandbox.ts';

const CLEAN_UP_WITHIN_MS = 5_000;
const WARNING = `
  ┌──────────────────────────────────────────────────────────────────────────────┐
  │  The sandbox driver is "process": it isolates NOTHING. Functions run with    │
  │  the rights of Virga itself. Deploy only code that you would run by hand.    │
  └──────────────────────────────────────────────────────────────────────────────┘
`;

export class ProcessDriver implements SandboxDriver {
  readonly status: SandboxDriverStatus;
  readonly #scope: string;

  /** `reason` says why it is not the bubblewrap driver. `warn` is called once, here. */
  static async open(options: { scope: string; reason: string; warn: (text: string) => void }): Promise<ProcessDriver> {
    options.warn(`${WARNING}  Reason: ${options.reason}\n`);
    return new ProcessDriver(options.scope, options.reason);
  }

  private constructor(scope: string, reason: string) {
    this.#scope = scope;
    const watched = process.platform === 'linux';
    const notes = [
      `the driver "process" isolates nothing; in use because: ${reason}`,
      "cpus, pids and the size of /tmp are not limited, and the host's network is reachable",
      watched ? 'memory is watched ten times a second' : 'memory is not limited: this system has no /proc to watch it by',
    ];
    const memory = watched ? 'watcher' : null;
    this.status = {
      driver: 'process',
      runtime: null,
      lateFiles: true,
      enforcement: { isolation: null, memory, cpus: null, pids: null, tmp: null, network: null, notes },
    };
  }

  async start(launch: Launch, channel: Socket, output: OutputSink): Promise<LaunchedSandbox> {
    const mounts = [...launch.mounts];
    const onHost = (text: string): string => hostPath(text, mounts);
    const [program, ...args] = launch.argv.map(onHost);
    const mark = `${this.#scope}/${launch.id}`;
    // A blank has no folder of its own: its guest goes there when it is given one.
    const cwd = launch.lateTargets.includes(launch.cwd) ? '/' : onHost(launch.cwd);
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'pipe', channel],
      env: { ...launch.env, PATH: (launch.env['PATH'] ?? '').split(':').map(onHost).join(':'), [MARK_VARIABLE]: mark },
      cwd,
      detached: true,
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw error;
    }
    const pid = child.pid;
    const killTree = (): void => signal(-pid, 'SIGKILL');
    const watcher = new MemoryWatcher({ limitBytes: launch.memoryMiB * 1024 * 1024, pids: () => descendants(pid), kill: killTree });
    return new ChildSandbox({
      child,
      controls: { freezer: null, memory: null, processor: null },
      inside: onHost,
      show: async (shown) => void mounts.push(...shown),
      promote: () => {},
      output,
      signalsAsCodes: false,
      killTree,
      cleanUp: async () => {
        watcher.stop();
        await killAll(() => markedProcesses(mark), { withinMs: CLEAN_UP_WITHIN_MS });
        const memoryLimitOf = watcher.exceeded ? 'watcher' : null;
        return { outOfMemory: watcher.exceeded, usage: { ...NOTHING_COUNTED, peakMemoryBytes: watcher.peakBytes, memoryLimitOf } };
      },
    });
  }

  closeNow(): void {
    for (const pid of markedProcesses(`${this.#scope}/`)) signal(pid, 'SIGKILL');
  }

  async close(): Promise<void> {}
}

/** A path as the launch gives it (inside a sandbox) is the path of its source here. */
function hostPath(text: string, mounts: Mount[]): string {
  for (const { source, target } of mounts) {
    if (text === target) return source;
    if (text.startsWith(`${target}/`)) return join(source, text.slice(target.length + 1));
  }
  return text;
}
