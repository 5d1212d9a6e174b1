// Many rough timers for the price of one: members wait in the slot of the second at which they are due. Invariant: each member
// is in one slot at most; setting, moving and removing cost the same whatever the number. Turned by whoever owns it.

export interface Spoke {
  /** When it is due, in turns; set by the wheel alone. */
  dueAt: number;
}

const SLOTS = 256;

export class TimerWheel<T extends Spoke> {
  readonly #slots = Array.from({ length: SLOTS }, () => new Set<T>());
  /** Turns so far. */
  now = 0;

  /** `inTurns`: from 1 on. */
  set(member: T, inTurns: number): void {
    this.remove(member);
    member.dueAt = this.now + Math.max(1, inTurns);
    this.#slots[member.dueAt % SLOTS]!.add(member);
  }

  remove(member: T): void {
    this.#slots[member.dueAt % SLOTS]!.delete(member);
  }

  /** Takes out who is due, and gives each to `due`, which may set it again. */
  turn(due: (member: T) => void): void {
    this.now++;
    const slot = this.#slots[this.now % SLOTS]!;
    for (const member of [...slot]) {
      if (member.dueAt > this.now) continue;
      slot.delete(member);
      due(member);
    }
  }
}
