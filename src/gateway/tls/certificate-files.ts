// Certificates from a folder: `<name>.crt` (or .pem, .cert) beside `<name>.key`, a `<name>.pem` that holds both, or a folder
// with fullchain.pem and privkey.pem, as certbot makes them. Invariant: one bad pair takes no other away, and each is told with
// its file and what to do; what was good before stays while its files are being replaced. Called by server/certificates.ts.
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { identityOf } from './identities.ts';
import type { Identity } from './identities.ts';

export interface CertificateFiles {
  identities: Identity[];
  /** Whole sentences. */
  problems: string[];
}

const FILES_MAX = 2_000;
const FILE_BYTES_MAX = 256 * 1024;
const CERTIFICATE = /\.(?:crt|cert|pem)$/;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;

export async function readCertificateFiles(folder: string, before: readonly Identity[], now: number): Promise<CertificateFiles> {
  const identities: Identity[] = [];
  const problems: string[] = [];
  let entries: string[];
  try {
    entries = (await readdir(folder)).toSorted();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { identities: [...before], problems: [`the folder ${folder} (VIRGA_TLS_CERTIFICATES) cannot be read: ${code}`] };
  }
  if (entries.length > FILES_MAX) problems.push(`${folder} has ${entries.length} files; only the first ${FILES_MAX} are looked at`);
  for (const entry of entries.slice(0, FILES_MAX)) {
    const pair = await pairOf(folder, entry);
    if (pair === undefined) continue;
    if (typeof pair === 'string') {
      problems.push(`${join(folder, entry)} ${pair}`);
      continue;
    }
    try {
      const identity = identityOf({ ...pair, origin: 'file', label: entry });
      identities.push(identity);
      const problem = doubtOf(identity, entry, now);
      if (problem !== undefined) problems.push(`${join(folder, entry)} ${problem}`);
    } catch (error) {
      const old = before.find(({ label }) => label === entry);
      if (old !== undefined) identities.push(old);
      problems.push(`${join(folder, entry)} ${(error as Error).message}${old === undefined ? '' : '; the one before goes on'}`);
    }
  }
  return { identities, problems };
}

/** undefined: it is no certificate; a text: what is wrong with it. */
async function pairOf(folder: string, entry: string): Promise<{ cert: string; key: string } | string | undefined> {
  const path = join(folder, entry);
  if (!CERTIFICATE.test(entry)) {
    const cert = await text(join(path, 'fullchain.pem'));
    if (cert === undefined) return undefined;
    const key = await text(join(path, 'privkey.pem'));
    return key === undefined ? 'has a fullchain.pem but no privkey.pem that can be read' : { cert, key };
  }
  const cert = await text(path);
  if (cert === undefined) return `cannot be read, or has more than ${FILE_BYTES_MAX} bytes`;
  if (PRIVATE_KEY.test(cert)) return { cert, key: cert };
  const keyFile = entry.replace(CERTIFICATE, '.key');
  const key = await text(join(folder, keyFile));
  return key === undefined ? `has no key: put it beside, as ${keyFile}, where this user can read it` : { cert, key };
}

/** Strange, but used: a client may know better, and an expired certificate tells more than none. */
function doubtOf({ names, notBefore, notAfter }: Identity, entry: string, now: number): string | undefined {
  if (notAfter <= now) return `expired on ${new Date(notAfter).toISOString()}; clients will refuse it`;
  if (notBefore > now) return `is valid from ${new Date(notBefore).toISOString()} on only; clients will refuse it until then`;
  const said = entry.replace(CERTIFICATE, '').replace(/^_\./, '*.').toLowerCase();
  if (!said.includes('.') || names.includes(said) || names.includes(`*${said.slice(said.indexOf('.'))}`)) return undefined;
  return `is called after ${said}, but is for ${names.join(', ')}: those get it`;
}

async function text(path: string): Promise<string | undefined> {
  try {
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      return size > FILE_BYTES_MAX ? undefined : await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}
