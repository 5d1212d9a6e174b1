// Keeps what is held held: at half of its lease a message is extended, as long as its call runs or it waits for one. Invariants: a message
// whose lease was lost is marked so, and is neither delivered nor settled any more; of a queue whose leases could not be extended nothing is
// received until they are, since they may have run out meanwhile, and it would be what is held; without anything held there is no timer.
// Owned by deliveries.ts.
import type { Bus, QueueSpec } from '../bus.ts';
import type { Clock } from './clock.ts';
import type { Held } from './held.ts';

export const LEASE_MS = 30_000;
const LOOK_EVERY_MS = LEASE_MS / 6;

export class Leases {
  readonly #bus: Pick<Bus, 'settle'>;
  readonly #clock: Clock;
  readonly #lost: (held: Held) => void;
  readonly #renewed: () => void;
  readonly #held = new Map<Held, QueueSpec>();
  /** Keys of queues: an extension of theirs is under way, or could not be made. */
  readonly #extending = new Set<string>();
  readonly #uncertain = new Set<string>();
  #cancel: (() => void) | undefined;

  /** `renewed`: a queue is not uncertain any more. */
  constructor(parts: { bus: Pick<Bus, 'settle'>; clock: Clock; lost: (held: Held) => void; renewed: () => void }) {
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#lost = parts.lost;
    this.#renewed = parts.renewed;
  }

  /** Whether what is held of this queue may have run out. */
  uncertain(key: string): boolean {
    return this.#uncertain.has(key);
  }

  add(queue: QueueSpec, held: Iterable<Held>): void {
    for (const one of held) this.#held.set(one, queue);
    if (this.#held.size > 0) this.#cancel ??= this.#clock.after(LOOK_EVERY_MS, () => this.#look());
  }

  remove(held: Iterable<Held>): void {
    for (const one of held) this.#held.delete(one);
    if (this.#held.size === 0) this.close();
  }

  /** Nothing is held any more: what still is comes again when its lease ends. */
  close(): void {
    this.#held.clear();
    this.#uncertain.clear();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #look(): void {
    this.#cancel = this.#clock.after(LOOK_EVERY_MS, () => this.#look());
    const now = this.#clock.now();
    const due = new Map<string, { queue: QueueSpec; held: Held[] }>();
    for (const [held, queue] of this.#held) {
      if (held.lost || held.leasedUntil - now > LEASE_MS / 2) continue;
      if (this.#extending.has(queue.key)) {
        if (held.leasedUntil - now <= LOOK_EVERY_MS) this.#uncertain.add(queue.key);
        continue;
      }
      let own = due.get(queue.key);
      if (own === undefined) due.set(queue.key, (own = { queue, held: [] }));
      own.held.push(held);
    }
    // All that was held of them has ended.
    for (const key of this.#uncertain) if (!due.has(key) && !this.#extending.has(key)) this.#certain(key);
    for (const { queue, held } of due.values()) void this.#extend(queue, held);
  }

  async #extend(queue: QueueSpec, held: Held[]): Promise<void> {
    const until = this.#clock.now() + LEASE_MS;
    const settlements = held.map(({ message }) => ({ receipt: message.receipt, as: 'extend' as const, leaseMs: LEASE_MS }));
    let still: boolean[];
    this.#extending.add(queue.key);
    try {
      still = await this.#bus.settle(queue, settlements);
    } catch {
      // The bus is away: nobody else can receive it either. The next look tries again.
      if (this.#held.size > 0) this.#uncertain.add(queue.key);
      return;
    } finally {
      this.#extending.delete(queue.key);
    }
    for (const [index, one] of held.entries()) {
      if (still[index] === true) one.leasedUntil = until;
      // What was settled meanwhile is not held any more, and not lost either.
      else if (this.#held.has(one)) {
        one.lost = true;
        this.#lost(one);
      }
    }
    this.#certain(queue.key);
  }

  #certain(key: string): void {
    if (this.#uncertain.delete(key)) this.#renewed();
  }
}
