// A sandbox as the child process that it is, whatever the driver: its output, its end, its cleaning up.
//
//   running ──process ends, by itself or by kill()──▶ ending: rest of the output, killTree, cleanUp ──▶ exited
//
// Invariant: `exited` resolves exactly once, after cleanUp, and never rejects. Callers: both drivers.
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { LaunchedSandbox, Mount, OutputSink } from './driver.ts';
import { Output } from './output.ts';
import { NOTHING_COUNTED } from './sandbox.ts';
import type { SandboxControls, SandboxExit, SandboxUsage } from './sandbox.ts';

/** How long pipes held open by a process that escaped are waited for. */
const OUTPUT_END_WITHIN_MS = 200;

export interface ChildSandboxOptions {
  child: ChildProcess;
  controls: SandboxControls;
  inside: LaunchedSandbox['inside'];
  show: LaunchedSandbox['show'];
  promote: LaunchedSandbox['promote'];
  output: OutputSink;
  /** Whether a code above 128 means "ended by signal code - 128", as from a shell or bubblewrap. */
  signalsAsCodes: boolean;
  /** Sends the blow: everything in the sandbox starts to die. Called on kill() and again when the child has ended. */
  killTree(): void;
  /** Makes sure that nothing is left; answers whether it ended at its memory limit, and what it came to. */
  cleanUp(): Promise<{ outOfMemory: boolean; usage?: SandboxUsage }>;
}

export class ChildSandbox implements LaunchedSandbox {
  readonly pid: number;
  readonly controls: SandboxControls;
  readonly exited: Promise<SandboxExit>;
  readonly inside: LaunchedSandbox['inside'];
  readonly promote: LaunchedSandbox['promote'];
  readonly #show: LaunchedSandbox['show'];
  readonly #killTree: () => void;
  #killed = false;

  /** `options.child` has been spawned: it has a pid. */
  constructor(options: ChildSandboxOptions) {
    const { child } = options;
    this.pid = child.pid!;
    this.controls = options.controls;
    this.inside = options.inside;
    this.promote = options.promote;
    this.#show = options.show;
    this.#killTree = () => options.killTree();
    const output = new Output({ stdout: child.stdout!, stderr: child.stderr! }, options.output);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => void this.#end(options, output, code, signal).then(resolve));
    });
  }

  show(mounts: Mount[]): Promise<void> {
    return this.#show(mounts);
  }

  async kill(): Promise<void> {
    if (!this.#killed) {
      this.#killed = true;
      this.#killTree();
    }
    await this.exited;
  }

  async #end(options: ChildSandboxOptions, output: Output, code: number | null, signal: string | null): Promise<SandboxExit> {
    this.#killTree();
    await output.end({ withinMs: OUTPUT_END_WITHIN_MS });
    const { outOfMemory, usage = NOTHING_COUNTED } = await options.cleanUp();
    const ended = code !== null && options.signalsAsCodes ? signalOfCode(code) : { code, signal };
    const failed = ended.code !== 0;
    const memoryLimitOf = !failed ? null : outOfMemory ? (usage.memoryLimitOf ?? 'kernel') : output.heapLimitHit ? 'heap' : null;
    return { ...ended, outOfMemory: memoryLimitOf !== null, stderrTail: output.tail, usage: { ...usage, memoryLimitOf } };
  }
}

function signalOfCode(code: number): { code: number | null; signal: string | null } {
  const name = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return name === undefined ? { code, signal: null } : { code: null, signal: name };
}
