// Sees to it that each name has a certificate by ACME: the first one at once, the next one when two thirds of its life are
// over, less a part by chance so that not all come due together. Invariant: one at a time, a name tried again later and later
// while it fails, the certificate that is there untouched until the next is there. Runs in the control role (server/control.ts).
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf } from '../tls/identities.ts';
import { AcmeClient, newPrivateKey } from './acme-client.ts';
import type { ChallengeKind } from './acme-client.ts';
import { AcmeError } from './acme-http.ts';
import type { CertificateRecords, Held } from './certificate-records.ts';

export interface RenewalsOptions {
  records: CertificateRecords;
  /** The names that are to have one; asked anew each round. */
  names: () => Promise<Iterable<string>>;
  directory: string;
  email: string | null;
  /** PEM. */
  ca: string | undefined;
  challenge: ChallengeKind;
  /** There is a new certificate. */
  onIssued: () => Promise<void>;
  log: (level: 'info' | 'warn', message: string, fields?: Record<string, unknown>) => void;
  random?: () => number;
}

const RENEW_AT = 2 / 3;
/** Part of a certificate's life by which its renewal may come earlier. */
const JITTER = 0.05;
const CLAIM_S = 600;
/** Names come and go with deployments. */
const ROUND_MS = { least: 250, most: 5_000 };
const RETRY_MS = { first: 60_000, most: 12 * 3_600_000 };

export class Renewals {
  readonly #options: RenewalsOptions;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #client: AcmeClient;
  #running: Promise<void> | undefined;
  #hasAccount = false;

  constructor(options: RenewalsOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#client = new AcmeClient({ directory: options.directory, ca: options.ca, signal: this.#stop.signal });
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let waitMs: number = ROUND_MS.most;
      try {
        waitMs = await this.#round();
      } catch (error) {
        if (!signal.aborted) this.#options.log('warn', 'certificates could not be looked after', { reason: String(error) });
      }
      await sleep(Math.min(Math.max(waitMs, ROUND_MS.least), ROUND_MS.most), undefined, { signal }).catch(() => {});
    }
  }

  /** Answers when the next is due, ms from now. */
  async #round(): Promise<number> {
    const names = [...new Set(await this.#options.names())].toSorted();
    await this.#options.records.forget(names);
    const due = await this.#due(names);
    for (const { name, failures } of due) {
      if (this.#stop.signal.aborted) return 0;
      await this.#renew(name, failures);
    }
    const next = (await this.#options.records.held(names)).map(({ nextAttemptAt }) => nextAttemptAt);
    return Math.min(...next, Infinity) - Date.now();
  }

  async #due(names: string[]): Promise<Held[]> {
    return (await this.#options.records.held(names)).filter(({ nextAttemptAt }) => nextAttemptAt <= Date.now());
  }

  async #renew(name: string, failures: number): Promise<void> {
    const { records, challenge, log } = this.#options;
    if (!(await records.claim(name, CLAIM_S))) return;
    try {
      await this.#account();
      const { chain, key } = await this.#client.certify(name, challenge, records);
      const identity = identityOf({ cert: chain, key, origin: 'acme', label: name });
      if (!identity.names.includes(name)) throw new AcmeError(`the certificate is for ${identity.names.join(', ')}, not for ${name}`);
      // Of what is left of its life: servers date certificates back.
      const renewInMs = (identity.notAfter - Date.now()) * (RENEW_AT - JITTER * this.#random());
      await records.issued({ name, chain, key }, identity, Date.now() + renewInMs);
      log('info', `there is a new certificate for ${name}`, { until: new Date(identity.notAfter).toISOString() });
      await this.#options.onIssued();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (this.#stop.signal.aborted) {
        await records.failed(name, 'Virga was stopped meanwhile', Date.now()).catch(() => {});
        return;
      }
      const backoffMs = Math.min(RETRY_MS.first * 2 ** Math.min(failures, 20), RETRY_MS.most) * (0.75 + this.#random() / 2);
      const waitMs = Math.max(backoffMs, (error instanceof AcmeError ? error.retryAfterMs : undefined) ?? 0);
      await records.failed(name, message, Date.now() + waitMs);
      log('warn', `no new certificate for ${name}: ${message}; tried again in ${Math.round(waitMs / 1_000)} s`);
    }
  }

  async #account(): Promise<void> {
    if (this.#hasAccount) return;
    const { records, directory, email } = this.#options;
    const known = await records.account(directory);
    const account = known ?? (await records.keepAccount(directory, await this.#client.register(await newPrivateKey(), email)));
    this.#client.use(account);
    this.#hasAccount = true;
  }
}
