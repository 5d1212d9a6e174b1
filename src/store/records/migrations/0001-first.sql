-- Projects, deployments, versions, artifacts, tokens; invocations and their log lines.

create table projects (
  name text primary key,
  created_at timestamptz not null default now(),
  -- The deployment whose state is served; null before the first deploy.
  current_deployment bigint
);

create table artifacts (
  sha256 text primary key,
  bytes bigint not null,
  created_at timestamptz not null default now()
);

create table versions (
  project text not null references projects (name) on delete cascade,
  function text not null,
  number integer not null,
  artifact text not null references artifacts (sha256),
  -- VersionSettings of src/protocol/settings.ts.
  settings jsonb not null,
  -- sha256 over artifact and canonical settings: an equal one makes no new version.
  fingerprint text not null,
  created_at timestamptz not null default now(),
  primary key (project, function, number)
);

create table deployments (
  id bigint generated always as identity primary key,
  project text not null references projects (name) on delete cascade,
  kind text not null check (kind in ('deploy', 'rollback')),
  -- ProjectState of src/protocol/settings.ts.
  state jsonb not null,
  created_at timestamptz not null default now(),
  created_by text not null
);
create index deployments_by_project on deployments (project, id desc);
alter table projects add foreign key (current_deployment) references deployments (id);

create table tokens (
  id text primary key,
  name text not null,
  -- sha256 of the secret: it is random and long, so a slow hash would add nothing.
  hash bytea not null unique,
  created_at timestamptz not null default now()
);

-- No foreign keys: records outlive what they speak of, and are written on the busiest path.
create table invocations (
  id text collate "C" primary key,
  trace_id text not null,
  project text not null,
  function text not null,
  version integer not null,
  trigger text not null,
  outcome text not null,
  status integer,
  request text,
  error text,
  started_at timestamptz not null,
  queue_ms real not null,
  sandbox_ms real not null,
  load_ms real not null,
  init_ms real not null,
  handler_ms real not null,
  cold boolean not null,
  billed_ms integer not null,
  peak_memory_bytes bigint not null,
  bytes_in bigint not null,
  bytes_out bigint not null,
  instance text not null
);
create index invocations_by_function on invocations (project, function, id desc);

create table log_lines (
  id text collate "C" primary key,
  at timestamptz not null,
  project text not null,
  function text not null,
  version integer not null,
  invocation text not null,
  instance text not null,
  level text not null,
  text text not null
);
create index log_lines_by_project on log_lines (project, id desc);
create index log_lines_by_function on log_lines (project, function, id desc);
create index log_lines_by_invocation on log_lines (invocation) where invocation <> '';
