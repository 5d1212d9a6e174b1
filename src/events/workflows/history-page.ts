// The history of a run as a guest gets it, page by page. Invariant: results are passed on as they were kept, without being read.
import type { HistoryStep } from '../../protocol/workflow-run.ts';
import type { Sql } from '../../store/records/records.ts';

interface Row {
  ordinal: number;
  scope: string;
  kind: string;
  name: string;
  occurrence: number;
  state: string;
  attempts: number;
  result: string | null;
  error: string | null;
  place: number | null;
  endedAt: number | null;
  wakeAt: number | null;
}

/** Of a page, and of the event that begins a wake-up; a frame holds twice as much. */
const PAGE_BYTES = 512 * 1024;
const PAGE_ROWS = 2_000;

const PAGE = `
select ordinal, scope, kind, name, occurrence, state, attempts, result, error, ended_place as place,
       (extract(epoch from ended_at) * 1000)::float8 as "endedAt", (extract(epoch from wake_at) * 1000)::float8 as "wakeAt"
  from (select s.*, sum(octet_length(coalesce(result, '')) + octet_length(coalesce(error, '')) + 250) over (order by ordinal)
                      - octet_length(coalesce(result, '')) as before
          from workflow_steps s where run = $1 and ordinal > $2 order by ordinal limit ${PAGE_ROWS}) s
 where before <= ${PAGE_BYTES} order by ordinal`;

/** JSON texts of `HistoryStep`s; `more`: the ordinal behind which it goes on. */
export async function historyPage(
  sql: Sql,
  { run, after, now }: { run: string; after: number; now: number },
): Promise<{ steps: string[]; more: number | undefined }> {
  const { rows } = await sql.query<Row>(PAGE, [run, after]);
  const last = rows.at(-1);
  if (last === undefined) return { steps: [], more: undefined };
  const rest = await sql.query('select 1 from workflow_steps where run = $1 and ordinal > $2 limit 1', [run, last.ordinal]);
  return { steps: rows.map((row) => stepText(row, now)), more: rest.rows.length === 0 ? undefined : last.ordinal };
}

function stepText({ result, error, place, endedAt, wakeAt, ...row }: Row, now: number): string {
  const step: Record<keyof HistoryStep, unknown> | Record<string, unknown> = { ...row };
  if (place !== null) Object.assign(step, { place, at: Math.round(endedAt ?? 0) });
  else if (wakeAt !== null) step['inMs'] = Math.max(0, Math.round(wakeAt - now));
  const kept = `${result === null ? '' : `,"result":${result}`}${error === null ? '' : `,"error":${error}`}`;
  return `${JSON.stringify(step).slice(0, -1)}${kept}}`;
}
