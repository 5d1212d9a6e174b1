-- When schedules are due next: src/events/schedules/. A row for each schedule of a project's current deployment, kept in step with it by
-- the transaction that deploys. Times are Unix ms of the clock of whoever wrote them, as those of the bus are.

create table schedules (
  project text not null references projects (name) on delete cascade,
  name text not null,
  -- ScheduleRules of src/protocol/sources/schedules.ts.
  rules jsonb not null,
  -- Where a rate without a start counts from: when these times were first deployed.
  anchor_at bigint not null,
  -- null: it is not due any more.
  next_due_at bigint,
  -- The same with its jitter.
  fire_at bigint,
  -- The last of its times that was fired, and when.
  last_due_at bigint,
  last_fired_at bigint,
  -- Times that were dropped because nobody was there to fire them.
  missed bigint not null default 0,
  paused boolean not null,
  primary key (project, name),
  check ((next_due_at is null) = (fire_at is null))
) with (fillfactor = 70);
create index schedules_due on schedules (fire_at) where not paused and fire_at is not null;
