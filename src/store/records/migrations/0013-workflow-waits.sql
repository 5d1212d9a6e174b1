-- Runs of workflows that wait for events of their project; and indexes for a million runs: what is due, what is listed, what may go.

-- Of a wait for events of the project: what it is found by (events/workflows/wait-keys.ts).
alter table workflow_steps add column waits_for text collate "C";
create index workflow_steps_waiting on workflow_steps (waits_for, run, ordinal) where state = 'waiting' and waits_for is not null;

-- The wait that an event of the project was found to be for; null: it was sent to the run.
alter table workflow_events add column wait integer;
create unique index workflow_events_wait on workflow_events (run, wait) where wait is not null;

-- Runs that some edge has awake: few, of however many.
create index workflow_runs_held on workflow_runs (held_until) where holder is not null;
-- The newest of a workflow, of each state.
create index workflow_runs_listed on workflow_runs (project, function, state, run);
