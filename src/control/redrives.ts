// Redrives: dead letters go back to where they died, or to another queue, so many in a second. A redrive is itself a message on the bus,
// in a queue of its own of the project; who runs it receives it, moves some, and gives it back until the next step is due:
//
//   start ─▶ [waits] ─ due ─▶ [held: one step] ─▶ [waits] … ─▶ done, or cancelled
//
// Invariants: it goes on after a restart or a kill -9 where it stood, since what it has moved stands with the message; it moves no more than
// were dead when it began, so that what dies again stays dead; one at a time for the same dead letters. Runs in the control role.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, QueueSpec, ReceivedMessage, StoredMessage } from '../events/bus.ts';
import { keyParts, queueKey } from '../events/queue-keys.ts';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { RedriveItem } from '../protocol/events-api.ts';
import type { PlatformLog } from './context.ts';

const STEP_MS = 100;
const TAKE_BACK_MS = 50;
const STEP_MAX = 500;
const LEASE_MS = 60_000;
const ENDED_MAX = 1_000;
const DAY_MS = 86_400_000;

/** What one is, as its message has it. */
interface Plan {
  /** null: all of the project. */
  source: string | null;
  to: string | null;
  rate: number | null;
  total: number;
  startedAt: string;
}

/** How far it is: `lastError` of its message, which is the part of one that can change. */
interface Progress {
  moved: number;
}

/** Moves up to `max` dead letters; how many it moved. */
export type MoveSome = (project: string, plan: Pick<Plan, 'source' | 'to'>, max: number) => Promise<number>;

export interface RedriveNeeds {
  bus: Bus;
  move: MoveSome;
  log: PlatformLog;
  now: () => number;
}

export class Redrives {
  readonly #needs: RedriveNeeds;
  readonly #ended = new Map<string, { project: string; item: RedriveItem }>();
  readonly #cancelled = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** By project: its steps come one after the other. */
  readonly #running = new Map<string, Promise<void>>();
  #closed = false;

  constructor(needs: RedriveNeeds) {
    this.#needs = needs;
    needs.bus.onReady((key) => {
      if (isJobs(key)) this.#wake(keyParts(key).project, 0);
    });
  }

