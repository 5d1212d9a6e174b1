// What has become due of a run's steps that sleep or wait: times that have come, events that were sent. Invariant: an event is given to one
// wait, the first that it fits, in the order of sending; steps end in the order of when they became due. Called within a transaction that
// holds the run's row.
import { patternFits } from './event-match.ts';
import type { RunMessage, StepEnd } from '../../protocol/workflow-run.ts';
import type { Sql } from '../../store/records/records.ts';

interface OpenRow {
  ordinal: number;
  kind: 'sleep' | 'wait';
  name: string;
  match: string | null;
  wakeAt: number | null;
  startedAt: number;
}

interface EventRow {
  event: string;
  id: string;
  name: string;
  data: string;
  at: number;
}

interface Due {
  ordinal: number;
  state: 'done' | 'late';
  at: number;
  event: EventRow | undefined;
}

/** Events of one run that are looked at; more are kept than this only while nobody waits for them. */
const EVENTS_MAX = 1_000;

/** Ends what is due; places follow `last`. */
export async function endDueSteps(sql: Sql, { run, now, last }: { run: string; now: number; last: number }): Promise<StepEnd[]> {
  const { rows: open } = await sql.query<OpenRow>(
    `select ordinal, kind, name, match, (extract(epoch from wake_at) * 1000)::float8 as "wakeAt",
            (extract(epoch from started_at) * 1000)::float8 as "startedAt"
       from workflow_steps where run = $1 and state in ('sleeping', 'waiting') order by ordinal`,
    [run],
  );
  if (open.length === 0) return [];
  const events = open.some(({ kind }) => kind === 'wait') ? await keptEvents(sql, run) : [];
  const due = open
    .map((step) => dueOf(step, events, now))
    .filter((one) => one !== undefined)
    .sort((a, b) => a.at - b.at || a.ordinal - b.ordinal);
  if (due.length === 0) return [];
  const ended = due.map(({ event, ...one }, i) => ({ ...one, place: last + 1 + i, event }));
  await sql.query(
    `update workflow_steps s set state = d.state, result = d.result, ended_place = d.place, ended_at = to_timestamp(d.at / 1000), wake_at = null
       from unnest($2::int[], $3::text[], $4::text[], $5::int[], $6::float8[]) as d(ordinal, state, result, place, at)
      where s.run = $1 and s.ordinal = d.ordinal`,
    [
      run,
      ended.map(({ ordinal }) => ordinal),
      ended.map(({ state }) => state),
      ended.map(({ event }) => (event === undefined ? null : messageText(event))),
      ended.map(({ place }) => place),
      ended.map(({ at }) => at),
    ],
  );
  const taken = ended.filter(({ event }) => event !== undefined);
  if (taken.length > 0)
    await sql.query(
      'update workflow_events e set ordinal = t.ordinal from unnest($1::bigint[], $2::int[]) as t(event, ordinal) where e.event = t.event',
      [taken.map(({ event }) => event!.event), taken.map(({ ordinal }) => ordinal)],
    );
  return ended.map(({ event, ...end }) => ({
    ...end,
    ...(event === undefined ? {} : { result: JSON.parse(messageText(event)) as RunMessage }),
  }));
}

async function keptEvents(sql: Sql, run: string): Promise<EventRow[]> {
  const { rows } = await sql.query<EventRow>(
    `select event, id, name, data, (extract(epoch from at) * 1000)::float8 as at
       from workflow_events where run = $1 and ordinal is null order by event limit ${EVENTS_MAX}`,
    [run],
  );
  return rows;
}

/** Takes the event of a wait out of `events`. */
function dueOf({ ordinal, kind, name, match, wakeAt, startedAt }: OpenRow, events: EventRow[], now: number): Due | undefined {
  if (kind === 'wait') {
    const at = events.findIndex(
      (event) => event.name === name && (wakeAt === null || event.at <= wakeAt) && patternFits(match, event.data),
    );
    const [event] = at === -1 ? [] : events.splice(at, 1);
    if (event !== undefined) return { ordinal, state: 'done', at: Math.round(Math.max(event.at, startedAt)), event };
  }
  if (wakeAt === null || wakeAt > now) return undefined;
  return { ordinal, state: kind === 'sleep' ? 'done' : 'late', at: Math.round(wakeAt), event: undefined };
}

/** JSON of a `RunMessage`. */
function messageText({ id, name, data, at }: EventRow): string {
  return `${JSON.stringify({ id, name, at: Math.round(at) }).slice(0, -1)},"data":${data}}`;
}
