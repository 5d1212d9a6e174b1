// Starts runs, sends events to them, and wakes them up by messages on the bus. Invariant: what these resolved for survives a crash: the row
// is written first, and is what was asked for: a message that got lost, or could not be sent, is made good by upkeep.ts. Used by the edge
// and by the control role.
import { newId } from '../../lib/ids.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { Records } from '../../store/records/records.ts';
import type { Bus, NewMessage } from '../bus.ts';
import { workflowQueue } from '../topology.ts';
import { EVENT_RULE, ID_RULE, isEventName, isRunId, noSuchRun } from './names.ts';
import type { RunName } from './names.ts';

export interface StarterNeeds {
  records: Records;
  bus: Pick<Bus, 'send'>;
  now: () => number;
  limits: { workflowBytesMax: number };
}

export interface NewRun {
  project: string;
  function: string;
  version: number;
  /** JSON. */
  input: string;
  trigger: string;
  /** Of whoever starts it: the same starts one run. */
  id?: string | undefined;
  /** Runs of the function that have not ended. */
  runsMax: number;
  /** Who asks for it over HTTP, where that is known. */
  principal?: string;
}

/** What whoever started it over HTTP may read of it. */
export interface HttpRun {
  version: number;
  state: string;
  /** Unix ms. */
  createdAt: number;
  endedAt: number | null;
  /** JSON. */
  result: string | null;
  error: string | null;
  principal: string | null;
}

export interface Started {
  id: string;
  /** false: there was a run of this id. */
  started: boolean;
}

export class Starter {
  readonly #needs: StarterNeeds;

  constructor(needs: StarterNeeds) {
    this.#needs = needs;
  }

  async start({ project, function: fn, version, input, trigger, id = newId('run'), runsMax, principal }: NewRun): Promise<Started> {
    if (!isRunId(id)) throw new VirgaError('invalid_request', `'${String(id).slice(0, 140)}' is no id of a run: ${ID_RULE}`);
    this.#checkBytes(input, 'the input of the run');
    const now = this.#needs.now();
    const { rows } = await this.#needs.records.query<{ added: boolean; there: boolean; asleep: boolean }>(
      `with there as (select state = 'pending' and created_at < to_timestamp(($7::float8 - ${ASLEEP_MS}) / 1000) as asleep from workflow_runs where project = $1 and function = $2 and id = $3),
            added as (
              insert into workflow_runs (project, function, id, version, input, trigger, principal, wake_at, created_at, updated_at)
              select $1, $2, $3, $4, $5, $6, $9, to_timestamp($7::float8 / 1000), to_timestamp($7::float8 / 1000), to_timestamp($7::float8 / 1000)
               where not exists (select 1 from there)
                 and (select count(*) from (select 1 from workflow_runs where project = $1 and function = $2 and ended_at is null limit $8) alive) < $8
              on conflict (project, function, id) do nothing returning 1)
       select exists (select 1 from added) as added, exists (select 1 from there) as there, coalesce((select asleep from there), false) as asleep`,
      [project, fn, id, version, input, trigger, now, runsMax, principal ?? null],
    );
    const { added = false, there = false, asleep = false } = rows[0] ?? {};
    if (added || asleep) await this.#tryWake({ project, function: fn, id });
    else if (!there && !(await this.#exists({ project, function: fn, id })))
      throw new VirgaError(
        'workflow_full',
        `the workflow '${fn}' has ${runsMax} runs that have not ended, as many as may be; raise \`maxRuns\` in virga.yaml, or wait until some have`,
        { retryAfterS: 5 },
      );
    return { id, started: added };
  }

  /** Kept for a wait that comes later, if none is there. `id`: the same is taken once. */
  async send(name: RunName, event: { name: string; data: string; id?: string | undefined }): Promise<{ id: string }> {
    if (!isEventName(event.name))
      throw new VirgaError('invalid_request', `'${String(event.name).slice(0, 140)}' is no name of an event: ${EVENT_RULE}`);
    this.#checkBytes(event.data, 'the data of the event');
    const { id = newId('evt') } = event;
    if (!isRunId(id)) throw new VirgaError('invalid_request', `'${String(id).slice(0, 140)}' is no id of an event to a run: ${ID_RULE}`);
    const { project, function: fn } = name;
    const { rows } = await this.#needs.records.query<{ ended: boolean; kept: number }>(
      `with run as (select run, ended_at is not null as ended,
                           (select count(*)::int from (select 1 from workflow_events e where e.run = r.run and e.ordinal is null and e.wait is null limit ${EVENTS_KEPT_MAX}) kept) as kept
                      from workflow_runs r where project = $1 and function = $2 and id = $3),
            added as (insert into workflow_events (run, id, name, data, at)
                      select run, $4, $5, $6, to_timestamp($7::float8 / 1000) from run where not ended and kept < ${EVENTS_KEPT_MAX}
                      on conflict (run, id) do nothing)
       select ended, kept from run`,
      [project, fn, name.id, id, event.name, event.data, this.#needs.now()],
    );
    const run = rows[0];
    if (run === undefined) throw noSuchRun(name);
    if (run.ended) throw new VirgaError('run_ended', `the run '${name.id}' has ended: no event reaches it any more`);
    if (run.kept >= EVENTS_KEPT_MAX)
      throw new VirgaError(
        'workflow_full',
        `${EVENTS_KEPT_MAX} events wait for the run '${name.id}' already, and it waits for none of them`,
        {
          retryAfterS: 5,
        },
      );
    await this.#tryWake(name);
    return { id };
  }

  /** undefined: there is none (any more), or it was started otherwise. */
  async startedOverHttp({ project, function: fn, id }: RunName): Promise<HttpRun | undefined> {
    const { rows } = await this.#needs.records.query<HttpRun>(
      `select version, state, (extract(epoch from created_at) * 1000)::float8 as "createdAt", (extract(epoch from ended_at) * 1000)::float8 as "endedAt",
              result, error, principal
         from workflow_runs where project = $1 and function = $2 and id = $3 and trigger = 'http'`,
      [project, fn, id],
    );
    return rows[0];
  }

