-- The event bus on PostgreSQL: src/events/postgres/. Times are Unix ms of the clock of whoever wrote them, never of the server, so that
-- one clock decides what is due. docs/decisions/0024-bus-on-postgres.md says why it is cut like this.

create table event_queues (
  id integer generated always as identity primary key,
  -- `<project>/<kind>/<name>`.
  key text collate "C" not null unique,
  fifo boolean not null,
  retention_ms bigint not null,
  deduplication_ms bigint not null,
  -- Key of the queue of its dead letters.
  dead text
);

-- What the depth and the statistics are summed from: one row for each queue and writer, so that writers do not wait for each other.
create table event_counters (
  queue integer not null references event_queues (id) on delete cascade,
  writer text collate "C" not null,
  messages bigint not null default 0,
  bytes bigint not null default 0,
  sent bigint not null default 0,
  done bigint not null default 0,
  retried bigint not null default 0,
  dead bigint not null default 0,
  primary key (queue, writer)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- One for all queues, so that what moves between them goes to the end.
create sequence event_sequence;

create table event_messages (
  queue integer not null,
  -- 0: waits, 1: held, 2: belongs to a group of a fifo queue, whose row in event_groups says so.
  state smallint not null,
  bytes integer not null,
  seq bigint not null,
  due_at bigint not null,
  -- What was asked for: due_at less this is when it was written.
  wait_ms bigint not null,
  sent_at bigint not null,
  first_received_at bigint,
  -- Names one receiving; null: not held.
  hold bigint,
  attempt integer not null default 0,
  holder text,
  id text collate "C" not null,
  group_name text collate "C",
  deduplication_id text,
  -- JSON.
  attributes text not null,
  last_error text,
  died_at bigint,
  died_of text,
  died_in text,
  body text not null,
  primary key (queue, seq)
) with (
  fillfactor = 85,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 20000
);
create index event_messages_ready on event_messages (queue, due_at, seq) where state = 0;
create index event_messages_held on event_messages (queue, due_at) where state = 1;
create index event_messages_grouped on event_messages (queue, group_name, seq) where state = 2;
create index event_messages_died on event_messages (queue, id) where died_at is not null;

-- A group that has messages. Received as a whole: while it is held, or waits for its first message to be due, nobody gets another.
create table event_groups (
  queue integer not null,
  name text collate "C" not null,
  -- When it may be received; of a held one: until when it is held.
  due_at bigint not null,
  wait_ms bigint not null,
  hold bigint,
  holder text,
  primary key (queue, name)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index event_groups_ready on event_groups (queue, due_at, name) where hold is null;
create index event_groups_held on event_groups (queue, due_at) where hold is not null;

create table event_deduplication (
  queue integer not null,
  deduplication_id text collate "C" not null,
  sent_at bigint not null,
  -- Of the message.
  id text not null,
  primary key (queue, deduplication_id)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index event_deduplication_by_age on event_deduplication (queue, sent_at);

-- What is left of queues and streams that were taken away, until it is removed in steps.
create table event_leavings (
  kind text not null check (kind in ('queue', 'stream')),
  id integer not null,
  primary key (kind, id)
);

create table event_streams (
  id integer generated always as identity primary key,
  key text collate "C" not null unique,
  partitions integer not null,
  retention_ms bigint not null,
  bytes_max bigint not null
);

create table event_partitions (
  stream integer not null references event_streams (id) on delete cascade,
  partition integer not null,
  -- The first position that is kept, and the last that was given.
  oldest bigint not null default 1,
  newest bigint not null default 0,
  bytes bigint not null default 0,
  newest_at bigint,
  primary key (stream, partition)
) with (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table event_records (
  stream integer not null,
  partition integer not null,
  position bigint not null,
  at bigint not null,
  bytes integer not null,
  id text not null,
  partition_key text not null,
  attributes text not null,
  data text not null,
  primary key (stream, partition, position)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

create table event_consumers (
  stream integer not null references event_streams (id) on delete cascade,
  consumer text collate "C" not null,
  partition integer not null,
  -- The last that was handled.
  position bigint not null,
  state text,
  hold bigint,
  holder text,
  held_until bigint,
  lease_ms bigint,
  primary key (stream, consumer, partition)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Ends a statement, and what it did, when a queue that it counted on was taken away meanwhile.
create function event_gone() returns integer language plpgsql as $$
begin
  raise exception 'a queue or stream was taken away meanwhile' using errcode = 'VG001';
end
$$;
