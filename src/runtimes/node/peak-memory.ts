// The highest resident memory of this process so far, and of a program beside it, told to the host with a STATS frame when it has grown.
// Invariant: at most one look in LOOK_EVERY_MS (one costs 12 µs), so a busy instance reports a peak a moment later.
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

  /** What it holds counts as well: the peaks are added, which is at most too much. */
  watch(program: number): void {
    this.#program = program;
  }

  report(): void {
    const now = performance.now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    const kib = peakKib('self') + (this.#program === undefined ? 0 : peakKib(this.#program));
    if (kib <= this.#peakKib) return;
    this.#peakKib = kib;
    this.#outlet.send(encodeFrame(FrameType.STATS, { arg: kib }));
  }
}

function peakKib(pid: 'self' | number): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`, 'latin1'));
    if (found !== null) return Number(found[1]);
  } catch {
    // No /proc here, or the program is gone.
  }
  return pid === 'self' ? process.resourceUsage().maxRSS : 0;
}
