// The settings of a node that are about the networks around it: what functions and the edge may reach, and who is asked for names.
// A part of settings-table.ts, which says what these rows are.
import { isIP } from 'node:net';
import { parseEgressEntry } from '../protocol/egress.ts';
import type { Config } from './config.ts';
import type { Parsed, Setting } from './setting.ts';

type NetworkKeys = 'egressPrivate' | 'issuersPrivate' | 'webhooksPrivate' | 'egressResolvers' | 'domainsTrusted' | 'domainResolvers';

export const NETWORK_SETTINGS: { [K in NetworkKeys]: Setting<Config[K]> } = {
  egressPrivate: {
    variable: 'VIRGA_EGRESS_PRIVATE',
    meaning:
      'Private ranges that functions may reach when their `egress` names them, e.g. `10.0.5.0/24,192.168.1.7`. Functions with `egress: internet` never do.',
    default: () => [],
    defaultText: 'none',
    parse: ranges,
  },
  issuersPrivate: {
    variable: 'VIRGA_ISSUERS_PRIVATE',
    meaning:
      'Ranges that are not public, from which the keys of issuers of tokens (`jwt` in virga.yaml) are fetched all the same, e.g. `127.0.0.1` for an issuer on this machine. Those of VIRGA_EGRESS_PRIVATE are open as well.',
    default: () => [],
    defaultText: 'none',
    parse: addressRanges,
  },
  webhooksPrivate: {
    variable: 'VIRGA_WEBHOOKS_PRIVATE',
    meaning:
      'Ranges that are not public, to which webhooks (`subscriptions` with a `url`) are sent all the same, e.g. `127.0.0.1` for a receiver on this machine. Those of VIRGA_EGRESS_PRIVATE are open as well.',
    default: () => [],
    defaultText: 'none',
    parse: addressRanges,
  },
  egressResolvers: {
    variable: 'VIRGA_EGRESS_RESOLVERS',
    meaning: 'DNS servers that names are resolved by for functions, e.g. `192.0.2.53,[2001:db8::53]:5353`.',
    default: () => null,
    defaultText: 'those of /etc/resolv.conf',
    parse: resolvers,
  },
  domainsTrusted: {
    variable: 'VIRGA_DOMAINS_TRUSTED',
    meaning:
      'Domains that projects may be served at without a proof of ownership, with all below them, e.g. `corp.example.com,lan`: for private networks. `.localhost`, `.test` and `.internal` need none.',
    default: () => [],
    defaultText: 'none',
    parse: suffixes,
  },
  domainResolvers: {
    variable: 'VIRGA_DOMAIN_RESOLVERS',
    meaning: 'DNS servers that are asked for the proofs of domains, e.g. `192.0.2.53,[2001:db8::53]:5353`.',
    default: () => null,
    defaultText: 'those of /etc/resolv.conf',
    parse: resolvers,
  },
};

function ranges(text: string): Parsed<string[]> {
  const items = text.split(',').map((item) => item.trim());
  const wrong = items.find((item) => {
    const rule = parseEgressEntry(item);
    return typeof rule === 'string' || rule.kind !== 'range' || rule.port !== null;
  });
  return wrong === undefined ? { value: items } : { problem: `'${wrong}' is no address or range; give some like 10.0.5.0/24,192.168.1.7` };
}

/** Loopback among them, which functions can never be given. */
function addressRanges(text: string): Parsed<string[]> {
  const items = text.split(',').map((item) => item.trim());
  const wrong = items.find((item) => {
    const [address = '', bits, ...more] = item.split('/');
    const most = isIP(address) === 6 ? 128 : 32;
    return isIP(address) === 0 || more.length > 0 || (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most));
  });
  return wrong === undefined ? { value: items } : { problem: `'${wrong}' is no address or range; give some like 127.0.0.1,10.0.5.0/24` };
}

function suffixes(text: string): Parsed<string[]> {
  const items = text.split(',').map((item) =>
    item
      .trim()
      .toLowerCase()
      .replace(/^\*?\./, ''),
  );
  const wrong = items.find((item) => !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(item));
  return wrong === undefined ? { value: items } : { problem: `'${wrong}' is no domain; give some like corp.example.com,lan` };
}

function resolvers(text: string): Parsed<string[]> {
  const items = text.split(',').map((item) => item.trim());
  const sound = (item: string): boolean => isIP(item) !== 0 || /^\d+(\.\d+){3}:\d+$|^\[[0-9a-f:.]+\](:\d+)?$/i.test(item);
  return items.every(sound) ? { value: items } : { problem: 'give addresses like 192.0.2.53 or [2001:db8::53]:5353, with commas between' };
}
