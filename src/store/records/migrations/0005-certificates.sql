-- Certificates that Virga gets by ACME (RFC 8555), the account it gets them with, and what it shows to prove that a name is its
-- own. Private keys are sealed (store/sealing.ts). A row of `certificates` is there from the first try on; `chain` and the
-- columns of it stay as they are until the next certificate is there: a failure takes nothing away.

create table acme_accounts (
  directory text primary key,
  url text not null,
  private_key bytea not null,
  created_at timestamptz not null default now()
);

create table certificates (
  name text primary key,
  chain text,
  private_key bytea,
  issuer text,
  not_before timestamptz,
  not_after timestamptz,
  failures integer not null default 0,
  last_error text,
  -- One node at a time gets a certificate for a name; one that dies at it holds it until then.
  claimed_until timestamptz,
  next_attempt_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((chain is null) = (private_key is null) and (chain is null) = (not_after is null))
);

-- `key`: the token of http-01, the name of tls-alpn-01.
create table acme_challenges (
  kind text not null check (kind in ('http-01', 'tls-alpn-01')),
  key text not null,
  key_authorization text not null,
  expires_at timestamptz not null,
  primary key (kind, key)
);
