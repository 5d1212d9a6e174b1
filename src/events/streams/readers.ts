// All stream readers of this edge: one for each trigger of a stream of each project. Invariant: it follows what is deployed, and what a
// trigger has read stays its own when it is deployed again. Made by server/edge.ts.
import type { Topology } from '../topology.ts';
import { StreamReader } from './stream-reader.ts';
import type { ReaderNeeds } from './stream-reader.ts';

export class StreamReaders {
  readonly #needs: ReaderNeeds;
  readonly #readers = new Map<string, StreamReader>();
  readonly #byStream = new Map<string, Set<StreamReader>>();

  constructor(needs: ReaderNeeds) {
    this.#needs = needs;
    needs.bus.onReady((key) => {
      for (const reader of this.#byStream.get(key) ?? []) void reader.look();
    });
  }

  /** Resolves when new triggers have their places in their streams, or when that failed: it is tried on then. */
  async update(topologies: Iterable<Topology>): Promise<void> {
    const gone = new Map(this.#readers);
    const looks: Promise<void>[] = [];
    for (const { project, streams } of topologies)
      for (const { spec, triggers } of streams.values())
        for (const trigger of triggers) {
          const name = `${spec.key} ${trigger.function}`;
          const known = gone.get(name);
          gone.delete(name);
          known?.update({ spec, trigger });
          const reader = known ?? new StreamReader(this.#needs, { project, spec, trigger });
          if (known === undefined) this.#add(name, reader);
          looks.push(reader.look());
        }
    for (const [name, reader] of gone) void this.#remove(name, reader);
    await Promise.all(looks);
  }

  async close(drainMs: number): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.close(drainMs)));
  }

  #add(name: string, reader: StreamReader): void {
    this.#readers.set(name, reader);
    const ofStream = this.#byStream.get(reader.key) ?? new Set();
    this.#byStream.set(reader.key, ofStream.add(reader));
  }

  async #remove(name: string, reader: StreamReader): Promise<void> {
    this.#readers.delete(name);
    this.#byStream.get(reader.key)?.delete(reader);
    if (this.#byStream.get(reader.key)?.size === 0) this.#byStream.delete(reader.key);
    await reader.close(0);
  }
}
