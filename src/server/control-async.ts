// Asynchronous invocations in the control role: what its API takes and reads, and the sweep of those that nobody gets to.
// Invariant: a round of the sweep is over when close() resolves. Made by control.ts.
import type { Limits } from '../config/config.ts';
import { AsyncAcceptor } from '../events/async/accept.ts';
import { Destinations } from '../events/async/destinations.ts';
import { AsyncRecords } from '../events/async/records.ts';
import { sweepAsync } from '../events/async/sweep.ts';
import type { Bus } from '../events/bus.ts';
import type { Publisher } from '../events/publish.ts';
import { EventRecorder } from '../events/replay/record-events.ts';
import { RecordingBuffer, RecordingSweep } from '../events/replay/recordings.ts';
import type { Topology } from '../events/topology.ts';
import type { Sql } from '../store/records/records.ts';
import type { PlatformLog } from './platform-log.ts';

interface Parts {
  sql: Sql;
  bus: Bus;
  limits: Pick<Limits, 'asyncRequestBytesMax' | 'recordingBufferBytes' | 'projectRecordingBytesMax'>;
  topologyOf: (project: string) => Topology | undefined | Promise<Topology | undefined>;
  log: PlatformLog;
}

const SWEEP_MS = 10_000;
const SWEPT_AT_ONCE = 5_000;
/** Rounds: a minute. */
const SIZED_EVERY = 6;

export class ControlAsync {
  readonly acceptor: AsyncAcceptor;
  readonly records: AsyncRecords;
  readonly recorder: EventRecorder;
  readonly #recordings: RecordingBuffer;
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    const { sql, bus, log } = parts;
    const { asyncRequestBytesMax: requestBytesMax, recordingBufferBytes: bytesMax } = parts.limits;
    this.#recordings = new RecordingBuffer({ sql, bytesMax, log });
    this.recorder = new EventRecorder({ buffer: this.#recordings, now: Date.now });
    this.#parts = parts;
    this.records = new AsyncRecords(sql);
    this.acceptor = new AsyncAcceptor({ bus, records: this.records, requestBytesMax, now: Date.now });
  }

  startSweeping(publisher: Publisher): void {
    const { bus, log, topologyOf, sql } = this.#parts;
    const { projectRecordingBytesMax: bytesMax } = this.#parts.limits;
    const { records, acceptor } = this;
    const rulesOf = async (project: string, fn: string) => (await topologyOf(project))?.async.get(fn);
    const destinations = new Destinations({ publisher, acceptor, rulesOf, log });
    const sweep = new RecordingSweep({ sql, bytesMax, atOnce: SWEPT_AT_ONCE });
    let rounds = 0;
    const run = (): void => {
      this.#round = sweepAsync({ records, bus, destinations, rulesOf, now: Date.now }, this.#stop.signal)
        .then(async ({ expired, removed }) => {
          const recordings = await sweep.run(Date.now());
          // Summing up what there is takes a walk over all of it.
          const answers = rounds++ % SIZED_EVERY === 0 ? await records.removeAnswers({ bytesMax, limit: SWEPT_AT_ONCE }) : 0;
          const swept = expired + removed + recordings + answers;
          if (swept > 0) log('info', 'asynchronous invocations and recordings were swept', { expired, removed, recordings, answers });
        })
        .catch((error: unknown) =>
          log('warn', 'the sweep of asynchronous invocations and recordings failed and is tried again', { reason: String(error) }),
        )
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#timer = setTimeout(run, SWEEP_MS);
        });
    };
    this.#timer = setTimeout(run, SWEEP_MS);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
    await this.records.idle();
    await this.#recordings.close();
  }
}