  /** Takes up those that an earlier process left. */
  async resume(): Promise<void> {
    for (const { key, at } of await this.#needs.bus.due()) if (isJobs(key)) this.#wake(keyParts(key).project, at - this.#needs.now());
  }

  async start(project: string, plan: Omit<Plan, 'startedAt'>): Promise<RedriveItem> {
    const { bus, now } = this.#needs;
    const running = (await bus.peek(jobsKey(project), { limit: 100 })).map(itemOf);
    const same = running.find((one) => overlap(one.source, plan.source));
    if (same !== undefined)
      throw new VirgaError(
        'redrive_running',
        `${same.id} moves dead letters of ${same.source ?? 'the whole project'} already: ${same.moved} of ${same.total}; wait for it, or cancel it`,
        { detail: { redrive: same.id } },
      );
    const id = newId('rdr', now());
    const whole: Plan = { ...plan, startedAt: new Date(now()).toISOString() };
    await bus.send([{ queue: jobsQueue(project), messages: [{ id, body: JSON.stringify(whole), attributes: {} }] }]);
    return { id, state: 'running', ...whole, moved: 0, endedAt: null, error: null };
  }

  /** Those that run, and the last that ended; newest first. */
  async list(project: string): Promise<RedriveItem[]> {
    const running = (await this.#needs.bus.peek(jobsKey(project), { limit: 100 })).map(itemOf);
    const ended = [...this.#ended.values()].flatMap((one) => (one.project === project ? [one.item] : []));
    return [...running.filter(({ id }) => !this.#ended.has(id)), ...ended].sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  async find(project: string, id: string): Promise<RedriveItem> {
    const ended = this.#ended.get(id);
    if (ended?.project === project) return ended.item;
    const message = await this.#needs.bus.find(jobsKey(project), id);
    if (message !== undefined) return itemOf(message);
    // It may have ended between the two looks.
    const late = this.#ended.get(id);
    if (late?.project === project) return late.item;
    throw new VirgaError(
      'redrive_not_found',
      `no redrive ${id} runs in project '${project}'; of those that ended, the ones since the last restart are remembered`,
    );
  }

  /** Resolves when it does not run any more. */
  async cancel(project: string, id: string): Promise<RedriveItem> {
    const before = await this.find(project, id);
    if (before.state !== 'running') return before;
    this.#cancelled.add(id);
    // Between two steps, so that what it says of the moved ones is so. A message that an earlier process holds still is waited for.
    while (!this.#closed && !(await this.#between(project, () => this.#takeBack(project, id)))) await sleep(TAKE_BACK_MS);
    this.#cancelled.delete(id);
    return this.#ended.get(id)?.item ?? { ...before, state: 'cancelled' };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#running.values());
  }

  #wake(project: string, delayMs: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timers.get(project));
    this.#timers.set(
      project,
      setTimeout(
        () => {
          this.#timers.delete(project);
          void this.#between(project, () => this.#round(project));
        },
        Math.max(0, delayMs),
      ).unref(),
    );
  }

  /** Work of a project comes one after the other; its own failures are its caller's. */
  #between<T>(project: string, work: () => Promise<T>): Promise<T> {
    const done = (this.#running.get(project) ?? Promise.resolve()).then(work);
    const settled = done.then(
      () => {},
      () => {},
    );
    this.#running.set(project, settled);
    void settled.then(() => {
      if (this.#running.get(project) === settled) this.#running.delete(project);
    });
    return done;
  }

  /** true: it does not run any more. */
  async #takeBack(project: string, id: string): Promise<boolean> {
    const { bus } = this.#needs;
    const message = await bus.find(jobsKey(project), id);
    if (message === undefined) return true;
    if ((await bus.purge(jobsKey(project), { id })) === 0) return false;
    this.#end(project, { ...itemOf(message), state: 'cancelled' });
    return true;
  }

  async #round(project: string): Promise<void> {
    if (this.#closed) return;
    const { bus, log, now } = this.#needs;
    try {
      const { messages, nextAt } = await bus.receive(jobsQueue(project), { max: 10, bytesMax: 1_024 ** 2, leaseMs: LEASE_MS });
      for (const message of messages) await this.#step(project, message);
      if (messages.length > 0) this.#wake(project, 0);
      else if (nextAt !== undefined) this.#wake(project, Math.max(10, nextAt - now()));
    } catch (error) {
      log('warn', 'a redrive could not go on and is tried again', { project, reason: (error as Error).message });
      this.#wake(project, 1_000);
    }
  }

  async #step(project: string, message: ReceivedMessage): Promise<void> {
    const { bus, move } = this.#needs;
    const item = itemOf(message);
    const queue = jobsQueue(project);
    const { receipt } = message;
    const end = async (ended: Partial<RedriveItem>): Promise<void> => {
      await bus.settle(queue, [{ receipt, as: 'done' }]);
      this.#end(project, { ...item, ...ended });
    };
    if (this.#cancelled.has(item.id)) return await end({ state: 'cancelled' });
    const { max, everyMs } = paceOf(item.rate);
    const beganAt = performance.now();
    let moved: number;
    try {
      moved = await move(project, item, Math.min(max, item.total - item.moved));
    } catch (error) {
      // What may pass is tried again with the next step; the rest would fail for ever.
      if (!(error instanceof VirgaError) || error.code === 'unavailable' || error.code === 'queue_full') {
        await bus.settle(queue, [{ receipt, as: 'retry', delayMs: 1_000, unseen: true }]);
        throw error;
      }
      return await end({ state: 'failed', error: error.message });
    }
    const all = item.moved + moved;
    if (moved === 0 || all >= item.total) return await end({ state: 'done', moved: all });
    const progress: Progress = { moved: all };
    await bus.settle(queue, [
      {
        receipt,
        as: 'retry',
        delayMs: Math.max(0, everyMs - (performance.now() - beganAt)),
        unseen: true,
        error: JSON.stringify(progress),
      },
    ]);
  }

  #end(project: string, item: RedriveItem): void {
    if (this.#ended.size >= ENDED_MAX) this.#ended.delete(this.#ended.keys().next().value!);
    this.#ended.set(item.id, { project, item: { ...item, endedAt: new Date(this.#needs.now()).toISOString() } });
  }
}

/** Steps of about a tenth of a second; slow ones have one message each. */
export function paceOf(rate: number | null): { max: number; everyMs: number } {
  if (rate === null) return { max: STEP_MAX, everyMs: 0 };
  const max = Math.min(STEP_MAX, Math.max(1, Math.round((rate * STEP_MS) / 1_000)));
  return { max, everyMs: Math.round((max * 1_000) / rate) };
}

function overlap(a: string | null, b: string | null): boolean {
  return a === null || b === null || a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

function isJobs(key: string): boolean {
  return keyParts(key).kind === 'redrive';
}

function jobsKey(project: string): string {
  return queueKey(project, 'redrive', 'jobs');
}

function jobsQueue(project: string): QueueSpec {
  return {
    key: jobsKey(project),
    fifo: false,
    retentionMs: 3_650 * DAY_MS,
    deduplicationMs: 0,
    receivesMax: 1_000_000_000,
    messagesMax: 100,
    bytesMax: 1_024 ** 2,
    dead: null,
  };
}

function itemOf(message: StoredMessage): RedriveItem {
  const plan = JSON.parse(message.body) as Plan;
  const { moved } = message.lastError === null ? { moved: 0 } : (JSON.parse(message.lastError) as Progress);
  return { id: message.id, state: 'running', ...plan, moved, endedAt: null, error: null };
}