  async wake(name: RunName, at?: number): Promise<void> {
    await this.#needs.bus.send([{ queue: workflowQueue(name.project, name.function), messages: [wakeUp(name.id, at, this.#needs.now())] }]);
  }

  /** All of them, in one step. */
  async wakeAll(names: readonly RunName[]): Promise<void> {
    const now = this.#needs.now();
    const batches = [...Map.groupBy(names, ({ project, function: fn }) => workflowQueue(project, fn).key).values()].map((those) => ({
      queue: workflowQueue(those[0]!.project, those[0]!.function),
      messages: those.map(({ id }) => wakeUp(id, undefined, now)),
    }));
    if (batches.length > 0) await this.#needs.bus.send(batches);
  }

  /** What is stored is answered as stored: whoever was told that it failed would send it again. */
  async #tryWake(name: RunName): Promise<void> {
    try {
      await this.wake(name);
    } catch {
      // upkeep.ts finds it.
    }
  }

  async #exists({ project, function: fn, id }: RunName): Promise<boolean> {
    const { rows } = await this.#needs.records.query('select 1 from workflow_runs where project = $1 and function = $2 and id = $3', [
      project,
      fn,
      id,
    ]);
    return rows.length > 0;
  }

  #checkBytes(json: string, what: string): void {
    const bytes = Buffer.byteLength(json);
    const { workflowBytesMax: bytesMax } = this.#needs.limits;
    if (bytes > bytesMax)
      throw new VirgaError(
        'request_too_large',
        `${what} has ${bytes} bytes as JSON; at most ${bytesMax} are taken (VIRGA_LIMIT_WORKFLOW_BYTES)`,
      );
  }
}

/** A run that has not begun by then is woken up by whoever starts it again. */
const ASLEEP_MS = 5_000;
/** Of one run, that no wait has taken. */
const EVENTS_KEPT_MAX = 1_000;

/** Messages wait no longer: what is due in a century is woken up by one a year. */
const WAKE_MS_MAX = 365 * 86_400_000;

/** The message that says: look at this run. `far`: it comes before its time, and another is to follow. */
function wakeUp(id: string, at: number | undefined, now: number): NewMessage {
  const delayMs = at === undefined ? 0 : Math.max(0, Math.ceil(at - now));
  const body = JSON.stringify({ run: id, ...(delayMs > WAKE_MS_MAX ? { far: true } : {}) });
  return { id: newId('msg'), body, attributes: {}, ...(delayMs === 0 ? {} : { delayMs: Math.min(delayMs, WAKE_MS_MAX) }) };
}
