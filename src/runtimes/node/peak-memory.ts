// The highest resident memory of this process so far, and of a program beside it, told to the host with a STATS frame when it has
// grown. Invariant: at most one look in LOOK_EVERY_MS (one costs 12 µs), so a busy instance reports a peak a moment later.
// Called by serve.ts before an invocation ends.
//
// VmHWM and not getrusage's maxRSS: the latter survives exec, so that a guest spawned by a launcher of 300 MB reported
// 298 MB where it had 42 (measured). Outside of Linux there is only maxRSS.
import { readFileSync } from 'node:fs';
import { FrameType, encodeFrame } from '../../protocol/frames.ts';
import type { Outlet } from './channel.ts';

const LOOK_EVERY_MS = 20;
const read = readFileSync;

export class PeakMemory {
  readonly #outlet: Outlet;
  #lookedAt = -LOOK_EVERY_MS;
  #peakKib = 0;
  #program: number | undefined;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  /** Counts the process of a program that the guest has started, without those that it starts itself. */
  include(pid: number): void {
    this.#program = pid;
  }

  report(): void {
    const now = performance.now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    const kib =
      (highWaterKib('self') ?? process.resourceUsage().maxRSS) + (this.#program === undefined ? 0 : (highWaterKib(this.#program) ?? 0));
    if (kib <= this.#peakKib) return;
    this.#peakKib = kib;
    this.#outlet.send(encodeFrame(FrameType.STATS, { arg: kib }));
  }
}

function highWaterKib(pid: number | 'self'): number | undefined {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`, 'latin1'));
    return found === null ? undefined : Number(found[1]);
  } catch {
    // No /proc here, or the process is gone.
    return undefined;
  }
}
