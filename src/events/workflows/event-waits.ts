// Events of a project, brought to the runs that wait for them. What a workflow says it waits for (`events` in virga.yaml) is a subscription
// of the project's events like any other, so whoever publishes knows nothing of runs, and pays only for types that some workflow has named.
// Here each event is looked up by its keys (wait-keys.ts), and kept for every run whose wait it fits, which is then woken up.
// Invariants: an event is done only when it is kept for all who waited when it came; a run gets it once, in one of its waits, however often
// it is delivered; no more than a page of waits is held. Made by server/edge-workflows.ts.
import { compileFilter } from '../../lib/event-filter.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import type { Sql } from '../../store/records/records.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import { isAway } from './database-away.ts';
import { idOfSent } from './names.ts';
import type { RunName } from './names.ts';
import type { Starter } from './start-run.ts';
import { keysOfEvent } from './wait-keys.ts';

export interface EventWaitsNeeds {
  records: Sql;
  starter: Pick<Starter, 'wakeAll'>;
}

interface WaitRow extends RunName {
  run: string;
  ordinal: number;
  waitsFor: string;
  name: string;
  match: string | null;
}

interface Published {
  /** Of the run's: the same event comes to it once. */
  id: string;
  event: CloudEvent;
  body: string;
  at: number;
}

const PAGE = 500;
const AWAY_MS = 1_000;

export class EventWaits implements DeliveryKind {
  readonly #needs: EventWaitsNeeds;

  constructor(needs: EventWaitsNeeds) {
    this.#needs = needs;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[]): Promise<Verdict[]> {
    try {
      await this.#bring(keyParts(consumer.queue.key).project, messages);
      return messages.map(() => ({ as: 'done' }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return messages.map(() => (isAway(error) ? { as: 'later', delayMs: AWAY_MS } : { as: 'failed', error: reason }));
    }
  }

  async #bring(project: string, messages: readonly ReceivedMessage[]): Promise<void> {
    const byKey = new Map<string, Published[]>();
    for (const { body, sentAt } of messages) {
      const event = JSON.parse(body) as CloudEvent;
      const published = { id: idOfSent(event.id, event.source), event, body, at: sentAt };
      for (const key of keysOfEvent(project, event)) {
        const those = byKey.get(key);
        if (those === undefined) byKey.set(key, [published]);
        else those.push(published);
      }
    }
    const keys = [...byKey.keys()];
    for (let after: Pick<WaitRow, 'run' | 'ordinal'> | undefined = { run: '0', ordinal: 0 }; after !== undefined;) {
      const page: WaitRow[] = await this.#waits(keys, after);
      await this.#keep(page, byKey);
      after = page.length < PAGE ? undefined : page.at(-1);
    }
  }

  async #waits(keys: readonly string[], after: { run: string; ordinal: number }): Promise<WaitRow[]> {
    const { rows } = await this.#needs.records.query<WaitRow>(
      `select s.run::text, s.ordinal, s.waits_for as "waitsFor", s.name, s.match, r.project, r.function, r.id
         from (select * from workflow_steps where waits_for = any($1) and state = 'waiting' and (run, ordinal) > ($2::bigint, $3::int)
                order by run, ordinal limit ${PAGE}) s
         join workflow_runs r on r.run = s.run order by s.run, s.ordinal`,
      [keys, after.run, after.ordinal],
    );
    return rows;
  }

  /** For each wait the first that fits and is not another's; the run is woken up also where it was kept before: whoever kept it may have died then. */
  async #keep(waits: readonly WaitRow[], byKey: ReadonlyMap<string, Published[]>): Promise<void> {
    const fitting = waits.map((wait) => {
      const fits = wait.match === null ? undefined : compileFilter(JSON.parse(wait.match) as Record<string, unknown>);
      return { wait, those: byKey.get(wait.waitsFor)!.filter(({ event }) => fits === undefined || fits(event)) };
    });
    const events = [...new Set(fitting.flatMap(({ those }) => those))];
    if (events.length === 0) return;
    const placeOf = new Map(events.map((published, index) => [published, index + 1]));
    const kept = fitting.flatMap(({ wait, those }) => those.map((published) => ({ wait, place: placeOf.get(published)! })));
    // Bodies go there once, for how many runs ever.
    await this.#needs.records.query(
      `insert into workflow_events (run, wait, id, name, data, at)
       select i.run, i.wait, e.id, i.name, e.data, to_timestamp(e.at / 1000)
         from unnest($1::bigint[], $2::int[], $3::text[], $4::int[]) with ordinality as i(run, wait, name, event, place)
         join unnest($5::text[], $6::text[], $7::float8[]) with ordinality as e(id, data, at, event) on e.event = i.event
         join workflow_runs r on r.run = i.run and r.ended_at is null
        order by i.place
       on conflict do nothing`,
      [
        kept.map(({ wait }) => wait.run),
        kept.map(({ wait }) => wait.ordinal),
        kept.map(({ wait }) => wait.name),
        kept.map(({ place }) => place),
        events.map(({ id }) => id),
        events.map(({ body }) => body),
        events.map(({ at }) => at),
      ],
    );
    await this.#needs.starter.wakeAll([...new Map(kept.map(({ wait }) => [wait.run, wait])).values()]);
  }
}
