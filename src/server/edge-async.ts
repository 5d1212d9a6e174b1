// Asynchronous invocations in the edge: what the gateway takes, and what is delivered. Made by edge.ts, in two steps, since the gateway is
// there before what calls functions for events. Invariant: it has connections of its own, so that neither waits for what else is asked.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Config } from '../config/config.ts';
import { AsyncAcceptor } from '../events/async/accept.ts';
import { AsyncDelivery } from '../events/async/delivery.ts';
import { Destinations } from '../events/async/destinations.ts';
import { AsyncRecords } from '../events/async/records.ts';
import type { Bus } from '../events/bus.ts';
import type { Invoker } from '../events/invoker.ts';
import { Publisher } from '../events/publish.ts';
import { EventRecorder } from '../events/replay/record-events.ts';
import { RecordingBuffer } from '../events/replay/recordings.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import { connectionOf } from '../profiles/embedded.ts';
import type { PlatformLog } from './platform-log.ts';

const CONNECTIONS_MAX = 4;
const STATEMENT_MS = 15_000;

export class EdgeAsync {
  readonly acceptor: AsyncAcceptor;
  readonly records: AsyncRecords;
  readonly recordings: RecordingBuffer;
  readonly recorder: EventRecorder;
  readonly #parts: { config: Config; bus: Bus; model: ReadModel; log: PlatformLog };
  readonly #pool: pg.Pool;

  constructor(parts: { config: Config; bus: Bus; model: ReadModel; log: PlatformLog }) {
    const { config, bus } = parts;
    this.#parts = parts;
    this.#pool = new pg.Pool({ ...connectionOf(config), max: CONNECTIONS_MAX, statement_timeout: STATEMENT_MS });
    this.#pool.on('error', () => {});
    this.records = new AsyncRecords(this.#pool);
    const { asyncRequestBytesMax: requestBytesMax, recordingBufferBytes: bytesMax } = config.limits;
    this.recordings = new RecordingBuffer({ sql: this.#pool, bytesMax, log: parts.log });
    this.recorder = new EventRecorder({ buffer: this.recordings, now: Date.now });
    this.acceptor = new AsyncAcceptor({ bus, records: this.records, requestBytesMax, now: Date.now });
  }

  delivery(invoker: Invoker): AsyncDelivery {
    const { config, bus, model, log } = this.#parts;
    const topologyOf = (project: string) => model.project(project)?.topology;
    const rulesOf = (project: string, fn: string) => topologyOf(project)?.async.get(fn);
    const publisher = new Publisher({ bus, topologyOf, limits: config.limits, now: Date.now, recorder: this.recorder });
    return new AsyncDelivery({
      invoker,
      records: this.records,
      destinations: new Destinations({ publisher, acceptor: this.acceptor, rulesOf, log }),
      rulesOf,
      answerBytesMax: config.limits.asyncAnswerBytesMax,
      log,
      now: Date.now,
      random: Math.random,
      sleep,
    });
  }

  async close(): Promise<void> {
    await this.records.idle();
    await this.recordings.close();
    await this.#pool.end();
  }
}
