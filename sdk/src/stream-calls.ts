// The part of the client for streams: `virga.streams`. Used by control.ts.
import type { AppendAnswer } from '../../src/protocol/control-api.ts';
import type { SeekAnswer, SeekRequest, StreamFacts, StreamRecordItem } from '../../src/protocol/streams-api.ts';
import { pathOf } from './calls.ts';
import type { CallOptions, Calls, Listing } from './calls.ts';
import { recordsOf } from './follow-records.ts';

/** A record for a stream. Data that is no text is stored as JSON. */
export interface RecordToAppend {
  data: unknown;
  /** Records of one key are read in the order of their appending. Without one it is by itself. */
  key?: string | undefined;
  attributes?: Record<string, string> | undefined;
  id?: string | undefined;
}

export interface RecordsFilter {
  partition?: number | undefined;
  key?: string | undefined;
  /** `oldest`, `newest`, an ISO 8601 time, how long ago (`2h`), or with `partition` a position. Default `oldest`, of follow() `newest`. */
  from?: string | undefined;
  /** Instead of `from`: so many records before the end, of each partition. */
  last?: number | undefined;
}

export class StreamCalls {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** By name; those that virga.yaml does not name any more too, while their records are kept. */
  list(project: string, options: CallOptions = {}): Listing<StreamFacts> {
    return this.#calls.list(pathOf(project, 'streams'), {}, options);
  }

  read(project: string, stream: string, options: CallOptions = {}): Promise<StreamFacts> {
    return this.#calls.get(pathOf(project, 'streams', stream), options);
  }

  /** They are stored when it resolves, all or none. */
  append(project: string, stream: string, records: readonly RecordToAppend[], options: CallOptions = {}): Promise<AppendAnswer> {
    return this.#calls.post(pathOf(project, 'streams', stream, 'records'), { records }, options);
  }

  /** Those that are there now. Looks without moving anybody. */
  records(project: string, stream: string, filter: RecordsFilter & CallOptions = {}): AsyncGenerator<StreamRecordItem, void, undefined> {
    const { signal, ...query } = filter;
    return recordsOf(this.#calls.transport, { path: pathOf(project, 'streams', stream, 'records'), query, signal, follow: undefined });
  }

  /** The same, and on as they come, until the signal aborts (the iteration then simply ends). */
  follow(
    project: string,
    stream: string,
    filter: RecordsFilter &
      CallOptions & { /** How long a lost connection is tried again, ms. Default 30,000. */ reconnectMs?: number | undefined } = {},
  ): AsyncGenerator<StreamRecordItem, void, undefined> {
    const { signal, reconnectMs = 30_000, ...asked } = filter;
    const query = asked.from === undefined && asked.last === undefined ? { ...asked, from: 'newest' } : asked;
    return recordsOf(this.#calls.transport, {
      path: pathOf(project, 'streams', stream, 'records'),
      query,
      signal,
      follow: { reconnectMs },
    });
  }

  /** Sets where a function goes on reading: it gets records again, or passes over some. Its windows begin afresh. */
  seek(project: string, stream: string, fn: string, request: SeekRequest, options: CallOptions = {}): Promise<SeekAnswer> {
    return this.#calls.post(pathOf(project, 'streams', stream, 'consumers', fn, 'seek'), request, options);
  }
}
