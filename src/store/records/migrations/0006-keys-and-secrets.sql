-- API keys of projects, and the secrets that their authenticators name.

create table api_keys (
  -- What the key begins with: vk_<id>_…
  id text primary key,
  project text not null references projects (name) on delete cascade,
  name text not null,
  -- sha256 of the whole key: it is random and long, so a slow hash would add nothing.
  hash bytea not null,
  -- The one before the last rotation, and until when it is accepted.
  previous_hash bytea,
  previous_until timestamptz,
  scopes text[] not null,
  plan text,
  -- e.g. 'GET /notes/{id}'; null: all routes.
  routes text[],
  created_at timestamptz not null default now(),
  created_by text not null,
  rotated_at timestamptz,
  expires_at timestamptz,
  revoked_at timestamptz,
  -- Written once a minute at most.
  last_used_at timestamptz
);
create index api_keys_by_project on api_keys (project, id);

create table secrets (
  project text not null references projects (name) on delete cascade,
  name text not null,
  -- AES-256-GCM under the node's key, for the context `secret:<project>/<name>`: src/store/sealing.ts.
  sealed bytea not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  updated_by text not null,
  primary key (project, name)
);
