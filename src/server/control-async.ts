// Asynchronous invocations in the control role: what its API takes and reads, and the sweep of those that nobody gets to.
// Invariant: a round of the sweep is over when close() resolves. Made by control.ts.
import { AsyncAcceptor } from '../events/async/accept.ts';
import { Destinations } from '../events/async/destinations.ts';
import { AsyncRecords } from '../events/async/records.ts';
import { sweepAsync } from '../events/async/sweep.ts';
import type { Bus } from '../events/bus.ts';
import type { Publisher } from '../events/publish.ts';
import type { Topology } from '../events/topology.ts';
import type { Sql } from '../store/records/records.ts';
import type { PlatformLog } from './platform-log.ts';

interface Parts {
  sql: Sql;
  bus: Bus;
  requestBytesMax: number;
  topologyOf: (project: string) => Topology | undefined | Promise<Topology | undefined>;
  log: PlatformLog;
}

const SWEEP_MS = 10_000;

export class ControlAsync {
  readonly acceptor: AsyncAcceptor;
  readonly records: AsyncRecords;
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    const { sql, bus, requestBytesMax } = parts;
    this.#parts = parts;
    this.records = new AsyncRecords(sql);
    this.acceptor = new AsyncAcceptor({ bus, records: this.records, requestBytesMax, now: Date.now });
  }

  startSweeping(publisher: Publisher): void {
    const { bus, log, topologyOf } = this.#parts;
    const { records, acceptor } = this;
    const rulesOf = async (project: string, fn: string) => (await topologyOf(project))?.async.get(fn);
    const destinations = new Destinations({ publisher, acceptor, rulesOf, log });
    const run = (): void => {
      this.#round = sweepAsync({ records, bus, destinations, rulesOf, now: Date.now }, this.#stop.signal)
        .then(({ expired, removed }) => {
          if (expired + removed > 0) log('info', 'asynchronous invocations were swept', { expired, removed });
        })
        .catch((error: unknown) =>
          log('warn', 'the sweep of asynchronous invocations failed and is tried again', { reason: String(error) }),
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
  }
}
