// The scheduler of the control role, on connections of its own, so that no busy API makes schedules late. Called by control.ts.
import type { Config } from '../config/config.ts';
import type { PlatformLog } from '../control/context.ts';
import type { Bus } from '../events/bus.ts';
import { ScheduleClock } from '../events/schedules/schedule-clock.ts';
import { Scheduler } from '../events/schedules/scheduler.ts';
import { connectionOf } from '../profiles/embedded.ts';
import { PostgresRecords } from '../store/records/postgres.ts';

const CONNECTIONS_MAX = 2;

export function startSchedules(config: Config, { bus, log }: { bus: Bus; log: PlatformLog }): { close(): Promise<void> } {
  const connection = connectionOf(config);
  const records = new PostgresRecords(connection, { connectionsMax: CONNECTIONS_MAX });
  const { scheduleLateMs: lateMs } = config.limits;
  const scheduler = new Scheduler({ records, bus, lateMs, log, now: Date.now, random: Math.random });
  const clock = new ScheduleClock(scheduler, { connection, log, now: Date.now });
  clock.start();
  return {
    close: async () => {
      await clock.close();
      await records[Symbol.asyncDispose]();
    },
  };
}
