// What a key signs for ACME: the request for a certificate (PKCS #10, RFC 2986), and the certificate that answers a
// tls-alpn-01 challenge (RFC 8737, section 3). Both for P-256 keys and one name. Pure but for randomness.
import { createHash, createPublicKey, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { bits, dnsName, integer, octets, oid, pem, sequence, setOf, tagged, text, time, yes } from './der.ts';

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const COMMON_NAME = oid('2.5.4.3');
const EXTENSION_REQUEST = oid('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = oid('2.5.29.17');
const ACME_IDENTIFIER = oid('1.3.6.1.5.5.7.1.31');
const HOUR_MS = 3_600_000;

export function certificateRequest(name: string, key: KeyObject): Buffer {
  const extensions = sequence(namesExtension(name));
  const body = sequence(integer(0), sequence(), publicKeyOf(key), tagged(0, sequence(EXTENSION_REQUEST, setOf(extensions))));
  return signed(body, key);
}

/** PEM. Whoever connects finds the digest of the key authorization in it. */
export function challengeCertificate(name: string, keyAuthorization: string, key: KeyObject, now: number): string {
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const subject = sequence(setOf(sequence(COMMON_NAME, text('ACME challenge'))));
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const body = sequence(
    tagged(0, integer(2)),
    integer(serial),
    ECDSA_SHA256,
    subject,
    sequence(time(now - HOUR_MS), time(now + HOUR_MS)),
    subject,
    publicKeyOf(key),
    tagged(3, sequence(namesExtension(name), sequence(ACME_IDENTIFIER, yes(), octets(octets(digest))))),
  );
  return pem('CERTIFICATE', signed(body, key));
}

function namesExtension(name: string): Buffer {
  return sequence(SUBJECT_ALT_NAME, octets(sequence(dnsName(name))));
}

function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

function signed(body: Buffer, key: KeyObject): Buffer {
  return sequence(body, ECDSA_SHA256, bits(sign('sha256', body, key)));
}
