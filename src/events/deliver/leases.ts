// Keeps what is held held: at half of its lease a message is extended, as long as its call runs or it waits for one. Invariant: a message
// whose lease was lost is marked so, and is neither delivered nor settled any more; without anything held there is no timer.
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
  readonly #held = new Map<Held, QueueSpec>();
  #cancel: (() => void) | undefined;

  constructor(parts: { bus: Pick<Bus, 'settle'>; clock: Clock; lost: (held: Held) => void }) {
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#lost = parts.lost;
  }

  get size(): number {
    return this.#held.size;
  }

  add(queue: QueueSpec, held: Iterable<Held>): void {
    for (const one of held) this.#held.set(one, queue);
    if (this.#held.size > 0) this.#cancel ??= this.#clock.after(LOOK_EVERY_MS, () => this.#look());
  }

  remove(held: Iterable<Held>): void {
    for (const one of held) this.#held.delete(one);
    if (this.#held.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #look(): void {
    this.#cancel = this.#clock.after(LOOK_EVERY_MS, () => this.#look());
    const now = this.#clock.now();
    const due = new Map<string, { queue: QueueSpec; held: Held[] }>();
    for (const [held, queue] of this.#held) {
      if (held.lost || held.leasedUntil - now > LEASE_MS / 2) continue;
      let own = due.get(queue.key);
      if (own === undefined) due.set(queue.key, (own = { queue, held: [] }));
      own.held.push(held);
    }
    for (const { queue, held } of due.values()) void this.#extend(queue, held);
  }

  async #extend(queue: QueueSpec, held: Held[]): Promise<void> {
    const until = this.#clock.now() + LEASE_MS;
    const settlements = held.map(({ message }) => ({ receipt: message.receipt, as: 'extend' as const, leaseMs: LEASE_MS }));
    let still: boolean[];
    try {
      still = await this.#bus.settle(queue, settlements);
    } catch {
      // The bus is away: nobody else can receive it either. The next look tries again.
      return;
    }
    for (const [index, one] of held.entries()) {
      if (still[index] === true) one.leasedUntil = until;
      // What was settled meanwhile is not held any more, and not lost either.
      else if (this.#held.has(one)) {
        one.lost = true;
        this.#lost(one);
      }
    }
  }
}
