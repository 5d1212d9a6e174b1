-- Asynchronous invocations: what became of each, for as long as its function keeps them (src/events/async/). What is to be run is the
-- message on the bus, which is sent before the row is written: a row is never without its message. Times are Unix ms of the clock of
-- whoever wrote them. No foreign key: a project that goes while invocations are written must not fail those of others.

create table async_invocations (
  -- `inv_…`, unguessable: over HTTP it is what gives the right to read the answer.
  id text collate "C" primary key,
  project text not null,
  function text not null,
  -- null: whatever is live when it runs.
  version integer,
  -- Who asked: control, http, destination.
  source text not null,
  state text not null check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Attempts that ended, or run; and those that a crash of the node cut off, which do not count.
  attempts integer not null default 0,
  interrupted integer not null default 0,
  created_at bigint not null,
  started_at bigint,
  ended_at bigint,
  -- When it is to have succeeded; how long it is kept after its end, and when it is forgotten.
  deadline_at bigint not null,
  keep_ms bigint not null,
  expires_at bigint not null,
  -- `<kind> <id>` of who asked over HTTP; null: nobody was asked for.
  principal text,
  idempotency_scope text collate "C",
  idempotency_key text collate "C",
  -- sha256 of what was asked.
  fingerprint bytea,
  -- e.g. `POST /orders`; null: an event.
  request_line text,
  -- The record of the last attempt, in `invocations`.
  invocation text,
  -- What was asked, as in the message, without what must not be kept; once it has ended.
  request text,
  -- JSON: status, headers, contentType, truncated.
  answer text,
  answer_body bytea,
  error_code text,
  error text
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create unique index async_invocations_keys on async_invocations (project, function, idempotency_scope, idempotency_key)
  where idempotency_key is not null;
create index async_invocations_by_function on async_invocations (project, function, id);
create index async_invocations_by_project on async_invocations (project, id);
create index async_invocations_by_expiry on async_invocations (expires_at);
create index async_invocations_due on async_invocations (deadline_at) where state in ('queued', 'running');

-- What passed where `record` says so, redacted before it came here, for `virga replay` (src/events/replay/).
create table recordings (
  project text not null,
  -- Of the invocation, the message or the event.
  id text collate "C" not null,
  -- `queue/<name>`, `topic/<name>`, `route<path>`.
  source text collate "C" not null,
  at bigint not null,
  expires_at bigint not null,
  -- Requests: the function and its version that answered.
  function text,
  version integer,
  -- e.g. `POST /orders`; of an event its subject.
  summary text,
  -- JSON: a request as in async_invocations, or a message: body, attributes, subject, sentAt.
  content text not null,
  -- JSON: status, headers, contentType, truncated.
  answer text,
  answer_body bytea,
  -- By function: what became of the delivery.
  outcomes jsonb not null,
  -- JSON: what was left out, e.g. `header.cookie`.
  redacted text not null,
  bytes integer not null,
  primary key (project, id, source)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index recordings_by_time on recordings (project, at, id);
create index recordings_by_expiry on recordings (expires_at);
