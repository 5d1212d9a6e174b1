// The delivery engine: brings what is due in the queues of all consumers to whoever takes it (delivery-kind.ts), and settles what became of
// it. Invariants: nothing is received before there is a place for it (of its consumer, its project, this node); what was received is held
// until it is settled, and comes again if this process dies; a consumer with nothing due is an entry of a map. Woken by the bus, never
// polling but for one question every half minute against lost notices. Callers: server/edge.ts, server/control.ts (webhooks).
import type { DeliveryStats } from '../../protocol/stats.ts';
import type { Bus } from '../bus.ts';
import type { Invoker } from '../invoker.ts';
import type { Consumer } from '../topology.ts';
import { bytesOf } from './held.ts';
import type { Held } from './held.ts';
import { BusAway } from './bus-away.ts';
import type { Clock } from './clock.ts';
import { ConsumerLine } from './consumer-line.ts';
import type { DeliveryKind, Verdict } from './delivery-kind.ts';
import { DueWatch } from './due-watch.ts';
import { FairTurns } from './fair-turns.ts';
import type { Turned } from './fair-turns.ts';
import { LEASE_MS, Leases } from './leases.ts';
import { Outcomes } from './outcomes.ts';
import type { Log } from './outcomes.ts';
import { settle } from './settlements.ts';
import { Visitors } from './visitors.ts';
import type { Visit, Visitor } from './visitors.ts';

export interface DeliveryLimits {
  /** Calls at the same time on this node. */
  deliveriesMax: number;
  /** Bytes of messages that are held. */
  deliveryBytesMax: number;
}

export interface DeliveriesOptions {
  bus: Bus;
  /** Consumers of other kinds are left alone. */
  kinds: Partial<Record<Consumer['kind'], DeliveryKind>>;
  /** Asked of consumers with a function. */
  invoker: Pick<Invoker, 'capacity' | 'pressed'>;
  limits: DeliveryLimits;
  clock: Clock;
  random: () => number;
  log: Log;
}

