// Who owns which domain on this node: claims of a deployment, in its transaction, and the proof by DNS. Invariants: a name has
// one owner; what is served was proven, or needs no proof here. Called by new-state.ts and the operations on domains.
import { randomBytes } from 'node:crypto';
import type { DomainItem } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { isTrustedDomain, proofRecord } from '../protocol/policies/domains.ts';
import type { Sql } from '../store/records/records.ts';

interface DomainRow {
  name: string;
  project: string;
  token: string;
  proof: 'dns' | 'trusted' | null;
  proven_at: Date | null;
}

const COLUMNS = 'name, project, token, proof, proven_at';

/** Fails with `domain_taken` when another project has one of these. */
export async function requireDomainsFree(sql: Sql, project: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const { rows } = await sql.query<DomainRow>(
    `select ${COLUMNS} from domains where name = any($1) and project <> $2 and claimed order by name limit 1`,
    [names, project],
  );
  const [taken] = rows;
  if (taken === undefined) return;
  throw new VirgaError(
    'domain_taken',
    `the domain '${taken.name}' belongs to project '${taken.project}' of this node; remove it there (gateway.domains) or remove that project first`,
  );
}

/** Makes these the domains of the project. Those that are not proven are claimed, but not served. */
export async function claimDomains(
  sql: Sql,
  { project, names, trusted }: { project: string; names: readonly string[]; trusted: readonly string[] },
): Promise<void> {
  const sorted = names.toSorted();
  if (sorted.length > 0) {
    const { rowCount } = await sql.query(
      `insert into domains as d (name, project, token, proof, proven_at)
       select n, $1, t, p, case when p is not null then now() end from unnest($2::text[], $3::text[], $4::text[]) as wanted (n, t, p)
       on conflict (name) do update set claimed = true, project = excluded.project,
          token = case when d.project = excluded.project then d.token else excluded.token end,
          proven_at = case when d.project = excluded.project then coalesce(d.proven_at, excluded.proven_at) else excluded.proven_at end,
          proof = case when d.project = excluded.project then coalesce(d.proof, excluded.proof) else excluded.proof end
        where d.project = excluded.project or not d.claimed`,
      [
        project,
        sorted,
        sorted.map(() => randomBytes(20).toString('hex')),
        sorted.map((name) => (isTrustedDomain(name, trusted) ? 'trusted' : null)),
      ],
    );
    if (rowCount !== sorted.length) await requireDomainsFree(sql, project, sorted);
  }
  await sql.query('update domains set claimed = false where project = $1 and claimed and not name = any($2)', [project, sorted]);
}

/** What the project has claimed, by name. */
export async function domainsOf(sql: Sql, project: string): Promise<DomainItem[]> {
  const { rows } = await sql.query<DomainRow>(`select ${COLUMNS} from domains where project = $1 and claimed order by name`, [project]);
  return rows.map(itemOf);
}

/** For a deploy's answer; undefined: all are served. */
export function unprovenWarning(domains: readonly DomainItem[]): string | undefined {
  const waiting = domains.filter(({ served }) => !served);
  const [first] = waiting;
  if (first === undefined) return undefined;
  const record = `the TXT record ${first.record.name} says ${first.record.value}`;
  if (waiting.length === 1)
    return `the domain ${first.name} is not served until ${record}; then run \`virga domains verify ${first.name}\``;
  return `${waiting.length} domains are not served until their ownership is proven, e.g. ${first.name} once ${record}; \`virga domains\` lists them`;
}

/**
 * Looks for the proof and keeps it. Fails with `domain_not_found` and `domain_not_proven`. A domain stays proven: that the
 * record is gone later says nothing about who owns it.
 */
export async function proveDomain(
  sql: Sql,
  { project, name }: { project: string; name: string },
  { trusted, lookUp }: { trusted: readonly string[]; lookUp: (name: string) => Promise<string[]> },
): Promise<DomainItem> {
  const found = (await domainsOf(sql, project)).find((domain) => domain.name === name);
  if (found === undefined)
    throw new VirgaError('domain_not_found', `project '${project}' has no domain '${name}'; list it under gateway.domains and deploy`);
  if (found.served) return found;
  if (!isTrustedDomain(name, trusted)) {
    const texts = await lookUp(found.record.name);
    if (!texts.includes(found.record.value)) throw notProven(found, texts);
  }
  // The token tells that the claim is the one that was looked at.
  const { rows } = await sql.query<DomainRow>(
    `update domains set proof = $3, proven_at = now() where name = $1 and project = $2 and claimed and token = $4 returning ${COLUMNS}`,
    [name, project, isTrustedDomain(name, trusted) ? 'trusted' : 'dns', found.record.value.slice('virga='.length)],
  );
  if (rows[0] === undefined) throw new VirgaError('conflict', `the domain '${name}' was given to another project at this very moment`);
  return itemOf(rows[0]);
}

function notProven({ name, record }: DomainItem, texts: readonly string[]): VirgaError {
  const seen = texts.length === 0 ? 'there is no such record (yet)' : `it says '${texts.join("', '").slice(0, 200)}'`;
  return new VirgaError(
    'domain_not_proven',
    `the domain '${name}' is not proven: the TXT record ${record.name} has to say '${record.value}', but ${seen}`,
  );
}

function itemOf({ name, project, token, proof, proven_at }: DomainRow): DomainItem {
  return { name, project, served: proof !== null, proof, provenAt: proven_at?.toISOString() ?? null, record: proofRecord(name, token) };
}
