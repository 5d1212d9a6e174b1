-- Runs of workflows: what was started, each step of it, and the events that were sent to it. The rows are the truth; a wake-up on the bus
-- only says that it is time to look.

create table workflow_runs (
  run bigint generated always as identity primary key,
  project text not null references projects (name) on delete cascade,
  function text not null,
  -- Given by whoever started it, or `run_…`.
  id text collate "C" not null,
  -- Of the function, for its whole life.
  version integer not null,
  -- pending: was never awake. running: an instance has it, or had it when it died. sleeping: until wake_at. waiting: for an event, until
  -- wake_at at most.
  state text not null default 'pending' check (state in ('pending', 'running', 'sleeping', 'waiting', 'succeeded', 'failed', 'cancelled')),
  -- JSON, as it was sent.
  input text not null,
  result text,
  error text,
  -- What started it: `api`, `http`, `queue`…
  trigger text not null,
  -- Counted up with each wake-up: whoever writes with an earlier one writes nothing.
  token integer not null default 0,
  -- The edge that has it awake, and until when it can have it at most.
  holder text,
  held_until timestamptz,
  wake_at timestamptz,
  -- Ends of its instance, one after the other, without a step in between that was finished.
  crashes integer not null default 0,
  created_at timestamptz not null,
  started_at timestamptz,
  updated_at timestamptz not null,
  ended_at timestamptz,
  -- Ended runs go then.
  keep_until timestamptz,
  unique (project, function, id)
) with (fillfactor = 70);
create index workflow_runs_alive on workflow_runs (project, function) where ended_at is null;
create index workflow_runs_ended on workflow_runs (keep_until) where ended_at is not null;
-- What a wake-up that got lost is found by.
create index workflow_runs_due on workflow_runs (wake_at) where ended_at is null;

create table workflow_steps (
  run bigint not null references workflow_runs on delete cascade,
  -- In the order of their beginning: 1, 2, 3…
  ordinal integer not null,
  -- Branches of `parallel` that it is in, e.g. `1.0/2.3`; empty: none.
  scope text not null,
  kind text not null check (kind in ('step', 'sleep', 'wait')),
  name text not null,
  -- Of this kind and name in its scope: 1, 2, 3…
  occurrence integer not null,
  state text not null check (state in ('running', 'retrying', 'sleeping', 'waiting', 'done', 'failed', 'late')),
  attempts integer not null default 0,
  result text,
  error text,
  -- Of a wait: what the data of the event has to fit.
  match text,
  -- In the order of their ends, which a replay keeps to.
  ended_place integer,
  wake_at timestamptz,
  started_at timestamptz not null,
  ended_at timestamptz,
  primary key (run, ordinal)
);

create table workflow_events (
  event bigint generated always as identity primary key,
  run bigint not null references workflow_runs on delete cascade,
  -- Of the sender: the same is taken once.
  id text not null,
  name text not null,
  -- JSON, as it was sent.
  data text not null,
  at timestamptz not null,
  -- The wait that has it.
  ordinal integer,
  unique (run, id)
);
create index workflow_events_kept on workflow_events (run) where ordinal is null;
