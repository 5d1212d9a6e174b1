// The certificates that the TLS door has, by the names that are in them: exact ones first, then `*.` of one label, then the
// fallback. Invariant: in memory and compiled, a handshake waits for nothing; of several for one name files win over ACME,
// then the one that lasts longest. Filled by server/certificates.ts, read by doors.ts.
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { TLS_OPTIONS } from './tls-options.ts';

/** One certificate and its key, checked. */
export interface Identity {
  /** In lower case; `*.` may stand before. */
  names: string[];
  origin: 'file' | 'acme';
  /** The file, or the name that it was asked for. */
  label: string;
  issuer: string;
  notBefore: number;
  notAfter: number;
  cert: string;
  key: string;
  context: SecureContext;
}

export class Identities {
  #byName = new Map<string, Identity>();
  #all: Identity[] = [];
  /** For clients that name no host, or one that there is no certificate for. */
  fallback: { cert?: string; key?: string } = {};
  ticketKeys: Buffer = randomBytes(48);
  /** Called when `fallback` may be another one. */
  onChange: () => void = () => {};

  get all(): readonly Identity[] {
    return this.#all;
  }

  contextFor(name: string): SecureContext | undefined {
    const lower = name.toLowerCase();
    const found = this.#byName.get(lower);
    if (found !== undefined) return found.context;
    const dot = lower.indexOf('.');
    return dot < 0 ? undefined : this.#byName.get(`*${lower.slice(dot)}`)?.context;
  }

  /** Replaces all at once: a handshake meets the old ones or the new ones. */
  replaceAll(identities: Identity[]): void {
    const byName = new Map<string, Identity>();
    for (const identity of identities) {
      for (const name of identity.names) {
        const rival = byName.get(name);
        if (rival === undefined || isBetter(identity, rival)) byName.set(name, identity);
      }
    }
    const fallback = identities.find(({ origin, label }) => origin === 'file' && /^default\.[a-z]+$/.test(label)) ?? identities[0];
    this.#byName = byName;
    this.#all = identities;
    this.fallback = fallback === undefined ? {} : { cert: fallback.cert, key: fallback.key };
    this.onChange();
  }

  rotateTicketKeys(): void {
    this.ticketKeys = randomBytes(48);
  }
}

function isBetter(one: Identity, other: Identity): boolean {
  return one.origin === other.origin ? one.notAfter > other.notAfter : one.origin === 'file';
}

/** Throws an Error that says what is wrong with the pair. An expired certificate is taken: the caller warns. */
export function identityOf(pair: { cert: string; key: string; origin: Identity['origin']; label: string }): Identity {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(pair.cert);
  } catch {
    throw new Error('holds no certificate (PEM)');
  }
  let matches: boolean;
  try {
    matches = leaf.checkPrivateKey(createPrivateKey(pair.key));
  } catch {
    throw new Error('has a key that cannot be read: it is to be an unencrypted private key (PEM)');
  }
  if (!matches) throw new Error(`has a key that is not the key of the certificate for ${namesOf(leaf).join(', ') || leaf.subject}`);
  const names = namesOf(leaf);
  if (names.length === 0) throw new Error('has a certificate without names of hosts (subjectAltName)');
  let context: SecureContext;
  try {
    context = createSecureContext({ ...TLS_OPTIONS, cert: pair.cert, key: pair.key });
  } catch (error) {
    throw new Error(`cannot be used for TLS: ${(error as Error).message}`, { cause: error });
  }
  return {
    ...pair,
    names,
    issuer: issuerOf(leaf),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
    context,
  };
}

function namesOf(leaf: X509Certificate): string[] {
  return (leaf.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('DNS:'))
    .map((name) => name.slice(4).toLowerCase());
}

function issuerOf(leaf: X509Certificate): string {
  return /^(?:CN|O)=(.*)$/m.exec(leaf.issuer)?.[1] ?? leaf.issuer.replaceAll('\n', ', ');
}
