// Keeps what the gateway verifies callers by up to date in the edge: API keys, and the secrets that the current deployments name.
// Invariant: only secrets that a deployed authenticator names are opened here; a key that is revoked is gone from the edge as soon
// as the control role has said so (NOTIFY), and whenever the connection to Postgres is made anew. Used by read-model-feed.ts.
import { secretContext } from '../protocol/secret-context.ts';
import type { ChallengeScheme } from '../gateway/auth/authenticator.ts';
import type { HeldKey, KeyRing } from '../gateway/auth/key-ring.ts';
import type { SecretRing } from '../gateway/auth/secret-ring.ts';
import { parseKeyRoute } from '../protocol/key-route.ts';
import type { Sql } from '../store/records/records.ts';
import type { Sealing } from '../store/sealing.ts';
import type { PlatformLog } from './platform-log.ts';

export interface AccessFeedOptions {
  keys: KeyRing;
  secrets: SecretRing;
  sealing: Sealing;
  keysMax: number;
  log: PlatformLog;
}

interface KeyRow {
  id: string;
  project: string;
  name: string;
  hash: Buffer;
  previous_hash: Buffer | null;
  previous_until: Date | null;
  scopes: string[];
  plan: string | null;
  routes: string[] | null;
  expires_at: Date | null;
}

/** How often it is written down when keys were used. */
const USED_EVERY_MS = 60_000;
const SCHEME: ChallengeScheme = { name: 'ApiKey' };

export class AccessFeed {
  readonly #options: AccessFeedOptions;
  #timer: NodeJS.Timeout | undefined;
  #records: Sql | undefined;

  constructor(options: AccessFeedOptions) {
    this.#options = options;
  }

  /** Of one project, or of all. */
  async loadKeys(sql: Sql, project?: string): Promise<void> {
    const { keys, keysMax } = this.#options;
    const { rows } = await sql.query<KeyRow>(
      `select id, project, name, hash, previous_hash, previous_until, scopes, plan, routes, expires_at from api_keys
        where revoked_at is null and ($1::text is null or project = $1) limit $2`,
      [project ?? null, keysMax],
    );
    const held = rows.map(heldKey);
    if (project === undefined) keys.replaceAll(held);
    else keys.replaceProject(project, held);
  }

  /** Those that a state which is current names: `secret: NAME` or `secret: [NAME, …]` of some authenticator. */
  async loadSecrets(sql: Sql): Promise<void> {
    const { secrets, sealing, log } = this.#options;
    const { rows } = await sql.query<{ project: string; name: string; sealed: Buffer }>(
      `select s.project, s.name, s.sealed
         from secrets s join projects p on p.name = s.project join deployments d on d.id = p.current_deployment
        where jsonb_path_exists(d.state - 'events', '$.** ? (@.secret == $name)', jsonb_build_object('name', s.name))`,
    );
    const opened = rows.flatMap(({ project, name, sealed }) => {
      try {
        return [{ project, name, value: sealing.unseal(sealed, secretContext(project, name)) }];
      } catch (error) {
        log('error', 'a secret cannot be opened', {
          project,
          secret: name,
          reason: error instanceof Error ? error.message : String(error),
        });
        return [];
      }
    });
    secrets.replaceAll(opened);
  }

  /** Begins to write down when keys were used. */
  start(records: Sql): void {
    this.#records = records;
    this.#timer = setInterval(() => void this.#writeUsed(), USED_EVERY_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writeUsed();
  }

  async #writeUsed(): Promise<void> {
    const used = this.#options.keys.takeUsed();
    if (used.length === 0 || this.#records === undefined) return;
    try {
      await this.#records.query(
        `update api_keys k set last_used_at = greatest(k.last_used_at, u.at)
           from unnest($1::text[], $2::float8[]) as w (id, ms), to_timestamp(w.ms / 1000) as u (at) where k.id = w.id`,
        [used.map(({ id }) => id), used.map(({ at }) => at)],
      );
    } catch (error) {
      this.#options.log('warn', 'it could not be written down when API keys were used', { error: String(error) });
    }
  }
}

function heldKey(row: KeyRow): HeldKey {
  const { id, project, name, scopes, plan, routes } = row;
  const principal = { kind: 'key' as const, id: `vk_${id}`, scopes, claims: { name }, ...(plan === null ? {} : { plan }) };
  return {
    id,
    project,
    hash: row.hash,
    previous: row.previous_hash === null ? undefined : { hash: row.previous_hash, until: row.previous_until?.getTime() ?? 0 },
    expiresAt: row.expires_at?.getTime() ?? Infinity,
    // One that cannot be read allows nothing.
    routes: routes?.flatMap((text) => parseKeyRoute(text) ?? []),
    known: { kind: 'known', principal, scheme: SCHEME },
  };
}
