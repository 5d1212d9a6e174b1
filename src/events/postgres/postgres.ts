// The bus on PostgreSQL: composes the parts of this folder to the port ../bus.ts. docs/decisions/0024-bus-on-postgres.md says why it is
// cut like this. Time is what `now` says; `monotonic` tells a clock that was moved from time that passed: tests that let time pass
// advance both.
// Made by profiles/embedded.ts.
import { randomInt } from 'node:crypto';
import type pg from 'pg';
import { VirgaError } from '../../protocol/errors.ts';
import type { WaitingBounds } from '../../lib/group-commit.ts';
import type * as port from '../bus.ts';
import { Connections } from './connections.ts';
import { Consumers } from './consumers.ts';
import { Inspection } from './inspection.ts';
import type { Moves } from './moves.ts';
import { Notices } from './notices.ts';
import { Queues } from './queues.ts';
import { Receives } from './receives.ts';
import { Recovery } from './recovery.ts';
import { redrive } from './redrive.ts';
import type { RedriveOptions } from './redrive.ts';
import { Removal } from './removal.ts';
import { keepStreams } from './retention.ts';
import { Sends } from './sends.ts';
import { Settles } from './settles.ts';
import { StreamRows } from './stream-rows.ts';
import { Streams } from './streams.ts';
import { keepQueues } from './upkeep.ts';

export interface PostgresBusOptions {
  connection: pg.ClientConfig;
  /** Who holds what is received; the same after a restart, and of one process at a time. */
  holder: string;
  log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Unix ms. */
  now?: () => number;
  /** ms that passed, however the clock is set. */
  monotonic?: () => number;
  /** After which a statement of the bus is given up; default 20 s. */
  statementTimeoutMs?: number;
}

const CONNECTIONS_MAX = 8;
const HOLD_MAX = 2 ** 47;
const WAITING_BATCHES_MAX = 50;
const WAIT_MS_MAX = 15_000;

export class PostgresBus implements port.Bus {
  readonly #connections: Connections;
  readonly #notices: Notices;
  readonly #queues: Queues;
  readonly #moves: Moves;
  readonly #sends: Sends;
  readonly #receives: Receives;
  readonly #settles: Settles;
  readonly #inspection: Inspection;
  readonly #recovery: Recovery;
  readonly #removal: Removal;
  readonly #streamRows: StreamRows;
  readonly #streams: Streams;
  readonly #consumers: Consumers;
  readonly #now: () => number;

