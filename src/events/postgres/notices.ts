// Who waits for messages and records hears that there are some: at once in this process, through LISTEN/NOTIFY in the others.
//
//   a transaction commits ─▶ heard() here        NOTIFY 'virga_events': sender, key, key… ─▶ LISTEN ─▶ listeners there
//
// Invariants: what a commit made receivable is announced with that commit or not at all; after a gap in the listening all keys are
// announced; a process without listeners holds no connection for it. A sender does not hear itself twice.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** NOTIFY takes less than 8000 bytes. */
const PAYLOAD_BYTES_MAX = 7_900;
const RECONNECT_MS = 200;
export const CHANNEL = 'virga_events';

export interface NoticesOptions {
  connection: pg.ClientConfig;
  /** All keys: after a gap any of them may have something. */
  keys: () => Promise<string[]>;
  log: (level: 'info' | 'warn', message: string, fields?: Record<string, unknown>) => void;
}

export class Notices implements AsyncDisposable {
  readonly #options: NoticesOptions;
  readonly #sender = randomBytes(6).toString('base64url');
  readonly #listeners: ((key: string) => void)[] = [];
  readonly #closing = new AbortController();
  #client: pg.Client | undefined;
  #running: Promise<void> | undefined;

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  listen(listener: (key: string) => void): void {
    this.#listeners.push(listener);
    this.#running ??= this.#run();
  }

  /** What a transaction notifies with. */
  payloads(keys: Iterable<string>): string[] {
    const payloads: string[] = [];
    let payload = this.#sender;
    for (const key of keys) {
      if (Buffer.byteLength(payload) + Buffer.byteLength(key) + 1 > PAYLOAD_BYTES_MAX) {
        payloads.push(payload);
        payload = this.#sender;
      }
      payload += `\n${key}`;
    }
    if (payload !== this.#sender) payloads.push(payload);
    return payloads;
  }

  /** In this process, after the commit. */
  heard(keys: Iterable<string>): void {
    for (const key of keys) for (const listener of this.#listeners) listener(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#client?.end().catch(() => {});
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let times = 0; !signal.aborted; times++) {
      const client = new pg.Client({ ...this.#options.connection, keepAlive: true });
      const lost = Promise.withResolvers<void>();
      client.on('error', () => lost.resolve());
      client.on('end', () => lost.resolve());
      client.on('notification', ({ payload = '' }) => {
        const [sender, ...keys] = payload.split('\n');
        if (sender !== this.#sender) this.heard(keys);
      });
      try {
        this.#client = client;
        await client.connect();
        await client.query(`listen ${CHANNEL}`);
        this.heard(await this.#options.keys());
        if (times > 0) this.#options.log('info', 'notifications of the bus are heard again');
        times = 0;
        await lost.promise;
        if (!signal.aborted) this.#options.log('warn', 'notifications of the bus are not heard: the connection to the database broke');
      } catch (error) {
        if (times === 1) this.#options.log('warn', 'notifications of the bus cannot be heard', { reason: String(error) });
      }
      await client.end().catch(() => {});
      await sleep(RECONNECT_MS, undefined, { signal }).catch(() => {});
    }
  }
}
