// Certificates for tests, made by openssl: a root of their own, and what it signs. Used by the tests of this folder.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Authority {
  /** File of the root certificate, PEM. */
  file: string;
  pem: string;
  /** Writes `<file>.crt` and `<file>.key` for these names. */
  certify(file: string, names: string[], validity?: { from: Date; until: Date }): { cert: string; key: string };
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** `folder` is the caller's, who removes it. */
export function makeAuthority(folder: string): Authority {
  const [rootCert, rootKey] = [join(folder, 'root.crt'), join(folder, 'root.key')];
  openssl(['req', '-x509', ...KEY, '-keyout', rootKey, '-out', rootCert, '-days', '30', '-subj', '/CN=Test Root']);
  return {
    file: rootCert,
    pem: readFileSync(rootCert, 'utf8'),
    certify: (file, names, validity) => {
      const [request, extensions] = [join(folder, 'request.csr'), join(folder, 'extensions.cnf')];
      openssl(['req', '-new', ...KEY, '-keyout', `${file}.key`, '-out', request, '-subj', `/CN=${names[0]}`]);
      writeFileSync(extensions, `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`);
      const signing = ['x509', '-req', '-in', request, '-CA', rootCert, '-CAkey', rootKey, '-CAcreateserial', '-extfile', extensions];
      if (validity === undefined) openssl([...signing, '-days', '20', '-out', `${file}.crt`]);
      else signDated(folder, { request, extensions, file, rootCert, rootKey, validity });
      return { cert: readFileSync(`${file}.crt`, 'utf8'), key: readFileSync(`${file}.key`, 'utf8') };
    },
  };
}

/** Of `openssl ca`, the only command that takes dates. */
function signDated(
  folder: string,
  of: { request: string; extensions: string; file: string; rootCert: string; rootKey: string; validity: { from: Date; until: Date } },
): void {
  const config = join(folder, 'ca.cnf');
  writeFileSync(join(folder, 'index.txt'), '');
  writeFileSync(
    config,
    `[ca]\ndefault_ca=own\n[own]\ndatabase=${folder}/index.txt\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`,
  );
  const dates = ['-startdate', stamp(of.validity.from), '-enddate', stamp(of.validity.until)];
  const signing = ['ca', '-batch', '-notext', '-config', config, '-cert', of.rootCert, '-keyfile', of.rootKey];
  openssl([...signing, '-extfile', of.extensions, '-in', of.request, '-out', `${of.file}.crt`, ...dates]);
}

function stamp(date: Date): string {
  return date.toISOString().replace(/[-:T]|\.\d+/g, '');
}

function openssl(args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
