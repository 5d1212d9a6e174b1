// Certificates of ACME in a real Postgres: what is kept is sealed, a failure takes nothing away, one node works on a name.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestPostgres } from '../../store/records/testing.ts';
import { Sealing } from '../../store/sealing.ts';
import { newPrivateKey } from './acme-client.ts';
import { CertificateRecords } from './certificate-records.ts';
import { challengeCertificate } from './certificate-request.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

const sealing = new Sealing(randomBytes(32));
const noProblem = (name: string): void => assert.fail(name);

test('a certificate is kept with its key sealed, and opens on a node that has the same key only', async () => {
  await using database = await postgres.database();
  const records = new CertificateRecords(database.records, sealing);
  const [none] = await records.held(['a.test']);
  assert.deepEqual([none!.notAfter, none!.failures], [null, 0]);
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  await records.issued({ name: 'a.test', chain: 'chain', key }, { issuer: 'i', notBefore: 1_000, notAfter: 2_000 }, 1_500);
  await records.failed('a.test', 'the server is away', 9_000);
  assert.deepEqual(await records.certificates(noProblem), [{ name: 'a.test', chain: 'chain', key }]);
  assert.deepEqual(await records.held(['a.test']), [
    { name: 'a.test', notBefore: 1_000, notAfter: 2_000, failures: 1, nextAttemptAt: 9_000 },
  ]);
  const { rows } = await database.records.query<{ private_key: Buffer }>('select private_key from certificates');
  assert.ok(!rows[0]!.private_key.includes(createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }).subarray(40)));
  const elsewhere = new CertificateRecords(database.records, new Sealing(randomBytes(32)));
  const problems: string[] = [];
  assert.deepEqual(await elsewhere.certificates((name, error) => problems.push(`${name}: ${String(error)}`)), []);
  assert.match(problems[0]!, /a\.test: .*sealed with another key/);
  await records.forget(['b.test']);
  assert.deepEqual(await records.certificates(noProblem), []);
});

test('one at a time works on a name, and whoever died at it holds it for a while only', async () => {
  await using database = await postgres.database();
  const records = new CertificateRecords(database.records, sealing);
  await records.held(['a.test']);
  const claims = await Promise.all(Array.from({ length: 5 }, () => records.claim('a.test', 60)));
  assert.equal(claims.filter(Boolean).length, 1);
  await records.failed('a.test', 'e', 0);
  assert.ok(await records.claim('a.test', -1));
  assert.ok(await records.claim('a.test', 60));
});

test('of two accounts that are made at once the first counts, and a proof is there until it is taken away', async () => {
  await using database = await postgres.database();
  const records = new CertificateRecords(database.records, sealing);
  const first = await records.keepAccount('https://ca.test/dir', { url: 'https://ca.test/1', key: await newPrivateKey() });
  const second = await records.keepAccount('https://ca.test/dir', { url: 'https://ca.test/2', key: await newPrivateKey() });
  assert.equal(second.url, first.url);
  assert.ok(second.key.equals(first.key));
  await records.show('http-01', 'token', 'proof');
  assert.equal(await records.shown('http-01', 'token'), 'proof');
  assert.equal(await records.shown('tls-alpn-01', 'token'), undefined);
  await records.takeAway('http-01', 'token');
  assert.equal(await records.shown('http-01', 'token'), undefined);
});

test('the certificate that answers a challenge is one that OpenSSL reads, for its name, signed by its own key', async () => {
  const key = await newPrivateKey();
  const certificate = new X509Certificate(challengeCertificate('a.test', 'token.thumbprint', key, Date.now()));
  assert.equal(certificate.subjectAltName, 'DNS:a.test');
  assert.ok(certificate.verify(certificate.publicKey) && certificate.checkPrivateKey(key));
  assert.ok(certificate.raw.includes(Buffer.from('06082b0601050507011f0101ff04220420', 'hex')), 'acmeIdentifier, critical, 32 bytes');
});
