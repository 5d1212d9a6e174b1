// Certificates of ACME in the records: read by the edge, written by the control role. Invariant: private keys are sealed, each
// for its name; one node at a time works on a name. Used by renewals.ts and server/certificates.ts.
import type { Sealing } from '../../store/sealing.ts';
import type { Sql } from '../../store/records/records.ts';
import { keyFrom } from './acme-client.ts';
import type { Account, ChallengeKind, Challenges } from './acme-client.ts';

export interface StoredCertificate {
  name: string;
  chain: string;
  key: string;
}

export interface Held {
  name: string;
  /** Unix ms; null: there is none yet. */
  notBefore: number | null;
  notAfter: number | null;
  failures: number;
  nextAttemptAt: number;
}

const CHALLENGE_LIVES_S = 600;

export class CertificateRecords implements Challenges {
  readonly #sql: Sql;
  readonly #sealing: Sealing;

  constructor(sql: Sql, sealing: Sealing) {
    this.#sql = sql;
    this.#sealing = sealing;
  }

  /** Those that could be opened, expired ones too: a client says more of one than of none. `onProblem` hears of the others. */
  async certificates(onProblem: (name: string, error: unknown) => void): Promise<StoredCertificate[]> {
    const { rows } = await this.#sql.query<{ name: string; chain: string; private_key: Buffer }>(
      'select name, chain, private_key from certificates where chain is not null order by name',
    );
    return rows.flatMap(({ name, chain, private_key: sealed }) => {
      try {
        return [{ name, chain, key: this.#sealing.unseal(sealed, contextOf(name)).toString() }];
      } catch (error) {
        onProblem(name, error);
        return [];
      }
    });
  }

  /** Says of each of these names what is there, beginning it if nothing is. */
  async held(names: readonly string[]): Promise<Held[]> {
    await this.#sql.query('insert into certificates (name) select unnest($1::text[]) on conflict do nothing', [names]);
    const { rows } = await this.#sql.query<Held>(
      `select name, ${ms('not_before')} as "notBefore", ${ms('not_after')} as "notAfter", failures, ${ms('next_attempt_at')} as "nextAttemptAt"
         from certificates where name = any($1) order by name`,
      [names],
    );
    return rows;
  }

  /** Of other names than these, what serves nobody any more. */
  async forget(names: readonly string[]): Promise<void> {
    await this.#sql.query('delete from certificates where not name = any($1) and (not_after is null or not_after < now())', [names]);
  }

  /** Whether this node may work on it now. */
  async claim(name: string, seconds: number): Promise<boolean> {
    const { rowCount } = await this.#sql.query(
      `update certificates set claimed_until = now() + make_interval(secs => $2)
        where name = $1 and (claimed_until is null or claimed_until < now())`,
      [name, seconds],
    );
    return rowCount === 1;
  }

  async issued(
    { name, chain, key }: StoredCertificate,
    of: { issuer: string; notBefore: number; notAfter: number },
    nextAttemptAt: number,
  ): Promise<void> {
    await this.#sql.query(
      `update certificates set chain = $2, private_key = $3, issuer = $4, not_before = ${at('$5')}, not_after = ${at('$6')},
              next_attempt_at = ${at('$7')}, failures = 0, last_error = null, claimed_until = null, updated_at = now() where name = $1`,
      [name, chain, this.#sealing.seal(Buffer.from(key), contextOf(name)), of.issuer, of.notBefore, of.notAfter, nextAttemptAt],
    );
  }

  async failed(name: string, error: string, nextAttemptAt: number): Promise<void> {
    await this.#sql.query(
      `update certificates set failures = failures + 1, last_error = $2, next_attempt_at = ${at('$3')}, claimed_until = null, updated_at = now()
        where name = $1`,
      [name, error.slice(0, 2_000), nextAttemptAt],
    );
  }

  async account(directory: string): Promise<Account | undefined> {
    const { rows } = await this.#sql.query<{ url: string; private_key: Buffer }>(
      'select url, private_key from acme_accounts where directory = $1',
      [directory],
    );
    const row = rows[0];
    return row && { url: row.url, key: keyFrom(this.#sealing.unseal(row.private_key, `acme account:${directory}`)) };
  }

  /** The one that counts: of two nodes that make one at once, the first. */
  async keepAccount(directory: string, { url, key }: Account): Promise<Account> {
    const pem = Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }));
    await this.#sql.query('insert into acme_accounts (directory, url, private_key) values ($1, $2, $3) on conflict do nothing', [
      directory,
      url,
      this.#sealing.seal(pem, `acme account:${directory}`),
    ]);
    return (await this.account(directory))!;
  }

  async show(kind: ChallengeKind, key: string, keyAuthorization: string): Promise<void> {
    await this.#sql.query('delete from acme_challenges where expires_at < now()');
    await this.#sql.query(
      `insert into acme_challenges (kind, key, key_authorization, expires_at) values ($1, $2, $3, now() + make_interval(secs => $4))
       on conflict (kind, key) do update set key_authorization = excluded.key_authorization, expires_at = excluded.expires_at`,
      [kind, key, keyAuthorization, CHALLENGE_LIVES_S],
    );
  }

  async takeAway(kind: ChallengeKind, key: string): Promise<void> {
    await this.#sql.query('delete from acme_challenges where kind = $1 and key = $2', [kind, key]);
  }

  async shown(kind: ChallengeKind, key: string): Promise<string | undefined> {
    const { rows } = await this.#sql.query<{ key_authorization: string }>(
      'select key_authorization from acme_challenges where kind = $1 and key = $2 and expires_at > now()',
      [kind, key],
    );
    return rows[0]?.key_authorization;
  }
}

function contextOf(name: string): string {
  return `certificate:${name}`;
}

function ms(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::float8`;
}

function at(parameter: string): string {
  return `to_timestamp(${parameter}::float8 / 1000)`;
}
