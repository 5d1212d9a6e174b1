// Receiving: one call at a time for each queue, since two would only step over each other's rows (16 callers at once for 10 messages each
// got 4,700/s from one queue, one after the other 11,000/s), and few at once in all, so that senders find a connection.
// Invariants: of a fifo queue, neither the groups nor the messages without a group can starve the others; what a receiving took whose
// answer was lost comes with the next one. Called by postgres.ts.
import type { QueueSpec, ReceiveAnswer, ReceiveOptions } from '../bus.ts';
import { receiveFromGroups } from './group-receives.ts';
import { receivePlain } from './plain-receives.ts';
import type { Queues } from './queues.ts';
import { RECEIVE_MAX } from './messages.ts';
import type { From, Receiver } from './receiver.ts';
import { Unheard } from './unheard.ts';

const AT_ONCE_MAX = 4;
const GONE_TRIES_MAX = 5;

export class Receives {
  readonly #receiver: Receiver;
  readonly #queues: Queues;
  /** The last call for each queue. */
  readonly #lines = new Map<string, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  readonly #unheard = new Unheard();
  #running = 0;
  #groupsFirst = true;

  constructor(receiver: Receiver, queues: Queues) {
    this.#receiver = receiver;
    this.#queues = queues;
  }

  receive(queue: QueueSpec, options: ReceiveOptions): Promise<ReceiveAnswer> {
    const bounded = { ...options, max: Math.max(1, Math.min(RECEIVE_MAX, Math.floor(options.max))) };
    const before = this.#lines.get(queue.key);
    const turn = (before ?? Promise.resolve()).then(
      () => this.#run(queue, bounded),
      () => this.#run(queue, bounded),
    );
    const line = turn
      .catch(() => {})
      .finally(() => {
        if (this.#lines.get(queue.key) === line) this.#lines.delete(queue.key);
      });
    this.#lines.set(queue.key, line);
    return turn;
  }

  async idle(): Promise<void> {
    await Promise.all(this.#lines.values());
  }

  async #run(queue: QueueSpec, options: ReceiveOptions): Promise<ReceiveAnswer> {
    if (this.#running >= AT_ONCE_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      for (let tries = 1; ; tries++) {
        const answer = await this.#receive(queue, options);
        if (answer !== undefined) return answer;
        if (tries >= GONE_TRIES_MAX) return { messages: [], nextAt: undefined };
        this.#queues.forget(queue.key);
      }
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #receive(queue: QueueSpec, options: ReceiveOptions): Promise<ReceiveAnswer | undefined> {
    const row = await this.#queues.ofExisting(queue);
    if (row === undefined) return { messages: [], nextAt: undefined };
    const { connections, holder, now, newHold } = this.#receiver;
    await this.#unheard.giveBack(connections, { key: queue.key, id: row.id }, { holder, nowMs: now() });
    const holds: number[] = [];
    const noted = (): number => {
      const hold = newHold();
      holds.push(hold);
      return hold;
    };
    try {
      return await this.#receiveFrom({ ...this.#receiver, newHold: noted }, { queue, row, options });
    } catch (error) {
      this.#unheard.note(queue.key, holds);
      throw error;
    }
  }

  async #receiveFrom(receiver: Receiver, from: From): Promise<ReceiveAnswer | undefined> {
    const { queue, options } = from;
    if (!queue.fifo) return await receivePlain(receiver, from);
    this.#groupsFirst = !this.#groupsFirst;
    const [first, second] = this.#groupsFirst ? [receiveFromGroups, receivePlain] : [receivePlain, receiveFromGroups];
    const answer = await first(receiver, from);
    if (answer === undefined) return undefined;
    const { messages } = answer;
    const bytesLeft = options.bytesMax - messages.reduce((sum, message) => sum + bytesOf(message), 0);
    // There may be more of the second kind; who asks again gets them.
    if (messages.length >= options.max || bytesLeft <= 0) return { messages, nextAt: receiver.now() };
    const rest = await second(receiver, {
      ...from,
      options: { ...options, max: options.max - messages.length, bytesMax: bytesLeft },
      beside: messages.length > 0,
    });
    if (rest === undefined) return undefined;
    const nextAt = Math.min(answer.nextAt ?? Infinity, rest.nextAt ?? Infinity);
    return { messages: [...messages, ...rest.messages], nextAt: nextAt === Infinity ? undefined : nextAt };
  }
}

function bytesOf({ body, attributes }: { body: string; attributes: Record<string, string> }): number {
  return Buffer.byteLength(body) + Buffer.byteLength(JSON.stringify(attributes));
}
