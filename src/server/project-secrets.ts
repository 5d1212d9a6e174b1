// Secrets of projects, opened for webhooks at the moment they are signed. Invariant: what is opened is held for at most a second, so that
// a secret that was changed is used at once, and a burst of deliveries asks the database once. Made by control.ts.
import { BoundedMap } from '../lib/bounded-map.ts';
import { VirgaError } from '../protocol/errors.ts';
import { secretContext } from '../protocol/secret-context.ts';
import type { Sql } from '../store/records/records.ts';
import type { Sealing } from '../store/sealing.ts';

const HELD_MS = 1_000;
const HELD_MAX = 1_000;

export class ProjectSecrets {
  readonly #parts: { records: Sql; sealing: Sealing; now: () => number };
  readonly #held = new BoundedMap<string, { until: number; values: Promise<Buffer[]> }>(HELD_MAX);

  constructor(parts: { records: Sql; sealing: Sealing; now: () => number }) {
    this.#parts = parts;
  }

  /** In the order of the names. Fails with `secret_not_found` where one is missing or does not open, else while the database is away. */
  async of(project: string, names: readonly string[]): Promise<Buffer[]> {
    if (names.length === 0) return [];
    const key = `${project}/${names.join(',')}`;
    const now = this.#parts.now();
    const held = this.#held.get(key);
    if (held !== undefined && held.until > now) return await held.values;
    const values = this.#open(project, names);
    this.#held.set(key, { until: now + HELD_MS, values });
    return await values;
  }

  async #open(project: string, names: readonly string[]): Promise<Buffer[]> {
    const { records, sealing } = this.#parts;
    const { rows } = await records.query<{ name: string; sealed: Buffer }>(
      'select name, sealed from secrets where project = $1 and name = any($2)',
      [project, names],
    );
    return names.map((name) => {
      const row = rows.find((one) => one.name === name);
      if (row === undefined)
        throw new VirgaError('secret_not_found', `the project has no secret ${name}; \`virga secrets set ${name}\` stores it`);
      try {
        return sealing.unseal(row.sealed, secretContext(project, name));
      } catch (error) {
        throw new VirgaError('secret_not_found', (error as Error).message, { cause: error });
      }
    });
  }
}
