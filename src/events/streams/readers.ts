// All stream readers of this edge: one for each trigger of a stream of each project. Invariants: it follows what is deployed; what a trigger
// has read stays its own when it is deployed again, and one that comes back begins when its last call has ended. Made by server/edge.ts.
import type { Topology } from '../topology.ts';
import { StreamReader } from './stream-reader.ts';
import type { ReaderNeeds } from './stream-reader.ts';

/** Whoever deploys waits no longer for it. */
const PLACED_WITHIN_MS = 2_000;
/** A call of a trigger that was removed has so long to end. */
const REMOVED_DRAIN_MS = 30_000;

export class StreamReaders {
  readonly #needs: ReaderNeeds;
  readonly #readers = new Map<string, StreamReader>();
  /** By name, those of triggers that were removed and whose calls have not ended. */
  readonly #closing = new Map<string, Promise<void>>();
  #started = false;
  readonly #byStream = new Map<string, Set<StreamReader>>();

  constructor(needs: ReaderNeeds) {
    this.#needs = needs;
    needs.bus.onReady((key) => {
      if (!this.#started) return;
      for (const reader of this.#byStream.get(key) ?? []) void reader.look();
    });
  }

  /** Begins to read. What another process of this edge held is free by now (bus.recover()). */
  async start(): Promise<void> {
    this.#started = true;
    await Promise.all([...this.#readers.values()].map((reader) => reader.look()));
  }

  /** Resolves when new triggers have their places in their streams, or when that failed: it is tried on then. */
  async update(topologies: Iterable<Topology>): Promise<void> {
    const gone = new Map(this.#readers);
    const changed: StreamReader[] = [];
    for (const { project, streams } of topologies)
      for (const { spec, triggers } of streams.values())
        for (const trigger of triggers) {
          const name = `${spec.key} ${trigger.function}`;
          const known = gone.get(name);
          gone.delete(name);
          if (known?.update({ spec, trigger }) === false) continue;
          changed.push(known ?? this.#add(name, new StreamReader(this.#needs, { project, spec, trigger, after: this.#closing.get(name) })));
        }
    for (const [name, reader] of gone) this.#remove(name, reader);
    if (this.#started) await this.#within(PLACED_WITHIN_MS, Promise.all(changed.map((reader) => reader.look())));
  }

  async #within(ms: number, work: Promise<unknown>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#needs.clock.after(ms, late.resolve);
    await Promise.race([work, late.promise]);
    cancel();
  }

  async close(drainMs: number): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.close(drainMs)));
  }

  #add(name: string, reader: StreamReader): StreamReader {
    this.#readers.set(name, reader);
    const ofStream = this.#byStream.get(reader.key) ?? new Set();
    this.#byStream.set(reader.key, ofStream.add(reader));
    return reader;
  }

  #remove(name: string, reader: StreamReader): void {
    this.#readers.delete(name);
    this.#byStream.get(reader.key)?.delete(reader);
    if (this.#byStream.get(reader.key)?.size === 0) this.#byStream.delete(reader.key);
    const closing = reader.close(REMOVED_DRAIN_MS).finally(() => {
      if (this.#closing.get(name) === closing) this.#closing.delete(name);
    });
    this.#closing.set(name, closing);
  }
}