  constructor(options: PostgresBusOptions) {
    const { connection, holder, log, now = Date.now, monotonic = () => performance.now(), statementTimeoutMs } = options;
    this.#now = now;
    const connections = new Connections(connection, {
      connectionsMax: CONNECTIONS_MAX,
      ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
    });
    this.#connections = connections;
    const waiting = waitingBounds(monotonic);
    this.#notices = new Notices({ connection, keys: () => this.keys(''), log });
    const writers = { sends: `${holder} sends`, moves: `${holder} moves` };
    this.#queues = new Queues(connections, Object.values(writers));
    this.#moves = { queues: this.#queues, notices: this.#notices, writer: writers.moves, now };
    this.#sends = new Sends({ connections, queues: this.#queues, notices: this.#notices, writer: writers.sends, now, waiting });
    const newHold = (): number => randomInt(1, HOLD_MAX);
    this.#receives = new Receives({ connections, moves: this.#moves, holder, now, newHold }, this.#queues);
    this.#settles = new Settles({ connections, moves: this.#moves, waiting });
    this.#inspection = new Inspection({ connections, now });
    this.#recovery = new Recovery({ connections, notices: this.#notices, holder, now, monotonic, log });
    this.#removal = new Removal({ connections, moves: this.#moves });
    this.#streamRows = new StreamRows(connections);
    const streams = { connections, rows: this.#streamRows, notices: this.#notices, now };
    this.#streams = new Streams({ ...streams, waiting });
    this.#consumers = new Consumers({ ...streams, holder, newHold });
  }

  send(batches: port.SendBatch[]): Promise<port.SendResult[][]> {
    return this.#sends.send(batches);
  }

  async receive(queue: port.QueueSpec, options: port.ReceiveOptions): Promise<port.ReceiveAnswer> {
    await this.#recovery.clockIsRight();
    return await this.#receives.receive(queue, options);
  }

  settle(queue: port.QueueSpec, settlements: port.Settlement[]): Promise<boolean[]> {
    return this.#settles.settle(queue, settlements);
  }

  recover(): Promise<void> {
    return this.#recovery.recover();
  }

  onReady(listener: (key: string) => void): void {
    this.#notices.listen(listener);
  }

  async due(): Promise<{ key: string; at: number }[]> {
    await this.#recovery.clockIsRight();
    return await this.#inspection.due();
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

  purge(key: string, options: { id?: string } = {}): Promise<number> {
    return this.#removal.purge(key, options);
  }

  async redrive(key: string, options: RedriveOptions): Promise<number> {
    return await redrive(this.#connections, this.#moves, key, options);
  }

  async drop(key: string): Promise<void> {
    this.#streamRows.forget(key);
    await this.#removal.drop(key);
  }

  append(stream: port.StreamSpec, records: port.NewRecord[]): Promise<{ partition: number; position: number }[]> {
    return this.#streams.append(stream, records);
  }

  read(key: string, partition: number, options: { after: number; max: number; bytesMax: number }): Promise<port.StreamRecord[]> {
    return this.#streams.read(key, partition, options);
  }

  positionAt(key: string, partition: number, unixMs: number): Promise<number> {
    return this.#streams.positionAt(key, partition, unixMs);
  }

  partitions(key: string): Promise<port.PartitionStats[]> {
    return this.#streams.partitions(key);
  }

  advance(key: string, partition: number, unixMs: number): Promise<number> {
    return this.#streams.advance(key, partition, unixMs);
  }

  async hold(
    stream: port.StreamSpec,
    consumer: string,
    options: { max: number; leaseMs: number; from: 'oldest' | 'newest' },
  ): Promise<port.PartitionHold[]> {
    await this.#recovery.clockIsRight();
    return await this.#consumers.hold(stream, consumer, options);
  }

  commit(
    key: string,
    consumer: string,
    hold: port.PartitionHold,
    to: { position: number; state: string | null; leaseMs: number },
  ): Promise<boolean> {
    return this.#consumers.commit(key, consumer, hold, to);
  }

  release(key: string, consumer: string): Promise<void> {
    return this.#consumers.release(key, consumer);
  }

  seek(key: string, consumer: string, partition: number, position: number): Promise<void> {
    return this.#consumers.seek(key, consumer, partition, position);
  }

  consumers(key: string): Promise<{ consumer: string; partition: number; position: number; heldUntil: number | null }[]> {
    return this.#consumers.list(key);
  }

  async upkeep(): Promise<void> {
    await this.#recovery.clockIsRight();
    await this.#removal.removeLeavings();
    await keepQueues(this.#connections, this.#moves);
    await keepStreams(this.#connections, this.#now);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#notices[Symbol.asyncDispose]();
    await Promise.all([this.#sends.idle(), this.#receives.idle(), this.#settles.idle(), this.#streams.idle()]);
    await this.#connections[Symbol.asyncDispose]();
  }
}

/** Of what waits for its batch: callers wait, but neither without end nor without number. */
function waitingBounds(monotonic: () => number): WaitingBounds {
  return {
    batchesMax: WAITING_BATCHES_MAX,
    msMax: WAIT_MS_MAX,
    monotonic,
    refusal: (why) => {
      const what = why === 'many' ? 'more waits to be stored than may' : `it could not be stored within ${WAIT_MS_MAX} ms`;
      return new VirgaError('unavailable', `the database is away or too slow: ${what}; nothing of the call was stored`, { retryAfterS: 1 });
    },
  };
}
