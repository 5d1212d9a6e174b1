// One consumer as the engine knows it: what is known to be due in its queue, what was received and waits here, what runs, and what is to be
// done next. Invariants: while nothing is due it is an entry of a map, without a timer; at most one receive is under way; what waits here
// is at most what its calls finish during three receives, or one batch. Pure but for its clock readings, which are passed in. Owned by deliveries.ts.
//
//   idle ──ready, or its time──▶ due ──turn──▶ receiving ──▶ waiting here ──full, or the window ends──▶ turn ──▶ in a call ──▶ settled
//                                 └────────────── paused: nobody could take what was delivered, or the bus failed ◀─────────┘
import type { DeliveryStats } from '../../protocol/stats.ts';
import type { ReceiveAnswer, Settlement } from '../bus.ts';
import type { Consumer } from '../topology.ts';
import { nextBatch } from './batches.ts';
import type { NextBatch } from './batches.ts';
import type { ProjectTurns, Turned } from './fair-turns.ts';
import type { Held } from './held.ts';

type Todo = 'call' | 'receive';

interface LineCounts {
  received: number;
  done: number;
  retried: number;
  dead: number;
  /** Without having been an attempt. */
  released: number;
  /** What the last message that was received for the first time had waited, ms. */
  lagMs: number;
}

const PAUSE_FIRST_MS = 50;
const PAUSE_LAST_MS = 5_000;
/** A queue that says it has something, and gives nothing: another holds it, or its group waits. */
const EMPTY_FIRST_MS = 10;
const EMPTY_LAST_MS = 1_000;
/** What is received ahead of the calls at most; of larger batches one. Beyond it also those wait in the queue whose groups are free. */
const AHEAD_MESSAGES_MAX = 1_000;
/** How long what is received ahead lasts, in receives: the next begins when half of it is used. */
const AHEAD_RECEIVES = 3;

export class ConsumerLine {
  readonly project: ProjectTurns<Turned>;
  /** The project has it no more: what runs ends, and it goes. */
  removed = false;
  readonly waiting: Held[] = [];
  calls = 0;
  receiving = false;
  /** Unix ms; undefined: nothing is known to be there. */
  dueAt: number | undefined;
  meanBytes = 1_024;
  cancelTimer: (() => void) | undefined;
  readonly counts: LineCounts = { received: 0, done: 0, retried: 0, dead: 0, released: 0, lagMs: 0 };
  readonly #busyGroups = new Set<string>();
  /** More came since the receive that is under way began. */
  #heard = false;
  /** There was more than it took. */
  #backlog = false;
  /** What a receive, and a call, takes of late. */
  #beganAt = 0;
  #receiveMs = 1;
  #callMs = 10;
  #pausedAt = 0;
  #pausedUntil = 0;
  #pauseMs = 0;
  /** As whoever it is delivered to asked. */
  #aloneFrom = 0;
  #aloneUntil = 0;
  #emptyMs = 0;
  /** The first of those that wait came then. */
  #windowSince = 0;
  #next: NextBatch | null | undefined;
  #consumer: Consumer;

  constructor(consumer: Consumer, project: ProjectTurns<Turned>) {
    this.#consumer = consumer;
    this.project = project;
  }

  get consumer(): Consumer {
    return this.#consumer;
  }

  /** As it was deployed anew: what waits here goes by its rules, and no pause outlives what it was for. */
  set consumer(consumer: Consumer) {
    this.#consumer = consumer;
    this.#next = undefined;
    this.#aloneUntil = 0;
    this.wentWell();
  }

  /** The queue may have something at this time. */
  ready(at: number): void {
    if (this.receiving) this.#heard = true;
    if (this.dueAt === undefined || at < this.dueAt) this.dueAt = at;
  }

