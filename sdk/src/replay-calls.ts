// The part of the client for recordings and replays: `virga.recordings`, and replay(). Used by control.ts.
import type { RecordingDetail, RecordingItem, ReplayAnswer, ReplayRequest } from '../../src/protocol/replay-api.ts';
import { pathOf } from './calls.ts';
import type { CallOptions, Calls, Listing } from './calls.ts';

export interface RecordingFilter {
  /** e.g. `queue/orders`, `topic/prices`, `route/notes/{id}`. */
  source?: string | undefined;
  /** An ISO 8601 time, or how long ago: `90s`, `10m`, `2h`, `7d`. */
  since?: string | undefined;
}

export class RecordingCalls {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Newest first. */
  list(project: string, filter: RecordingFilter = {}, options: CallOptions = {}): Listing<RecordingItem> {
    return this.#calls.list(pathOf(project, 'recordings'), { source: filter.source, since: filter.since }, options);
  }

  /** One for each place that it passed. */
  async read(project: string, id: string, options: CallOptions = {}): Promise<RecordingDetail[]> {
    return (await this.#calls.get<{ items: RecordingDetail[] }>(pathOf(project, 'recordings', id), options)).items;
  }

  /** Runs again what has this id: a recording, a dead letter, an asynchronous invocation. A real call, with all that the function does. */
  replay(project: string, request: ReplayRequest, options: CallOptions = {}): Promise<ReplayAnswer> {
    return this.#calls.transport.json({
      method: 'POST',
      path: pathOf(project, 'replay'),
      json: request,
      signal: options.signal,
      timeoutMs: null,
    });
  }
}
