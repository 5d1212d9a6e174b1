// Certificates of clients (mutual TLS, RFC 8446, section 4.4.2). The handshake has proven that the client has the key; what is looked
// at here is who signed: directly one of the authorities that the manifest gives. Chains through others are not followed (the one
// that signs is what is to be given), and no lists of revoked certificates are asked. Invariant: signature, dates, purpose and, where
// given, subject are all looked at; a certificate is verified once for each connection. Used by auth.ts.
import { X509Certificate } from 'node:crypto';
import { VirgaError } from '../../../protocol/errors.ts';
import type { CertificateRules } from '../../../protocol/policies/authenticators.ts';
import { peerOf } from '../../doors/peer.ts';
import type { GatewayRequest } from '../../stage.ts';
import type { Authenticator, ChallengeScheme, Finding, Unknown } from '../authenticator.ts';

const SCHEME: ChallengeScheme = Object.freeze({ name: 'Certificate' });
const ABSENT: Unknown = Object.freeze({ kind: 'unknown', scheme: SCHEME });
/** https://oidref.com/1.3.6.1.5.5.7.3.2, and any purpose. */
const CLIENT_PURPOSES = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export class CertificateAuthenticator implements Authenticator {
  readonly #authorities: readonly X509Certificate[];
  readonly #subjects: ReadonlySet<string> | undefined;
  readonly #now: () => number;
  readonly #verified = new WeakMap<X509Certificate, Finding>();

  constructor({ ca, subjects }: CertificateRules, now: () => number) {
    this.#authorities = (ca.match(PEM) ?? []).flatMap((pem) => authorityOf(pem) ?? []);
    this.#subjects = subjects === undefined ? undefined : new Set(subjects);
    this.#now = now;
  }

  check(request: GatewayRequest): Finding {
    if (this.#authorities.length === 0)
      return { kind: 'failed', error: new VirgaError('internal', 'no authority for certificates can be read') };
    const { certificate } = peerOf(request.incoming);
    if (certificate === undefined) return ABSENT;
    const now = this.#now();
    if (now < certificate.validFromDate.getTime() || now > certificate.validToDate.getTime())
      return { kind: 'unknown', scheme: SCHEME, reason: 'the certificate has expired, or is not valid yet' };
    let finding = this.#verified.get(certificate);
    if (finding === undefined) this.#verified.set(certificate, (finding = this.#verify(certificate)));
    return finding;
  }

  #verify(leaf: X509Certificate): Finding {
    const signer = this.#authorities.find((authority) => leaf.checkIssued(authority) && leaf.verify(authority.publicKey));
    const purposes = leaf.keyUsage as string[] | undefined;
    if (signer === undefined)
      return { kind: 'unknown', scheme: SCHEME, reason: 'the certificate is signed by nobody who is accepted here' };
    if (purposes !== undefined && !purposes.some((one) => CLIENT_PURPOSES.includes(one)))
      return { kind: 'unknown', scheme: SCHEME, reason: 'the certificate is not for clients' };
    const names = [...leaf.subject.split('\n'), ...(leaf.subjectAltName ?? '').split(', ')].filter((name) => name !== '');
    if (this.#subjects !== undefined && !names.some((name) => this.#subjects!.has(name)))
      return { kind: 'forbidden', scheme: SCHEME, reason: 'the certificate is of a subject that may not call' };
    const { subject, issuer, serialNumber, fingerprint256, validTo } = leaf;
    const common = names.find((name) => name.startsWith('CN='))?.slice(3);
    return {
      kind: 'known',
      scheme: SCHEME,
      principal: {
        kind: 'certificate',
        id: common ?? fingerprint256,
        scopes: [],
        claims: {
          subject: oneLine(subject),
          issuer: oneLine(issuer),
          serialNumber,
          fingerprint256,
          validTo,
          subjectAltName: leaf.subjectAltName ?? '',
        },
      },
    };
  }
}

function authorityOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function oneLine(name: string): string {
  return name.split('\n').join(', ');
}
