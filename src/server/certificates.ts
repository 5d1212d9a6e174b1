// The certificates of the edge: those of the folder, read again when it changes, and those of ACME, read when the control role
// says that there is a new one. Invariant: the TLS door always has what was read last; a problem is logged once, not at each
// reading. Made by edge.ts.
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { newPrivateKey } from '../gateway/acme/acme-client.ts';
import { challengeCertificate } from '../gateway/acme/certificate-request.ts';
import type { CertificateRecords } from '../gateway/acme/certificate-records.ts';
import { readCertificateFiles } from '../gateway/tls/certificate-files.ts';
import { Identities, identityOf } from '../gateway/tls/identities.ts';
import type { Identity } from '../gateway/tls/identities.ts';
import type { CertificateStats } from '../protocol/stats.ts';
import type { PlatformLog } from './platform-log.ts';

/** Editors and certbot write several files in a row. */
const SETTLE_MS = 100;
/** For what a watcher does not see (a mounted folder, another node's ACME), and what time changes. */
const AGAIN_MS = 60_000;
/** Of challenges that are looked up at the same time; whoever asks beyond gets none. */
const LOOKUPS_MAX = 32;
const TOKEN = /^[A-Za-z0-9_-]{1,256}$/;

export class Certificates {
  readonly identities = new Identities();
  readonly #folder: string | null;
  /** Names that certificates are on their way for. */
  readonly #awaited: boolean;
  readonly #records: CertificateRecords;
  readonly #log: PlatformLog;
  #fromFiles: Identity[] = [];
  #fromAcme: Identity[] = [];
  #problems: string[] = [];
  readonly #said = new Set<string>();
  #watcher: FSWatcher | undefined;
  #soon: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #loading: Promise<void> = Promise.resolve();
  #lookups = 0;

  constructor(options: { folder: string | null; awaited: boolean; records: CertificateRecords; log: PlatformLog }) {
    this.#folder = options.folder;
    this.#awaited = options.awaited;
    this.#records = options.records;
    this.#log = options.log;
  }

  async start(): Promise<void> {
    await this.refresh();
    this.#again = setInterval(() => void this.refresh(), AGAIN_MS);
    this.#again.unref();
    this.#watch();
  }

  /** Reads everything anew; one reading after the other. */
  refresh(): Promise<void> {
    return (this.#loading = this.#loading.then(() => this.#load()));
  }

  stats(): CertificateStats {
    return {
      held: this.identities.all.map(({ names, origin, label, issuer, notBefore, notAfter }) => ({
        names,
        origin,
        label,
        issuer,
        notBefore,
        notAfter,
      })),
      problems: this.#problems,
    };
  }

  /** What http-01 is answered with. */
  async httpChallenge(token: string): Promise<string | undefined> {
    return TOKEN.test(token) ? await this.#lookUp(() => this.#records.shown('http-01', token)) : undefined;
  }

  /** What tls-alpn-01 is answered with. */
  async tlsChallenge(name: string): Promise<SecureContext | undefined> {
    const lower = name.toLowerCase();
    const proof = await this.#lookUp(() => this.#records.shown('tls-alpn-01', lower));
    if (proof === undefined) return undefined;
    const key = await newPrivateKey();
    return createSecureContext({
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      cert: challengeCertificate(lower, proof, key, Date.now()),
    });
  }

  close(): void {
    clearInterval(this.#again);
    clearTimeout(this.#soon);
    this.#watcher?.close();
  }

  async #lookUp(ask: () => Promise<string | undefined>): Promise<string | undefined> {
    if (this.#lookups >= LOOKUPS_MAX) return undefined;
    this.#lookups++;
    try {
      return await ask();
    } catch (error) {
      this.#log('warn', 'a challenge of ACME could not be looked up', { reason: String(error) });
      return undefined;
    } finally {
      this.#lookups--;
    }
  }

  async #load(): Promise<void> {
    const problems: string[] = [];
    if (this.#folder !== null) {
      const files = await readCertificateFiles(this.#folder, this.#fromFiles, Date.now());
      this.#fromFiles = files.identities;
      problems.push(...files.problems);
    }
    try {
      const stored = await this.#records.certificates((name, error) => problems.push(`the certificate of ${name}: ${reasonOf(error)}`));
      this.#fromAcme = stored.map(({ name, chain, key }) => identityOf({ cert: chain, key, origin: 'acme', label: name }));
    } catch (error) {
      this.#log('warn', 'the certificates could not be read from the database; those that were read before go on', {
        reason: reasonOf(error),
      });
    }
    this.identities.replaceAll([...this.#fromFiles, ...this.#fromAcme]);
    if (this.identities.all.length === 0 && !this.#awaited)
      problems.push(
        'HTTPS is on, but there is no certificate: put one into the folder VIRGA_TLS_CERTIFICATES, or name hosts in VIRGA_ACME_DOMAINS',
      );
    for (const problem of problems) if (!this.#said.has(problem)) this.#log('warn', problem);
    this.#said.clear();
    for (const problem of problems) this.#said.add(problem);
    this.#problems = problems;
  }

  #watch(): void {
    if (this.#folder === null) return;
    try {
      this.#watcher = watch(this.#folder, () => {
        clearTimeout(this.#soon);
        this.#soon = setTimeout(() => void this.refresh(), SETTLE_MS);
      });
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // Read every minute all the same.
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
