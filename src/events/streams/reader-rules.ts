// What a trigger of a stream says, as its reader goes by it. Pure. Used by stream-reader.ts and whatever reads one partition.
import { durationMs } from '../../lib/units.ts';
import type { QueueSpec, StreamRecord } from '../bus.ts';
import { passes, recordDocument } from '../filters.ts';
import type { Retry, StreamTrigger } from '../topology.ts';
import { windowRulesOf } from './windows.ts';
import type { WindowRules } from './windows.ts';

export interface ReaderRules {
  batch: number;
  waitMs: number;
  windows: WindowRules | undefined;
  fits: (record: StreamRecord) => boolean;
  /** Whether `fits` may say no. */
  filtered: boolean;
  retry: Retry;
  /** A record that failed at its last attempt is tried on for ever. */
  blocks: boolean;
  from: 'oldest' | 'newest';
  /** Whose dead letters its failed records become. */
  queue: QueueSpec;
  /** Where they go. */
  dead: QueueSpec;
}

const BATCH = 100;

export function readerRulesOf({ trigger, retry, queue, dead }: StreamTrigger): ReaderRules {
  return {
    batch: trigger.batch ?? BATCH,
    waitMs: durationMs(trigger.wait ?? '0s')!,
    windows: trigger.window === undefined ? undefined : windowRulesOf(trigger.window),
    fits: (record) => trigger.filter === undefined || passes(trigger.filter, recordDocument(record)),
    filtered: trigger.filter !== undefined,
    retry,
    blocks: trigger.onFailure === 'block',
    from: trigger.from ?? 'newest',
    queue,
    dead,
  };
}
