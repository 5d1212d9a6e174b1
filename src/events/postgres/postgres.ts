// The bus on PostgreSQL: composes the parts of this folder to the port ../bus.ts. docs/decisions/0024-bus-on-postgres.md says why it is
// cut like this. Time is what `now` says; `monotonic` tells a clock that was moved from time that passed: tests that let time pass
// advance both. Not there yet: groups of fifo queues are stored but not received, redrive, purge, drop, streams, upkeep.
// Made by profiles/embedded.ts.
import { randomInt } from 'node:crypto';
import type pg from 'pg';
import { VirgaError } from '../../protocol/errors.ts';
import type * as port from '../bus.ts';
import { Connections } from './connections.ts';
import type { Statement } from './connections.ts';
import { Inspection } from './inspection.ts';
import type { Moves } from './moves.ts';
import { Notices } from './notices.ts';
import { Queues } from './queues.ts';
import { receiveFrom } from './receives.ts';
import { Sends } from './sends.ts';
import { Settles } from './settles.ts';

export interface PostgresBusOptions {
  connection: pg.ClientConfig;
  /** Who holds what is received; the same after a restart, and of one process at a time. */
  holder: string;
  log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Unix ms. */
  now?: () => number;
}

const CONNECTIONS_MAX = 8;
const HOLD_MAX = 2 ** 47;

const RECOVER: Statement = {
  name: 'bus-recover',
  text: `
update event_messages m set state = 0, hold = null, holder = null, due_at = $2, wait_ms = 0
from event_queues q where m.queue = q.id and m.state = 1 and m.holder = $1
returning q.key`,
};

export class PostgresBus implements port.Bus {
  readonly #connections: Connections;
  readonly #notices: Notices;
  readonly #queues: Queues;
  readonly #moves: Moves;
  readonly #sends: Sends;
  readonly #settles: Settles;
  readonly #inspection: Inspection;
  readonly #holder: string;
  readonly #now: () => number;

  constructor({ connection, holder, log, now = Date.now }: PostgresBusOptions) {
    this.#holder = holder;
    this.#now = now;
    const connections = new Connections(connection, { connectionsMax: CONNECTIONS_MAX });
    this.#connections = connections;
    this.#notices = new Notices({ connection, keys: () => this.keys(''), log });
    const writers = { sends: `${holder} sends`, moves: `${holder} moves` };
    this.#queues = new Queues(connections, Object.values(writers));
    this.#moves = { queues: this.#queues, notices: this.#notices, writer: writers.moves, now };
    this.#sends = new Sends({ connections, queues: this.#queues, notices: this.#notices, writer: writers.sends, now });
    this.#settles = new Settles({ connections, moves: this.#moves });
    this.#inspection = new Inspection({ connections, now });
  }

  send(batches: port.SendBatch[]): Promise<port.SendResult[][]> {
    return this.#sends.send(batches);
  }

  async receive(queue: port.QueueSpec, options: port.ReceiveOptions): Promise<port.ReceiveAnswer> {
    const receiver = {
      connections: this.#connections,
      moves: this.#moves,
      holder: this.#holder,
      now: this.#now,
      newHold: () => randomInt(1, HOLD_MAX),
    };
    for (;;) {
      const row = await this.#queues.of(queue);
      const answer = await receiveFrom(receiver, { queue, row, options });
      if (answer !== undefined) return answer;
      this.#queues.forget(queue.key);
    }
  }

  settle(queue: port.QueueSpec, settlements: port.Settlement[]): Promise<boolean[]> {
    return this.#settles.settle(queue, settlements);
  }

  async recover(): Promise<void> {
    const rows = await this.#connections.rows<{ key: string }>(RECOVER, [this.#holder, this.#now()]);
    this.#notices.heard(new Set(rows.map(({ key }) => key)));
  }

  onReady(listener: (key: string) => void): void {
    this.#notices.listen(listener);
  }

  due(): Promise<{ key: string; at: number }[]> {
    return this.#inspection.due();
  }

  peek(key: string, options: { after?: string; limit: number }): Promise<port.StoredMessage[]> {
    return this.#inspection.peek(key, options);
  }

  find(key: string, id: string): Promise<port.StoredMessage | undefined> {
    return this.#inspection.find(key, id);
  }

  stats(keys: string[]): Promise<port.QueueStats[]> {
    return this.#inspection.stats(keys);
  }

  keys(prefix: string): Promise<string[]> {
    return this.#inspection.keys(prefix);
  }

  purge(): Promise<number> {
    return notYet('purge');
  }

  redrive(): Promise<number> {
    return notYet('redrive');
  }

  drop(): Promise<void> {
    return notYet('drop');
  }

  append(): Promise<{ partition: number; position: number }[]> {
    return notYet('append');
  }

  read(): Promise<port.StreamRecord[]> {
    return notYet('read');
  }

  positionAt(): Promise<number> {
    return notYet('positionAt');
  }

  partitions(): Promise<port.PartitionStats[]> {
    return notYet('partitions');
  }

  hold(): Promise<port.PartitionHold[]> {
    return notYet('hold');
  }

  commit(): Promise<boolean> {
    return notYet('commit');
  }

  release(): Promise<void> {
    return notYet('release');
  }

  seek(): Promise<void> {
    return notYet('seek');
  }

  consumers(): Promise<{ consumer: string; partition: number; position: number; heldUntil: number | null }[]> {
    return notYet('consumers');
  }

  async upkeep(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#notices[Symbol.asyncDispose]();
    await Promise.all([this.#sends.idle(), this.#settles.idle()]);
    await this.#connections[Symbol.asyncDispose]();
  }
}

function notYet(what: string): Promise<never> {
  return Promise.reject(new VirgaError('internal', `${what} is not there yet on the bus on PostgreSQL`));
}