const DEFAULT_CONCURRENCY = 10;
const RECEIVES_MAX = 8;
const RECEIVE_BYTES_MIN = 1_024 * 1_024;
/** While requests of clients wait for room: a share of the places, and how often to look whether they still do. */
const PRESSED_SHARE = 1 / 64;
const PRESSED_LOOK_MS = 20;

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #lines = new Map<string, ConsumerLine>();
  readonly #turns: FairTurns<Turned>;
  readonly #outcomes: Outcomes;
  readonly #leases: Leases;
  readonly #stop = new AbortController();
  readonly #visitors: Visitors;
  #receives = 0;
  #started = false;
  #closing = false;
  #dispatching = false;
  readonly #busAway: BusAway;
  readonly #due: DueWatch;
  #cancelAgain: (() => void) | undefined;
  #quiet: (() => void) | undefined;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    const { bus, clock, invoker, log, limits } = options;
    this.#turns = new FairTurns({ placesMax: limits.deliveriesMax, bytesMax: limits.deliveryBytesMax });
    this.#visitors = new Visitors({ turns: this.#turns, invoker, came: () => this.#dispatchSoon(), left: () => this.#resume() });
    this.#busAway = new BusAway(log);
    const resume = (): void => this.#dispatchSoon();
    this.#outcomes = new Outcomes({ bus, clock, log, written: resume });
    this.#leases = new Leases({ bus, clock, lost: (held) => this.#onLost(held), renewed: resume });
    this.#due = new DueWatch({ bus, clock, log, found: (key, at) => this.#onDue(key, at) });
    bus.onReady((key) => this.#onDue(key, clock.now()));
  }

  /** All consumers that there are from now on. Those that are not named any more begin no further call. */
  setConsumers(consumers: Iterable<Consumer>): void {
    const named = new Set<string>();
    const projects = new Set<string>();
    let fresh = false;
    for (const consumer of consumers) {
      if (this.#options.kinds[consumer.kind] === undefined) continue;
      const { key } = consumer.queue;
      const project = key.slice(0, key.indexOf('/'));
      named.add(key);
      projects.add(project);
      const line = this.#lines.get(key);
      if (line === undefined) {
        this.#lines.set(key, new ConsumerLine(consumer, this.#turns.project(project)));
        fresh = true;
      } else if (line.consumer !== consumer || line.removed) {
        fresh ||= line.removed;
        line.consumer = consumer;
        line.removed = false;
        this.#look(line);
      }
    }
    for (const [key, line] of this.#lines) {
      if (named.has(key)) continue;
      line.removed = true;
      this.#release(line, line.takeOut());
      this.#look(line);
      this.#forget(line);
    }
    this.#turns.keep(projects);
    // What came before they were known was not heard of.
    if (fresh && this.#started) this.#due.ask();
  }

  start(): void {
    this.#started = true;
    for (const line of this.#lines.values()) this.#look(line);
    this.#due.ask();
  }

  /** A place for one call of what is no queue. Resolves with what gives it back; undefined: `signal` came first. */
  async visit(visit: Visit, signal: AbortSignal): Promise<(() => void) | undefined> {
    return this.#closing ? undefined : await this.#visitors.enter(visit, signal);
  }

  get inFlight(): number {
    return this.#turns.places;
  }

  stats(): DeliveryStats[] {
    const now = this.#options.clock.now();
    return [...this.#lines.values()].filter(({ counts }) => counts.received > 0).map((line) => line.stats(now));
  }

  /** Nothing more is received; calls in flight have `drainMs` to end; what became of them is settled. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    this.#due.close();
    this.#cancelAgain?.();
    for (const line of this.#lines.values()) {
      this.#release(line, line.takeOut());
      this.#look(line);
    }
    await this.#quietWithin(drainMs);
    this.#stop.abort();
    // Those that were called off say so at once.
    await this.#quietWithin(1_000);
    await this.#outcomes.flush(2_000);
    this.#leases.close();
  }

  async #quietWithin(ms: number): Promise<void> {
    if (this.#turns.places + this.#receives === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(ms, resolve);
    this.#quiet = resolve;
    await promise;
    cancel();
  }

  #onDue(key: string, at: number): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    line.ready(at);
    this.#look(line);
  }

  /** Something about the line changed: it waits for its turn, or for its time. Who dispatches sticks to one `now`, else it could go on for ever. */
  #look(line: ConsumerLine, now = this.#options.clock.now()): void {
    line.cancelTimer?.();
    line.cancelTimer = undefined;
    if (this.#closing || !this.#started) {
      this.#turns.leave(line);
      return;
    }
    if (this.#todo(line, now) !== undefined) {
      this.#turns.join(line);
      this.#dispatchSoon();
      return;
    }
    this.#turns.leave(line);
    const at = line.wakesAt(now, this.#windows);
    if (at !== undefined) line.cancelTimer = this.#options.clock.after(at - now, () => this.#look(line));
  }

  #todo(line: ConsumerLine, now: number) {
    return line.todo(now, this.#concurrencyOf(line), this.#windows);
  }

  /** When room gets short, batches do not wait to become full. */
  get #windows(): boolean {
    return this.#turns.bytes * 2 < this.#options.limits.deliveryBytesMax;
  }

  #concurrencyOf({ consumer, project }: ConsumerLine): number {
    const { concurrency = DEFAULT_CONCURRENCY, function: fn } = consumer;
    if (fn === undefined) return concurrency;
    const capacity = this.#options.invoker.capacity(project.name, fn);
    // It is not there (yet, or any more): what is delivered to it is refused, which makes the pause grow.
    return capacity === undefined ? 1 : Math.max(1, Math.min(concurrency, capacity));
  }

  #dispatchSoon(): void {
    if (this.#dispatching) return;
    this.#dispatching = true;
    queueMicrotask(() => {
      this.#dispatching = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const { clock, invoker, limits } = this.#options;
    if (this.#closing || !this.#turns.someWait) return;
    const now = clock.now();
    const pressed = invoker.pressed;
    const placesMax = pressed ? Math.max(1, Math.floor(limits.deliveriesMax * PRESSED_SHARE)) : limits.deliveriesMax;
    const may = (line: Turned): boolean => {
      if (!(line instanceof ConsumerLine)) return this.#visitors.may(line as Visitor, placesMax);
      const todo = this.#todo(line, now);
      if (todo === undefined) return true;
      if (this.#turns.placesFor(line.project, placesMax) === 0 && line.calls < this.#concurrencyOf(line)) return false;
      if (todo === 'call') return true;
      const { key } = line.consumer.queue;
      if (this.#outcomes.wait(key) || this.#leases.uncertain(key)) return false;
      return this.#receives < RECEIVES_MAX && !this.#busAway.at(now) && this.#turns.bytesFor(line.project) > 0;
    };
    for (;;) {
      const line = this.#turns.next(may);
      if (line === undefined) break;
      // To the end of its project's line, or out of it.
      this.#turns.leave(line);
      if (!(line instanceof ConsumerLine)) {
        this.#visitors.admit(line as Visitor);
        continue;
      }
      const todo = this.#todo(line, now);
      if (todo === 'call') this.#call(line, now);
      else if (todo === 'receive') void this.#receive(line, placesMax);
      this.#look(line, now);
    }
    if (!this.#turns.someWait) return;
    if (pressed) this.#dispatchIn(PRESSED_LOOK_MS);
    else if (this.#busAway.at(now)) this.#dispatchIn(this.#busAway.until - now);
  }

  #dispatchIn(ms: number): void {
    this.#cancelAgain ??= this.#options.clock.after(ms, () => {
      this.#cancelAgain = undefined;
      this.#dispatchSoon();
    });
  }

  async #receive(line: ConsumerLine, placesMax: number): Promise<void> {
    const { bus, clock } = this.#options;
    const { queue } = line.consumer;
    const own = Math.max(0, this.#concurrencyOf(line) - line.calls);
    const places = Math.min(own, this.#turns.placesFor(line.project, placesMax));
    const max = line.wanted(places, this.#concurrencyOf(line));
    const bytesMax = Math.min(this.#turns.bytesFor(line.project), Math.max(RECEIVE_BYTES_MIN, Math.ceil(2 * line.meanBytes * max)));
    this.#turns.take(line.project, places);
    this.#turns.hold(line.project, bytesMax);
    this.#receives++;
    const askedAt = clock.now();
    line.began(askedAt);
    try {
      const answer = await bus.receive(queue, { max, bytesMax, leaseMs: LEASE_MS });
      const held = answer.messages.map((message): Held => {
        return { message, bytes: bytesOf(message), leasedUntil: askedAt + LEASE_MS, lost: false };
      });
      for (const { bytes } of held) this.#turns.hold(line.project, bytes);
      this.#leases.add(queue, held);
      line.received(answer, held, clock.now());
      this.#busAway.back();
      if (line.removed || this.#closing) this.#release(line, line.takeOut());
    } catch (error) {
      const now = clock.now();
      line.receiveFailed(now);
      this.#busAway.failed(now, error);
    }
    this.#receives--;
    this.#turns.hold(line.project, -bytesMax);
    this.#turns.giveBack(line.project, places);
    this.#afterwards(line);
  }

  #call(line: ConsumerLine, now: number): void {
    const next = line.nextBatch()!;
    const { messages } = next;
    const { consumer } = line;
    this.#turns.take(line.project, 1);
    this.#turns.serve(line.project);
    line.start(next, now);
    const received = messages.map(({ message }) => message);
    this.#options.kinds[consumer.kind]!.deliver(consumer, received, this.#stop.signal).then(
      (verdicts) => this.#ended(line, { consumer, messages, began: now }, verdicts),
      (error: unknown) => {
        this.#options.log('error', `a delivery of the queue '${consumer.queue.key}' failed by a fault of Virga`, { reason: String(error) });
        const verdict: Verdict = { as: 'failed', error: 'a fault of Virga' };
        this.#ended(
          line,
          { consumer, messages, began: now },
          messages.map(() => verdict),
        );
      },
    );
  }

  #ended(
    line: ConsumerLine,
    { consumer, messages, began }: { consumer: Consumer; messages: Held[]; began: number },
    verdicts: Verdict[],
  ): void {
    const { clock, random } = this.#options;
    const { settlements, brokenGroups } = settle(consumer, messages, verdicts, random);
    this.#outcomes.add(consumer.queue, settlements);
    line.count(settlements);
    this.#drop(line, messages);
    const now = clock.now();
    line.ended(messages, now - began);
    const laters = verdicts.filter((verdict) => verdict.as === 'later');
    if (laters.length > 0) line.pause(now, Math.max(...laters.map(({ delayMs }) => delayMs)));
    else line.wentWell();
    for (const verdict of verdicts) if (verdict.as === 'failed' && verdict.quietMs !== undefined) line.leaveAlone(now, verdict.quietMs);
    if (brokenGroups.size > 0)
      this.#release(
        line,
        line.takeOut(({ message }) => message.group !== null && brokenGroups.has(message.group)),
      );
    this.#turns.giveBack(line.project, 1);
    this.#afterwards(line);
  }

  #afterwards(line: ConsumerLine): void {
    this.#look(line);
    this.#forget(line);
    this.#resume();
  }

  /** There is more room than before. */
  #resume(): void {
    if (this.#turns.someWait) this.#dispatchSoon();
    if (this.#turns.places + this.#receives === 0) this.#quiet?.();
  }

  /** Gives back what was received and not tried. */
  #release(line: ConsumerLine, held: Held[]): void {
    if (held.length === 0) return;
    const settlements = held
      .filter(({ lost }) => !lost)
      .map(({ message }) => ({ receipt: message.receipt, as: 'retry' as const, delayMs: 0, unseen: true as const }));
    this.#outcomes.add(line.consumer.queue, settlements);
    line.counts.released += settlements.length;
    this.#drop(line, held);
  }

  #drop(line: ConsumerLine, held: Held[]): void {
    this.#leases.remove(held);
    let bytes = 0;
    for (const one of held) bytes += one.bytes;
    this.#turns.hold(line.project, -bytes);
  }

  #onLost(lost: Held): void {
    for (const line of this.#lines.values()) {
      if (!line.waiting.includes(lost)) continue;
      this.#drop(
        line,
        line.takeOut((held) => held === lost),
      );
      this.#look(line);
    }
  }

  #forget(line: ConsumerLine): void {
    const { key } = line.consumer.queue;
    if (line.removed && line.calls === 0 && !line.receiving && this.#lines.get(key) === line) this.#lines.delete(key);
  }
}
