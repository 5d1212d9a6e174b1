// What the control API says of schedules, as types: the server (src/control, whose schemas are checked against it) and the client
// (sdk/src/control.ts) share them. Times are ISO 8601 in UTC.
import type { ScheduleRules } from './sources/schedules.ts';

export interface ScheduleItem {
  name: string;
  /** As in virga.yaml. */
  rules: ScheduleRules;
  /** Who is called. */
  functions: string[];
  paused: boolean;
  /** When it is due next; null: it is paused, or not due any more. */
  nextAt: string | null;
  /** The last of its times that was fired, and when that was. */
  lastDueAt: string | null;
  lastFiredAt: string | null;
  /** Times that passed while the node was off or the schedule was paused, and were dropped. Of one such gap a hundred are counted. */
  missed: number;
}

export interface ScheduleTimesAnswer {
  name: string;
  times: string[];
}

export interface ScheduleRun {
  name: string;
  dueAt: string;
  deliveries: { function: string; id: string }[];
}
