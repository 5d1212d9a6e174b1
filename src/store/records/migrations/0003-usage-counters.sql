-- What principals have used of their usage plans, by day or month (UTC). Edges add to it: used = used + what they counted
-- since their last write. No foreign key: a project that goes while an edge writes must not fail the others' increments.

create table usage_counters (
  project text not null,
  -- e.g. 'key:k_4f2a', 'jwt:alice', 'ip:203.0.113.7'.
  subject text collate "C" not null,
  -- '2026-11-21' or '2026-11'.
  period text collate "C" not null,
  plan text not null,
  used bigint not null,
  updated_at timestamptz not null default now(),
  primary key (project, subject, period)
);
create index usage_counters_by_age on usage_counters (updated_at);
