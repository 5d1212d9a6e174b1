// What has become due of a run's steps that sleep or wait: times that have come, events that were sent to it, events of the project that
// event-waits.ts found to be for it. Invariants: an event is given to one wait, the first that it fits, in the order of sending; a wait for
// events of the project is late only when all that were published in its time have been looked at; steps end in the order of when they
// became due. Called within a transaction that holds the run's row.
import { patternFits } from './event-match.ts';
import type { RunMessage, StepEnd } from '../../protocol/workflow-run.ts';
import type { Sql } from '../../store/records/records.ts';

interface OpenRow {
  ordinal: number;
  kind: 'sleep' | 'wait';
  name: string;
  match: string | null;
  /** Of a wait for events of the project. */
  waitsFor: string | null;
  wakeAt: number | null;
  startedAt: number;
}

interface EventRow {
  event: string;
  id: string;
  name: string;
  data: string;
  at: number;
  /** The wait that an event of the project was found to be for. */
  wait: number | null;
}

interface Due {
  ordinal: number;
  state: 'done' | 'late';
  at: number;
  event: EventRow | undefined;
}

/** Events of one run that are looked at; more are kept than this only while nobody waits for them. */
const EVENTS_MAX = 1_000;

/** Whether all events that were published to the project of a wait up to this time (Unix ms) have been brought to the runs that wait for them. */
export type AllHeard = (waitsFor: string, at: number) => Promise<boolean>;

/** Ends what is due; places follow `last`. */
export async function endDueSteps(
  sql: Sql,
  { run, now, last, allHeard }: { run: string; now: number; last: number; allHeard: AllHeard },
): Promise<StepEnd[]> {
  const { rows: open } = await sql.query<OpenRow>(
    `select ordinal, kind, name, match, waits_for as "waitsFor", (extract(epoch from wake_at) * 1000)::float8 as "wakeAt",
            (extract(epoch from started_at) * 1000)::float8 as "startedAt"
       from workflow_steps where run = $1 and state in ('sleeping', 'waiting') order by ordinal`,
    [run],
  );
  if (open.length === 0) return [];
  const late = open.filter(({ waitsFor, wakeAt }) => waitsFor !== null && wakeAt !== null && wakeAt <= now);
  const early = new Set<number>();
  // Before the events are read: what is heard by now is among them.
  for (const { ordinal, waitsFor, wakeAt } of late) if (!(await allHeard(waitsFor!, wakeAt!))) early.add(ordinal);
  const waits = open.filter(({ kind }) => kind === 'wait');
  const events = waits.length > 0 ? await keptEvents(sql, run, waits) : [];
  const due = open
    .map((step) => dueOf(step, events, now))
    .filter((one) => one !== undefined)
    .filter(({ ordinal, state }) => state !== 'late' || !early.has(ordinal))
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

/** Those that some wait may take. */
async function keptEvents(sql: Sql, run: string, waits: readonly OpenRow[]): Promise<EventRow[]> {
  const { rows } = await sql.query<EventRow>(
    `select event, id, name, data, (extract(epoch from at) * 1000)::float8 as at, wait
       from workflow_events where run = $1 and ordinal is null and case when wait is null then name = any($2) else wait = any($3) end
      order by event limit ${EVENTS_MAX}`,
    [
      run,
      waits.filter(({ waitsFor }) => waitsFor === null).map(({ name }) => name),
      waits.filter(({ waitsFor }) => waitsFor !== null).map(({ ordinal }) => ordinal),
    ],
  );
  return rows;
}

/** Takes the event of a wait out of `events`. */
function dueOf({ ordinal, kind, name, match, waitsFor, wakeAt, startedAt }: OpenRow, events: EventRow[], now: number): Due | undefined {
  if (kind === 'wait') {
    const isFor = (event: EventRow): boolean =>
      waitsFor === null ? event.wait === null && event.name === name && patternFits(match, event.data) : event.wait === ordinal;
    const at = events.findIndex((event) => (wakeAt === null || event.at <= wakeAt) && isFor(event));
    const [event] = at === -1 ? [] : events.splice(at, 1);
    if (event !== undefined) return { ordinal, state: 'done', at: Math.round(Math.max(event.at, startedAt)), event };
  }
  if (wakeAt === null || wakeAt > now) return undefined;
  return { ordinal, state: kind === 'sleep' ? 'done' : 'late', at: Math.round(wakeAt), event: undefined };
}

/** JSON of a `RunMessage`. */
function messageText({ id, name, data, at, wait }: EventRow): string {
  return `${JSON.stringify({ id, name, at: Math.round(at) }).slice(0, -1)},"${wait === null ? 'data' : 'event'}":${data}}`;
}
