// The events that functions are called with: CloudEvents whose `data` is what their source says (docs/reference/events.md). Types alone.
import type { CloudEvent, EventType } from '../../src/protocol/events.ts';

/** e.g. `handler({ data }: VirgaEvent<QueueBatch>): QueueOutcome`. */
export interface VirgaEvent<Data> extends Omit<CloudEvent<Data>, 'data'> {
  /** When it happened, RFC 3339. */
  time: string;
  data: Data;
}

/** The types of Virga's own sources, e.g. `virga.queue.batch`. */
export type VirgaEventType = (typeof EventType)[keyof typeof EventType];

export type {
  ObjectChange,
  QueueBatch,
  QueueMessage,
  QueueOutcome,
  ScheduleDue,
  StreamBatch,
  StreamItem,
  StreamOutcome,
  TableChange,
  TableChanges,
  TopicMessage,
} from '../../src/protocol/events.ts';
