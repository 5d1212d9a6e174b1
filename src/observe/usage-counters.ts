// The table of what was used of usage plans: increments from the edges, which add up, and the lists of the control API.
// Invariant: one statement for a whole batch, in one order of keys, so that two edges do not wait for each other in a circle.
import type { UsageCounter } from '../protocol/usage.ts';
import type { Sql } from '../store/records/records.ts';

interface Row {
  project: string;
  subject: string;
  period: string;
  plan: string;
  used: string;
}

const COLUMNS = 'project, subject, period, plan, used';

export async function loadUsage(sql: Sql, periods: string[], countersMax: number): Promise<UsageCounter[]> {
  const { rows } = await sql.query<Row>(
    `select ${COLUMNS} from usage_counters where period = any($1::text[]) order by used desc limit $2`,
    [periods, countersMax],
  );
  return rows.map(counterOf);
}

/** Adds `used` of each; answers the sums. */
export async function addUsage(sql: Sql, counters: readonly UsageCounter[]): Promise<UsageCounter[]> {
  const column = (of: (counter: UsageCounter) => unknown) => counters.map(of);
  const { rows } = await sql.query<Row>(
    `insert into usage_counters as u (project, subject, period, plan, used)
       select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) as n (project, subject, period, plan, used)
        order by project, subject, period
       on conflict (project, subject, period) do update
         set used = u.used + excluded.used, plan = excluded.plan, updated_at = now()
       returning ${COLUMNS}`,
    [
      column(({ project }) => project),
      column(({ subject }) => subject),
      column(({ period }) => period),
      column(({ plan }) => plan),
      column(({ used }) => used),
    ],
  );
  return rows.map(counterOf);
}

export interface UsageFilter {
  project: string;
  periods: string[];
  /** The part of a subject behind its kind. */
  key?: string | undefined;
  plan?: string | undefined;
  /** `subject` and `period` of the last one of the page before. */
  after?: { subject: string; period: string } | undefined;
  limit: number;
}

export async function listUsage(sql: Sql, { project, periods, key, plan, after, limit }: UsageFilter): Promise<UsageCounter[]> {
  const { rows } = await sql.query<Row>(
    `select ${COLUMNS} from usage_counters
      where project = $1 and period = any($2::text[])
        and ($3::text is null or subject in ($3, 'key:' || $3)) and ($4::text is null or plan = $4)
        and ($5::text is null or (subject, period) > ($5, $6))
      order by subject, period limit $7`,
    [project, periods, key ?? null, plan ?? null, after?.subject ?? null, after?.period ?? null, limit],
  );
  return rows.map(counterOf);
}

export async function deleteUsageBefore(sql: Sql, beforeMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    `delete from usage_counters where ctid in (select ctid from usage_counters where updated_at < to_timestamp($1) limit $2)`,
    [beforeMs / 1_000, limit],
  );
  return rowCount ?? 0;
}

function counterOf({ used, ...row }: Row): UsageCounter {
  return { ...row, used: Number(used) };
}
