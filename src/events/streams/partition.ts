// One partition that is held for one consumer: where it is, what windows are open, and the steps forward. Invariant: what is in memory is
// what was committed; when that is not sure any more it is `lost`, and nothing further is done with it. Made by partition-run.ts.
import type { Bus, PartitionHold } from '../bus.ts';
import { Attempts } from './attempts.ts';
import { openWindowsOf, stateOf } from './partition-state.ts';
import type { OpenWindow } from './windows.ts';

/** What reading needs of the bus. */
export type StreamBus = Pick<
  Bus,
  'read' | 'commit' | 'hold' | 'release' | 'partitions' | 'consumers' | 'advance' | 'send' | 'find' | 'onReady'
>;

export class Partition {
  readonly #bus: Pick<Bus, 'commit'>;
  readonly #of: { key: string; consumer: string; leaseMs: number };
  readonly #hold: PartitionHold;
  #committing: Promise<void> = Promise.resolve();
  readonly attempts: Attempts;
  open: readonly OpenWindow[];
  /** Calls of a window that is to end which failed, in a row. */
  finalFailures = 0;
  lost = false;

  constructor(
    needs: { bus: Pick<Bus, 'commit'>; random: () => number },
    of: { key: string; consumer: string; leaseMs: number },
    hold: PartitionHold,
  ) {
    this.#bus = needs.bus;
    this.#of = of;
    this.#hold = { ...hold };
    this.attempts = new Attempts(needs.random);
    this.open = openWindowsOf(hold.state);
  }

  get number(): number {
    return this.#hold.partition;
  }

  get position(): number {
    return this.#hold.position;
  }

  get receipt(): string {
    return this.#hold.receipt;
  }

  /** All up to `position` was handled, and this is what the windows are then. Rejects where the bus does; it is lost then, too. */
  async commit(position: number, open: readonly OpenWindow[]): Promise<void> {
    await this.#step(position, stateOf(open));
    if (this.lost) return;
    this.open = open;
    this.attempts.passed(position);
  }

  /** Holds it for another lease. */
  async renew(): Promise<void> {
    await this.#step(undefined, undefined);
  }

  /** Resolves when no step is under way. */
  async settled(): Promise<void> {
    await this.#committing.catch(() => {});
  }

  /** One after the other, so that a renewal never takes back what was committed. */
  async #step(position: number | undefined, state: string | null | undefined): Promise<void> {
    const { key, consumer, leaseMs } = this.#of;
    const step = this.#committing
      .catch(() => {})
      .then(async () => {
        if (this.lost) return;
        const to = { position: position ?? this.position, state: state === undefined ? this.#hold.state : state, leaseMs };
        try {
          if (!(await this.#bus.commit(key, consumer, this.#hold, to))) this.lost = true;
          else [this.#hold.position, this.#hold.state] = [to.position, to.state];
        } catch (error) {
          // Whether it was done is not known.
          this.lost = true;
          throw error;
        }
      });
    this.#committing = step;
    await step;
  }
}
