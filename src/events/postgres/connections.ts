// The connections of the bus: prepared statements, transactions, and what a failure of Postgres means to a caller.
// Invariants: every wait has a bound; a connection on which anything went wrong but an ordinary error is not used again; a statement
// whose outcome is unknown is never sent a second time. Callers: everything in this folder.
import pg from 'pg';
import { VirgaError } from '../../protocol/errors.ts';

export interface Statement {
  /** It is prepared once on each connection. */
  name: string;
  text: string;
}

export interface Session {
  /** The rows; what R says of them is believed. */
  rows<R>(statement: Statement, values: unknown[]): Promise<R[]>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 20_000;
/** A server that does not answer at all, not even that the statement timed out. */
const ANSWER_TIMEOUT_MS = 25_000;
/**
 * The tables of queues are empty at one moment and full at the next: what the planner believes of them is of no use, and planning costs time. A
 * plan that was made for an empty table would walk through a full one, so each statement that joins a list says of the table's own columns that
 * they are among the list (`m.seq = any(…)`): that bounds it whichever side the planner begins with.
 */
const SESSION_SETTINGS = `set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set plan_cache_mode = force_generic_plan; set idle_in_transaction_session_timeout = '60s'`;
const TRIES_MAX = 5;

/** Of event_gone(): a queue or a stream was taken away while it was used. */
const GONE = 'VG001';
/** Deadlock; serialization failure. */
const CONFLICTS = new Set(['40P01', '40001']);

export class Connections implements Session, AsyncDisposable {
  readonly #pool: pg.Pool;

  constructor(connection: pg.ClientConfig, options: { connectionsMax: number; statementTimeoutMs?: number }) {
    this.#pool = new pg.Pool({
      ...connection,
      max: options.connectionsMax,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: 60_000,
      statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
    });
    // A connection that breaks while it is idle is replaced on the next use.
    this.#pool.on('error', () => {});
    this.#pool.on('connect', (client) => {
      // One that breaks between two statements, or while it is thrown away, would end the process without a listener; statements fail with it.
      client.on('error', () => {});
      client.query(SESSION_SETTINGS).catch(() => {});
    });
  }

  async rows<R>(statement: Statement, values: unknown[]): Promise<R[]> {
    return await this.#again(() => this.session((session) => session.rows<R>(statement, values)));
  }

  /** One connection for what `work` does. Each statement is a transaction of its own. */
  async session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return await this.#withClient((client) => work(sessionOf(client)));
  }

  /** All that `work` does, or nothing. It runs again where others were in its way. */
  async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return await this.#again(() => this.#transaction(work));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  /** Of two transactions that wait for each other Postgres ends one, which surely did nothing. */
  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (tries >= TRIES_MAX || !CONFLICTS.has(stateOf(error) ?? '')) throw error;
      }
    }
  }

  async #transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return await this.#withClient(async (client) => {
      await client.query('begin');
      try {
        const result = await work(sessionOf(client));
        await client.query('commit');
        return result;
      } catch (error) {
        if (isOrdinary(error)) await client.query('rollback');
        throw error;
      }
    });
  }

  async #withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (this.#pool.ending) throw new VirgaError('unavailable', 'Virga is stopping');
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw toVirgaError(error);
    }
    let broken: Error | undefined;
    try {
      return await work(client);
    } catch (error) {
      if (!isOrdinary(error)) broken = error as Error;
      throw toVirgaError(error);
    } finally {
      client.release(broken);
    }
  }
}

function sessionOf(client: pg.PoolClient): Session {
  return {
    rows: async <R>({ name, text }: Statement, values: unknown[]) =>
      (await client.query<pg.QueryResultRow>({ name, text, values })).rows as R[],
  };
}

/** Runs it again where a queue or stream that it counted on was taken away meanwhile. `onGone`: forgets what it knew of queues. */
export async function retried<T>(work: () => Promise<T>, onGone: () => void): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries >= TRIES_MAX || stateOf(error) !== GONE) throw error;
      onGone();
    }
  }
}

/** What the values that were sent are to blame for: another statement of the same kind may pass. */
export function isFaultOfValues(error: unknown): boolean {
  return /^(?:22|23|54)/.test(stateOf(error) ?? '');
}

function stateOf(error: unknown): string | undefined {
  const from = error instanceof VirgaError ? error.cause : error;
  const code = (from as { code?: unknown } | undefined)?.code;
  // Not EPIPE: all codes of Postgres have a digit.
  return typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The server refused a statement, and the connection goes on. */
function isOrdinary(error: unknown): boolean {
  if (error instanceof VirgaError && error.cause === undefined) return true;
  const state = stateOf(error);
  return state !== undefined && !/^(?:08|57P|XX|58)/.test(state);
}

function toVirgaError(error: unknown): unknown {
  if (error instanceof VirgaError) return error;
  const state = stateOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if (state === '53100') return new VirgaError('disk_full', 'the disk of the database is full; free some space', { cause: error });
  if (state === undefined && error instanceof TypeError) return error;
  if (state === GONE) return new VirgaError('unavailable', 'the queue or stream was taken away meanwhile', { cause: error });
  if (state === undefined || /^(?:08|53|57|58)/.test(state)) {
    return new VirgaError('unavailable', `the database does not answer: ${message}`, { cause: error, retryAfterS: 1 });
  }
  return new VirgaError('internal', `the database refused a statement of the bus: ${message}`, { cause: error });
}
