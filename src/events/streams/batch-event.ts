// The event of one call, and what its answer means. Invariant: the same records of the same window have the same id, so that a handler
// can tell a repetition. Used by partition-run.ts.
import type { StreamRecord } from '../bus.ts';
import { EventType } from '../../protocol/events.ts';
import type { CloudEvent, StreamBatch, StreamItem } from '../../protocol/events.ts';
import type { OpenWindow } from './windows.ts';

export interface BatchOf {
  project: string;
  stream: string;
  partition: number;
  records: readonly StreamRecord[];
  window: OpenWindow | undefined;
  final: boolean;
}

export function batchEvent({ project, stream, partition, records, window, final }: BatchOf, timeMs: number): CloudEvent<StreamBatch> {
  const range = records.length === 0 ? [] : [`${records[0]!.position}-${records.at(-1)!.position}`];
  const ofWindow = window === undefined ? [] : [`w${window.start}-${window.end}`, ...(final ? ['final'] : [])];
  return {
    specversion: '1.0',
    id: ['evt_' + stream, partition, ...range, ...ofWindow].join('.'),
    source: `/projects/${project}/streams/${stream}`,
    type: EventType.stream,
    time: new Date(timeMs).toISOString(),
    subject: stream,
    data: {
      stream,
      partition,
      records: records.map(itemOf),
      ...(window === undefined ? {} : { window: { start: window.start, end: window.end, final } }),
      ...(window?.state === undefined ? {} : { state: window.state }),
    },
  };
}

function itemOf({ id, partitionKey, data, attributes, position, at }: StreamRecord): StreamItem {
  return { id, key: partitionKey, data, attributes, position, at };
}

export type BatchAnswer =
  /** Position of the first that failed; undefined: none. `state` is missing where the answer has none. */
  { failedAt: number | undefined; given: { state: unknown } | undefined } | { problem: string };

export function readAnswer({ contentType, body }: { contentType: string; body: Buffer }, records: readonly StreamRecord[]): BatchAnswer {
  const nothing = { failedAt: undefined, given: undefined };
  if (body.length === 0 || !/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) return nothing;
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString());
  } catch {
    return { problem: 'its answer says that it is JSON, and is not' };
  }
  if (typeof answer !== 'object' || answer === null) return nothing;
  const { failed, state } = answer as { failed?: unknown; state?: unknown };
  const given = 'state' in answer ? { state: state ?? undefined } : undefined;
  if (failed === undefined || failed === null) return { failedAt: undefined, given };
  if (!Array.isArray(failed)) return { problem: `\`failed\` of its answer is no list of ids: ${JSON.stringify(failed).slice(0, 100)}` };
  let failedAt: number | undefined;
  for (const id of failed) {
    // Forms whose records have no ids of their own name them by position.
    const record = records.find((one) => one.id === id) ?? records.find(({ position }) => String(position) === id);
    if (record === undefined)
      return { problem: `\`failed\` of its answer names ${JSON.stringify(id).slice(0, 100)}, which is not in the batch` };
    failedAt = Math.min(failedAt ?? Infinity, record.position);
  }
  return { failedAt, given };
}
