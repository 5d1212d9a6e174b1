// The event that a function gets when a schedule is due. Invariant: its id, and so the message's, is the same however often the time is
// fired: it is made of the schedule, the time and the function. Callers: scheduler.ts, by-hand.ts.
import { createHash } from 'node:crypto';
import { stableId } from '../../lib/ids.ts';
import { EventType } from '../../protocol/events.ts';
import type { CloudEvent, ScheduleDue } from '../../protocol/events.ts';
import type { ScheduleRules } from '../../protocol/sources/schedules.ts';
import type { NewMessage, SendBatch } from '../bus.ts';
import type { Topology } from '../topology.ts';

export interface DueTime {
  project: string;
  schedule: string;
  rules: ScheduleRules;
  dueAt: number;
  nextAt: number | undefined;
  previousAt: number | undefined;
  /** Tells what was asked for by hand from the schedule's own times. */
  byHand?: string;
}

export type ScheduledTriggers = NonNullable<ReturnType<Topology['scheduled']['get']>>;

/** One message for each trigger of the schedule. */
export function batchesOf(time: DueTime, triggers: ScheduledTriggers): SendBatch[] {
  return triggers.map(({ queue, function: fn, trigger }) => ({ queue, messages: [messageOf(time, fn, trigger.input)] }));
}

/** In one send each queue stands once. */
export function mergedByQueue(batches: SendBatch[]): SendBatch[] {
  const merged = new Map<string, SendBatch>();
  for (const { queue, messages } of batches) {
    const known = merged.get(queue.key);
    if (known === undefined) merged.set(queue.key, { queue, messages: [...messages] });
    else known.messages.push(...messages);
  }
  return [...merged.values()];
}

function messageOf({ project, schedule, rules, dueAt, nextAt, previousAt, byHand }: DueTime, fn: string, input: unknown): NewMessage {
  const deduplicationId = byHand === undefined ? `${schedule}@${dueAt}` : `${schedule}@${byHand}`;
  const id = stableId('evt', dueAt, createHash('sha256').update(`${project}\n${fn}\n${deduplicationId}`).digest());
  const event: CloudEvent<ScheduleDue> = {
    specversion: '1.0',
    id,
    source: `/projects/${project}/schedules/${schedule}`,
    type: EventType.schedule,
    time: new Date(dueAt).toISOString(),
    subject: schedule,
    datacontenttype: 'application/json',
    data: {
      schedule,
      cron: rules.cron ?? '',
      timezone: rules.timezone ?? 'UTC',
      ...(input === undefined ? {} : { input }),
      dueAt,
      ...(nextAt === undefined ? {} : { nextAt }),
      ...(previousAt === undefined ? {} : { previousAt }),
    },
  };
  return { id, body: JSON.stringify(event), attributes: {}, deduplicationId };
}