  /** `windows`: false: no batch waits to become full. */
  todo(now: number, concurrency: number, windows: boolean): Todo | undefined {
    if (this.removed || this.#paused(now) || this.calls >= concurrency) {
      // So much ahead that a slot that frees has something to do at once.
      if (this.removed || this.#paused(now) || !this.#backlog) return undefined;
      return this.#mayReceive(now) && this.waiting.length * 2 <= this.#ahead(concurrency) ? 'receive' : undefined;
    }
    const next = this.nextBatch();
    if (next !== undefined && (next.full || !windows || now >= this.#windowEndsAt() || now < this.#windowSince)) return 'call';
    if (!this.#mayReceive(now)) return undefined;
    return this.waiting.length < Math.max(AHEAD_MESSAGES_MAX, this.consumer.batch) ? 'receive' : undefined;
  }

  /** When todo() may answer something else though nothing happened. */
  wakesAt(now: number, windows: boolean): number | undefined {
    if (this.removed) return undefined;
    const times: number[] = [];
    if (this.dueAt !== undefined && !this.receiving) times.push(this.dueAt);
    if (windows && this.waiting.length > 0) times.push(this.#windowEndsAt());
    const notBefore = this.#pauseEndsAt(now);
    const at = Math.min(...times.map((time) => Math.max(time, notBefore)).filter((time) => time > now));
    return at === Infinity ? undefined : at;
  }

  nextBatch(): NextBatch | undefined {
    if (this.#next === undefined) {
      const { batch, retry, queue } = this.consumer;
      this.#next = nextBatch(this.waiting, { batch, attempts: retry.attempts, fifo: queue.fifo }, this.#busyGroups) ?? null;
    }
    return this.#next ?? undefined;
  }

  /** Messages to ask for, with so many places for calls. */
  wanted(places: number, concurrency: number): number {
    const ahead = this.#backlog ? this.#ahead(concurrency) : 0;
    return Math.max(1, places * this.consumer.batch + ahead - this.waiting.length);
  }

  /** Messages that its calls finish during so many receives; one batch at least. */
  #ahead(concurrency: number): number {
    const { batch } = this.consumer;
    const calls = (AHEAD_RECEIVES * concurrency * this.#receiveMs) / Math.max(1, this.#callMs);
    return Math.max(batch, Math.min(AHEAD_MESSAGES_MAX, Math.ceil(calls) * batch));
  }

  began(now: number): void {
    this.receiving = true;
    this.#heard = false;
    this.#beganAt = now;
  }

  received({ messages, nextAt }: ReceiveAnswer, held: Held[], now: number): void {
    this.receiving = false;
    if (messages.length > 0) this.#receiveMs += (now - this.#beganAt - this.#receiveMs) / 8;
    this.dueAt = this.#heard ? now : nextAt;
    this.#backlog = messages.length > 0 && nextAt !== undefined && nextAt <= now;
    if (messages.length > 0) this.#emptyMs = 0;
    else if (nextAt !== undefined && nextAt <= now && !this.#heard) {
      this.#emptyMs = Math.min(EMPTY_LAST_MS, Math.max(EMPTY_FIRST_MS, this.#emptyMs * 2));
      this.dueAt = now + this.#emptyMs;
    }
    if (held.length === 0) return;
    if (this.waiting.length === 0) this.#windowSince = now;
    this.waiting.push(...held);
    this.#next = undefined;
    this.counts.received += held.length;
    for (const { message, bytes } of held) {
      this.meanBytes += (bytes - this.meanBytes) / 16;
      if (message.attempt === 1) this.counts.lagMs = Math.max(0, now - message.sentAt);
    }
  }

  receiveFailed(now: number): void {
    this.receiving = false;
    this.pause(now, 0);
  }

  /** The batch leaves for a call. */
  start({ messages }: NextBatch, now: number): void {
    const gone = new Set(messages);
    this.#keepWaiting((held) => !gone.has(held));
    // The window of those that stay begins anew.
    this.#windowSince = now;
    if (this.consumer.queue.fifo) for (const { message } of messages) if (message.group !== null) this.#busyGroups.add(message.group);
    this.calls++;
  }

  /** `tookMs`: the call. */
  ended(messages: readonly Held[], tookMs: number): void {
    this.calls--;
    this.#callMs += (tookMs - this.#callMs) / 8;
    for (const { message } of messages) if (message.group !== null) this.#busyGroups.delete(message.group);
    this.#next = undefined;
  }

  /** Nobody could take it (now): each time the pause grows, until a call succeeds. `atLeastMs`: as whoever refused says. */
  pause(now: number, atLeastMs: number): void {
    // Calls that were refused together count once.
    const alreadyUntil = now < this.#pausedUntil && now >= this.#pausedAt ? this.#pausedUntil : 0;
    if (alreadyUntil === 0) this.#pauseMs = Math.min(PAUSE_LAST_MS, Math.max(PAUSE_FIRST_MS, this.#pauseMs * 2));
    this.#pausedUntil = Math.round(Math.max(alreadyUntil, now + Math.max(this.#pauseMs, atLeastMs)));
    this.#pausedAt = now;
  }

  /** Whoever it is delivered to asks for it: others that succeed meanwhile do not end it. */
  leaveAlone(now: number, ms: number): void {
    this.#aloneFrom = now;
    this.#aloneUntil = Math.max(this.#aloneUntil, now + ms);
  }

  wentWell(): void {
    this.#pauseMs = 0;
    this.#pausedUntil = 0;
  }

  count(settlements: readonly Settlement[]): void {
    const { counts } = this;
    for (const settlement of settlements) {
      if (settlement.as === 'done') counts.done++;
      else if (settlement.as === 'dead') counts.dead++;
      else if (settlement.as === 'retry' && settlement.unseen === true) counts.released++;
      else counts.retried++;
    }
  }

  stats(now: number): DeliveryStats {
    const { consumer, project, counts, calls, waiting } = this;
    const { kind, source, queue } = consumer;
    const names = { project: project.name, kind, source, function: consumer.function ?? null, queue: queue.key };
    const pausedUntil = this.#paused(now) ? this.#pauseEndsAt(now) : null;
    return { ...names, ...counts, inFlight: calls, waiting: waiting.length, pausedUntil };
  }

  /** Takes out of those that wait here all that `which`, or all. */
  takeOut(which: (held: Held) => boolean = () => true): Held[] {
    const out = this.waiting.filter(which);
    if (out.length > 0) this.#keepWaiting((held) => !which(held));
    return out;
  }

  #keepWaiting(which: (held: Held) => boolean): void {
    const kept = this.waiting.filter(which);
    this.waiting.length = 0;
    for (const held of kept) this.waiting.push(held);
    this.#next = undefined;
  }

  #paused(now: number): boolean {
    return this.#pauseEndsAt(now) > now;
  }

  /** Now, where there is none. A clock that was set back ends a pause. */
  #pauseEndsAt(now: number): number {
    return Math.max(now, now >= this.#pausedAt ? this.#pausedUntil : now, now >= this.#aloneFrom ? this.#aloneUntil : now);
  }

  #mayReceive(now: number): boolean {
    return !this.receiving && this.dueAt !== undefined && this.dueAt <= now;
  }

  #windowEndsAt(): number {
    return this.#windowSince + this.consumer.waitMs;
  }
}
