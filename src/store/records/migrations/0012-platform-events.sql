-- What Virga tells a project of, from the transaction in which it happened until it is on the bus: src/events/platform-events.ts.
create table platform_events (
  -- The order in which they happened within a project, whose lock is held.
  sequence bigint generated always as identity primary key,
  project text not null references projects (name) on delete cascade,
  -- Unix ms.
  at bigint not null,
  -- A CloudEvent, JSON.
  event text not null
);
create index platform_events_by_project on platform_events (project, sequence);
