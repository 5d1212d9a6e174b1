// The settings of a node that are about its front door: HTTPS, certificates, proxies before it, the access log. A part of
// settings-table.ts, which says what these rows are.
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { Config } from './config.ts';
import { onOff, oneOf, port, wholeNumber } from './setting.ts';
import type { Parsed, Setting } from './setting.ts';

type GatewayKeys =
  | 'httpsPort'
  | 'httpsRedirect'
  | 'tlsCertificates'
  | 'acmeDomains'
  | 'acmeDirectory'
  | 'acmeEmail'
  | 'acmeCa'
  | 'acmeChallenge'
  | 'secretKey'
  | 'trustedProxies'
  | 'proxyProtocol'
  | 'accessLog'
  | 'accessLogFile';

const PROXIES_MAX = 256;
const DOMAINS_MAX = 1_000;

export const GATEWAY_SETTINGS: { [K in GatewayKeys]: Setting<Config[K]> } = {
  httpsPort: {
    variable: 'VIRGA_HTTPS_PORT',
    flag: 'https-port',
    placeholder: 'port',
    meaning:
      'Port on which functions are called by HTTPS and HTTP/2, on the address of the other one. It takes a certificate: `VIRGA_TLS_CERTIFICATES` or `VIRGA_ACME_DOMAINS`.',
    default: () => null,
    defaultText: 'none',
    parse: port,
  },
  httpsRedirect: {
    variable: 'VIRGA_HTTPS_REDIRECT',
    meaning: 'Whether all plain requests are sent on to HTTPS (308), as `gateway.https: redirect` does for one project.',
    default: () => false,
    parse: onOff,
  },
  tlsCertificates: {
    variable: 'VIRGA_TLS_CERTIFICATES',
    meaning:
      'A folder of certificates, `<name>.crt` (with its chain) beside `<name>.key`, or both in `<name>.pem`. Which one a client gets, its names say; `default` is for clients that ask for another. Changes are noticed.',
    default: () => null,
    defaultText: 'none',
    parse: (text, { folder }) => ({ value: resolve(folder, text) }),
  },
  acmeDomains: {
    variable: 'VIRGA_ACME_DOMAINS',
    meaning:
      'Names to get certificates for by ACME, with commas between, e.g. `example.com,www.example.com`. They are to lead to this node. `projects` among them: all proven domains of projects, but for wildcards, which cannot be proved by HTTP.',
    default: () => [],
    defaultText: 'none',
    parse: domains,
  },
  acmeDirectory: {
    variable: 'VIRGA_ACME_DIRECTORY',
    meaning: "The ACME server's directory. Getting certificates there is agreeing to its terms.",
    default: () => 'https://acme-v02.api.letsencrypt.org/directory',
    parse: (text) => (URL.parse(text)?.protocol === 'https:' ? { value: text } : { problem: 'give an https:// URL' }),
  },
  acmeEmail: {
    variable: 'VIRGA_ACME_EMAIL',
    meaning: 'Where the ACME server writes to when something is wrong with a certificate.',
    default: () => null,
    defaultText: 'none',
    parse: (text) => (/^[^\s@,?]+@[^\s@,?]+$/.test(text) ? { value: text } : { problem: 'give an address such as ops@example.com' }),
  },
  acmeCa: {
    variable: 'VIRGA_ACME_CA',
    meaning: 'File with the root certificate (PEM) of an ACME server that is your own.',
    default: () => null,
    defaultText: 'none',
    parse: (text, { folder }) => ({ value: resolve(folder, text) }),
  },
  acmeChallenge: {
    variable: 'VIRGA_ACME_CHALLENGE',
    meaning:
      'How the ACME server is shown that a name is ours: `http-01` (it asks at port 80, which is to lead to the edge port) or `tls-alpn-01` (at port 443, which is to lead to the HTTPS port).',
    default: () => 'http-01',
    parse: oneOf('http-01', 'tls-alpn-01'),
  },
  secretKey: {
    variable: 'VIRGA_SECRET_KEY',
    meaning:
      'Base64 of 32 bytes that secrets at rest, such as private keys, are sealed under. Several nodes with one database need the same.',
    default: () => null,
    defaultText: 'the file `secret-key` of the data folder, made at the first start',
    secret: true,
    parse: (text) =>
      Buffer.from(text, 'base64').length === 32 && /^[A-Za-z0-9+/_-]{43}=?$/.test(text)
        ? { value: text }
        : { problem: 'no base64 of 32 bytes; `openssl rand -base64 32` makes one' },
  },
  trustedProxies: {
    variable: 'VIRGA_TRUSTED_PROXIES',
    meaning:
      'Proxies before this node whose word on the client counts (`X-Forwarded-*`, `Forwarded`, PROXY): addresses and ranges such as `10.0.0.0/8,192.168.1.7`, or the number of proxies that every request comes through. Of others it is replaced by what this node sees.',
    default: () => [],
    defaultText: 'none',
    parse: proxies,
  },
  proxyProtocol: {
    variable: 'VIRGA_PROXY_PROTOCOL',
    meaning:
      'Whether connections begin with a PROXY header (version 1 or 2), as load balancers send it. Only those of `VIRGA_TRUSTED_PROXIES` are then served.',
    default: () => false,
    parse: onOff,
  },
  accessLog: {
    variable: 'VIRGA_ACCESS_LOG',
    meaning:
      'A line for each request: `json`, `common` (the Combined Log Format), or `off`. Values of the query that look like secrets are left out.',
    default: () => 'off',
    parse: oneOf('off', 'json', 'common'),
  },
  accessLogFile: {
    variable: 'VIRGA_ACCESS_LOG_FILE',
    meaning: 'Where the access log goes; `-` is stdout.',
    default: () => null,
    defaultText: '`access.log` in the data folder',
    parse: (text, { folder }) => ({ value: text === '-' ? text : resolve(folder, text) }),
  },
};

function domains(text: string): Parsed<string[]> {
  const items = text.split(',').map((item) => item.trim().toLowerCase());
  const wrong = items.find(
    (item) => !/^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(item) || isIP(item) !== 0,
  );
  if (wrong !== undefined)
    return {
      problem: `'${wrong.slice(0, 100)}' is no name of a host; give some like example.com,www.example.com (wildcards cannot be proved by HTTP)`,
    };
  return items.length <= DOMAINS_MAX ? { value: items } : { problem: `give at most ${DOMAINS_MAX} names` };
}

function proxies(text: string): Parsed<string[] | number> {
  if (/^\d+$/.test(text)) return wholeNumber(text, { min: 0, max: 16, what: 'a number of proxies' });
  const items = text.split(',').map((item) => item.trim());
  const wrong = items.find((item) => !isRange(item));
  if (wrong !== undefined) return { problem: `'${wrong.slice(0, 100)}' is no address or range; give some like 10.0.0.0/8,2001:db8::7` };
  return items.length <= PROXIES_MAX ? { value: items } : { problem: `give at most ${PROXIES_MAX} addresses and ranges` };
}

function isRange(item: string): boolean {
  const [address = '', bits, more] = item.split('/');
  const kind = isIP(address);
  return kind !== 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (kind === 4 ? 32 : 128)));
}
