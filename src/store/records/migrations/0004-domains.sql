-- Names of hosts that projects are served at. A row is what a project has said of a name, and whether it was proven.

create table domains (
  -- e.g. `shop.example.com`, `*.shop.example.com`.
  name text primary key,
  project text not null references projects (name) on delete cascade,
  -- What a TXT record has to say.
  token text not null,
  -- `dns`: the record was seen; `trusted`: this node asks for no proof of such names; null: not proven, not served.
  proof text check (proof in ('dns', 'trusted')),
  proven_at timestamptz,
  -- False: the project does not name it any more. Whoever names it next gets it; if that is the same project, with its proof.
  claimed boolean not null default true
);
create index domains_by_project on domains (project);
